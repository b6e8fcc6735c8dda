"""A study of the real benchmarks: their files are fetched or taken as they lie, once; what is missing is listed."""

import json
from pathlib import Path

import pytest
from place import new_place

pytestmark = pytest.mark.workflow

GOLDEN = Path(__file__).parents[1] / "golden"


def test_official_files(tmp_path: Path) -> None:
    benchmarks = {"MMStar": {}, "VQA_v2": {"split": "val"}}
    place = new_place(
        tmp_path / "real", evaluate={"source": "files", "root": "official", "check": False, "benchmarks": benchmarks}
    )
    place.environment = {"MMEVOL_OFFLINE": "1"}
    root = place.folder / "official"
    assert place.planned("benchmark_data") == {"benchmark_data": 1, "evaluate_fetch": 2}
    place.run("benchmark_data", "--keep-going", expect=1)
    said = (place.results / "logs/evaluate_fetch/MMStar.log").read_text()
    assert "official/MMStar.tsv: not there" in said and "/MMStar.tsv" in said and "md5" in said
    root.mkdir()
    (root / "MMStar.tsv").write_bytes((GOLDEN / "MMStar/case_01/data.tsv").read_bytes())
    place.run("benchmark_data", "--keep-going", expect=1)
    shown = place.results / "evaluate/official/MMStar"
    assert json.loads((shown / "manifest.json").read_text())["editions"] == {"MMStar.tsv": "another"}
    assert (shown / "data.tsv").samefile(root / "MMStar.tsv") and not (place.results / "evaluate/data").exists()
    assert place.planned("benchmark_data") == {"benchmark_data": 1, "evaluate_fetch": 1}
    plan = place.planned("evaluate")
    assert plan["evaluate_fetch"] == 1 and "evaluate_heldout" not in plan
    assert plan["evaluate_score"] == 2 * plan["evaluate_predict"]
