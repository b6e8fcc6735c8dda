import json
from pathlib import Path

from mmevol.config import Prices
from mmevol.config.publish import CostSettings
from mmevol.endpoint.usage import Usage
from mmevol.publish.cost import cost
from mmevol.publish.table import read_table
from mmevol.store import write_json
from small_study import Study


def test_the_table_adds_up_every_shard_and_round(study: Study, tmp_path: Path) -> None:
    settings = CostSettings(shards=2, evolutions={"full": [1, 2, 3], "no_elimination": [1, 2, 3]})
    cost(settings, root=study.root, out=tmp_path / "cost")
    *rows, total = read_table(tmp_path / "cost.csv")
    assert [row["step"] for row in rows] == [f"{e}, round {n}" for e in ("full", "no_elimination") for n in (1, 2, 3)]
    assert total["step"] == "all"
    assert int(total["asked"]) == sum(int(row["asked"]) for row in rows) == 1080
    assert int(total["input tokens"]) == 1_080_000
    assert abs(float(total["money"]) - sum(float(row["money"]) for row in rows)) < 1e-5
    assert total["errors"] == "429 × 12"
    assert "12 jobs in 18 runs" in (tmp_path / "cost.md").read_text()
    assert len(json.loads((tmp_path / "cost.provenance.json").read_text())["inputs"]) == 12


def test_money_of_two_currencies_is_never_mixed(tmp_path: Path) -> None:
    rows = [
        Usage(asked=10, input_tokens=1_000_000).row("evolver", "a", Prices(input=2)),
        Usage(asked=5, output_tokens=1_000_000).row("judge", "b", Prices(output=3, currency="EUR")),
    ]
    job = {"endpoints": rows, "seconds": 1.0, "runs": 1}
    for folder in ("seeds", "evolve/full/round_0", "evolve/full/round_1"):
        write_json(tmp_path / folder / "usage/0.json", job)
    for arm in "xy":
        write_json(tmp_path / f"evaluate/{arm}/seed_0/MIA-Bench/usage/mmevol.json", {**job, "endpoints": rows[1:]})
    scored = [(arm, 0, "MIA-Bench", "mmevol") for arm in "xy"]
    settings = CostSettings(evolutions={"full": [0, 1]}, curated=True, scored=scored)
    cost(settings, root=tmp_path, out=tmp_path / "usage/cost")
    table = read_table(tmp_path / "usage/cost.csv")
    assert [row["step"] for row in table] == [
        *(step for step in ("curation", "full, seeds judged", "full, round 1") for _ in range(2)),
        *("scoring MIA-Bench", "all", "all"),
    ]
    assert [(row["currency"], float(row["money"]), row["asked"]) for row in table[-2:]] == [
        ("USD", 6.0, "30"),
        ("EUR", 15.0, "25"),
    ]
