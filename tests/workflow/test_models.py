"""Models beside the arms: their answers come by the rule that fits them, and a new one measures nothing else anew."""

import json
import shutil
from pathlib import Path

import pytest
from place import Place

pytestmark = pytest.mark.workflow


def test_models_beside_the_arms(done: Place, tmp_path: Path) -> None:
    place = done.copy(tmp_path / "models")
    place.study["evaluate"]["contamination"] = {}
    place.run("tables")
    table = (place.results / "tables/contamination.csv").read_text()
    assert table.count("\n") == 1 + 3 * 13
    usage = json.loads((place.results / "evaluate/contamination/usage.json").read_text())
    assert sum(row["asked"] for row in usage["endpoints"]) == 0
    shutil.copytree(place.results / "train/finetune/seed/seed_0", place.folder / "theirs")
    made = place.folder / "made"
    made.mkdir()
    for file in place.results.glob("evaluate/evolved/seed_0/*/predictions.jsonl"):
        shutil.copy(file, made / f"kit_{file.parent.name}.jsonl")
    place.study["evaluate"]["models"] = {"theirs": {"folder": "theirs"}, "kit": {"predictions": "made"}}
    plan = place.planned("tables")
    assert (plan["evaluate_predict"], plan["evaluate_import"], plan["evaluate_score"]) == (1, 1, 26)
    assert "train_finetune" not in plan and "evaluate_contamination" not in plan
    place.run("tables")
    for name, arm in (("theirs", "seed"), ("kit", "evolved")):
        for file in place.results.glob(f"evaluate/{arm}/seed_0/*/predictions.jsonl"):
            assert (place.results / "evaluate" / name / "seed_0" / file.parent.name / file.name).read_bytes() == (
                file.read_bytes()
            )
