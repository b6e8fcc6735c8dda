from pathlib import Path

from mmevol.config.publish import MixturesSettings
from mmevol.publish.mixtures import mixtures
from mmevol.publish.table import read_table
from mmevol.store import write_json


def test_forms_and_sources_of_each_mixture(tmp_path: Path) -> None:
    stats = {
        "seed": {"records": 4, "qas": 4, "by_source": {"seeds": 4}, "by_form": {"open": 4}},
        "evolved": {
            "records": 4,
            "qas": 10,
            "by_source": {"seeds": 4, "full/round_1": 6},
            "by_form": {"open": 5, "letter": 4, "yes_no": 1},
        },
    }
    for name, of in stats.items():
        write_json(tmp_path / name / "stats.json", of)
    settings = MixturesSettings(arms={"seed": "seed", "seed_matched": "seed", "evolved": "evolved"})
    mixtures(settings, stats=[tmp_path / name / "stats.json" for name in stats], out=tmp_path / "mixtures")
    seed, evolved = read_table(tmp_path / "mixtures.csv")
    assert (seed["arms"], seed["open"], seed["letter"]) == ("seed, seed_matched", "1.0", "0.0")
    shown = [evolved[c] for c in ("arms", "seed Q&A", "evolved Q&A", "letter", "yes or no", "open")]
    assert shown == ["evolved", "4", "6", "0.4", "0.1", "0.5"]
