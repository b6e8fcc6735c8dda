"""Models beside the arms: their answers come by the rule that fits them, and a new one measures nothing else anew."""

import json
import shutil
from pathlib import Path

import pytest
from place import Place

pytestmark = pytest.mark.workflow


def test_models_beside_the_arms(done: Place, tmp_path: Path) -> None:
    place = done.copy(tmp_path / "models")
    shutil.copytree(place.results / "train/finetune/seed_matched/seed_0", place.folder / "theirs")
    made = place.folder / "made"
    made.mkdir()
    for file in place.results.glob("evaluate/evolved/seed_0/*/predictions.jsonl"):
        shutil.copy(file, made / f"kit_{file.parent.name}.jsonl")
    evaluate = place.study["evaluate"] | {"contamination": {}}
    models = {"theirs": {"folder": "theirs"}, "kit": {"predictions": "made"}}
    place.study["evaluate"] = evaluate | {"models": models}
    plan = place.planned("tables")
    assert (plan["evaluate_predict"], plan["evaluate_import"], plan["evaluate_score"]) == (1, 1, 26)
    assert "train_finetune" not in plan
    place.run("tables")
    table = (place.results / "tables/contamination.csv").read_text()
    assert table.count("\n") == 1 + len(place.study["train"]["mixtures"]) * 13
    usage = json.loads((place.results / "evaluate/contamination/usage.json").read_text())
    assert sum(row["asked"] for row in usage["endpoints"]) == 0
    place.study["evaluate"]["models"] = models | {"again": {"predictions": "made"}}
    assert not {"evaluate_predict", "evaluate_contamination"} & set(place.planned("tables"))
    for name, arm in (("theirs", "seed_matched"), ("kit", "evolved")):
        for file in place.results.glob(f"evaluate/{arm}/seed_0/*/predictions.jsonl"):
            assert (place.results / "evaluate" / name / "seed_0" / file.parent.name / file.name).read_bytes() == (
                file.read_bytes()
            )
