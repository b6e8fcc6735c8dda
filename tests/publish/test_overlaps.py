"""The table of overlaps: counts by kind, and the score without them where there are any."""

import json
from pathlib import Path

from mmevol.config.publish import ContaminationTableSettings
from mmevol.publish.contamination import contamination
from mmevol.publish.table import read_table


def test_the_table(tmp_path: Path) -> None:
    kinds: dict[str, list[str]] = {"picture": [], "near": [], "words": [], "question": []}
    found = {
        "rows": {"MME": 10, "POPE": 20},
        "overlaps": {
            "seed": {"MME": kinds, "POPE": kinds | {"picture": ["1", "2"], "question": ["2"], "words": ["3"]}},
            "evolved": {"MME": kinds | {"near": ["4"]}, "POPE": kinds},
        },
        "settings": {"distance": 4, "words": 13, "common": 10},
    }
    nothing = {"reported": [], "n": []}
    cleaned = {
        "a": {"MME": nothing, "POPE": {"reported": [40.0, 60.0], "n": [17, 17]}},
        "b": {"MME": {"reported": [None], "n": [9]}, "POPE": nothing},
    }
    arms = {"a": ("seed", [0, 1]), "b": ("evolved", [0])}
    for arm, (_, seeds) in arms.items():
        for seed in seeds:
            for name, number in (("MME", 30.0), ("POPE", 50.0 + seed)):
                file = tmp_path / "evaluate" / arm / f"seed_{seed}" / name / "score.authors.json"
                file.parent.mkdir(parents=True)
                file.write_text(json.dumps({"reported": number}))
    for name, value in (("overlaps", found), ("clean", cleaned)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    contamination(
        ContaminationTableSettings(rules="authors", benchmarks=["MME", "POPE"], arms=arms),
        overlaps=tmp_path / "overlaps.json",
        cleaned=tmp_path / "clean.json",
        evaluate=tmp_path / "evaluate",
        out=tmp_path / "contamination",
    )
    read = {(r["arm"], r["benchmark"]): list(r.values())[4:] for r in read_table(tmp_path / "contamination.csv")}
    assert read == {
        ("a", "MME"): ["10", "0", "0", "0", "0", "0", "30.0", "30.0", "10"],
        ("a", "POPE"): ["20", "2", "0", "1", "1", "3", "50.5", "50.0", "17"],
        ("b", "MME"): ["10", "0", "1", "0", "0", "1", "30.0", "", "9"],
        ("b", "POPE"): ["20", "0", "0", "0", "0", "0", "50.0", "50.0", "20"],
    }
