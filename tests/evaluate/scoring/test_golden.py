"""Every golden case under every rule set that it has: numbers to 1e-9, rows exactly."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mmevol.evaluate.scoring import RULES
from mmevol.evaluate.scoring.inputs import read_inputs
from mmevol.evaluate.scoring.score import Score, score
from mmevol.evaluate.scoring.vqa import accuracy, submission
from mmevol.records import BadInput

REPO = Path(__file__).resolve().parents[3]
GOLDEN = REPO / "tests" / "golden"
REAL = REPO.parent / "shared" / "golden"
NAMES = {"mmevol": "mmevol_vendored", "vlmevalkit-head": "vlmevalkit_head", "authors": "authors"}
CASES = sorted(path.parent for path in GOLDEN.glob("*/case_*/expected.json"))
TABLES = [case for case in CASES if (case / "data.tsv").is_file()]


def same(found: Any, expected: Any, where: str = "") -> None:
    """Equal, floats to 1e-9 relative."""
    if isinstance(expected, dict):
        assert isinstance(found, dict) and set(found) == set(expected), where
        for key, value in expected.items():
            same(found[key], value, f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for at, value in enumerate(expected):
            same(found[at], value, f"{where}/{at}")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=1e-9), f"{where}: {found} != {expected}"
    else:
        assert found == expected, f"{where}: {found} != {expected}"


def load(case: Path) -> dict[str, Any]:
    return json.loads((case / "expected.json").read_text(encoding="utf-8"))


def scored(case: Path, rules: Any) -> Score:
    result = score(case.parent.name, rules, read_inputs(case.parent.name, case))
    assert Score.model_validate_json(result.model_dump_json()).metrics == result.metrics
    return result


def test_there_are_two_cases_for_each_of_thirteen_benchmarks() -> None:
    assert len(CASES) == 26 and len({case.parent for case in CASES}) == 13


@pytest.mark.parametrize("rules", ["mmevol", "vlmevalkit-head"])
@pytest.mark.parametrize("case", TABLES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_table_benchmarks(case: Path, rules: str) -> None:
    expected, result = load(case), scored(case, rules)
    official = expected[NAMES[rules]]
    assert result.rows == official["rows"]
    metrics = result.metrics
    if case.parent.name == "BLINK" and rules == "mmevol":
        blink = {name: metrics[name] for name in ("per_task", "macro_average")}
        same(blink, expected["mmevol_blink_eval"])
        metrics = {name: value for name, value in metrics.items() if name not in blink}
    same(metrics, official["scores"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_reported_number(case: Path) -> None:
    reported = load(case)["reported_number"]
    result = scored(case, "mmevol")
    same(result.reported, reported["value"], reported["name"])
    assert result.reported_name == reported["name"]
    assert result.standard_error is not None and result.standard_error > 0
    assert result.n == len(result.correct) and result.n_missing == 0
    assert abs(math.fsum(result.influence.values())) < 1e-9


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", ["case_01", "case_02"])
def test_vqa(name: str, rules: str) -> None:
    case = GOLDEN / "VQA_v2" / name
    expected, inputs = load(case), read_inputs("VQA_v2", case)
    assert submission(inputs.questions["questions"], inputs.predictions) == expected["submission"]
    result = scored(case, rules)
    same(result.metrics, expected["official_on_submission"]["accuracy"])
    assert result.rows == expected["official_on_submission"]["rows"]
    raw = {row["question_id"]: row["text"] for row in inputs.predictions}
    found = {
        str(row["question_id"]): accuracy(raw.get(row["question_id"], ""), row["answers"])
        for row in inputs.annotations["annotations"]
    }
    assert {key: round(100 * value, 2) for key, value in found.items()} == expected["official_on_raw_text"]["rows"]
    assert round(100 * sum(found.values()) / len(found), 2) == expected["official_on_raw_text"]["accuracy"]["overall"]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", ["case_01", "case_02"])
def test_gqa(name: str, rules: str) -> None:
    case = GOLDEN / "GQA" / name
    expected, result = load(case), scored(case, rules)
    same(result.metrics, expected["scores"])
    converted = {row["questionId"]: row["prediction"] for row in expected["converted"]}
    assert result.rows and all(converted[key] == answer for key, answer, _ in result.rows)


@pytest.mark.parametrize("name", ["case_01", "case_02"])
def test_mia(name: str) -> None:
    case = GOLDEN / "MIA-Bench" / name
    expected = load(case)
    same(scored(case, "mmevol").metrics, expected["mmevol_vendored"])
    same(scored(case, "vlmevalkit-head").metrics, expected["vlmevalkit_head"])
    authors = scored(case, "authors")
    same(authors.metrics, expected["apple_official"])
    same(authors.rows, expected["apple_rows"])


@pytest.mark.parametrize("tools", ["recorded", "installed"])
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", ["case_01", "case_02"])
def test_mmsinst(name: str, rules: Any, tools: str) -> None:
    case = GOLDEN / "MMSInst" / name
    expected, inputs = load(case), read_inputs("MMSInst", case)
    if tools == "installed":
        inputs = replace(inputs, nlp_map=None)
    try:
        result = score("MMSInst", rules, inputs)
    except BadInput as error:
        if tools == "recorded" or error.field not in ("unit_stripper", "database"):
            raise
        pytest.skip(f"not installed: {error.expected}")
    same(result.metrics, expected["accuracy"])
    for task, ids in expected["correct_ids"].items():
        if not task.startswith("maze"):
            assert [key for key, of, value in result.rows if of == task and value] == ids
    without = {row["question_id"] for row in read_inputs("MMSInst", case).maze_data or [] if not row["markers"]}
    maze = [(key, value) for key, of, value in result.rows if of == "maze" and key not in without]
    assert [key for key, value in maze if value >= 0.9] == expected["correct_ids"]["maze_ge_0.9"]
    assert [key for key, value in maze if value <= 0.1] == expected["correct_ids"]["maze_le_0.1"]
    summaries = result.extra["summary_rouge_l"]
    for task, text in expected["summary_rougeL"].items():
        assert (f"{summaries[task]:.2f}" if task in summaries else None) == text


@pytest.mark.parametrize("name", ["MMMU_DEV_VAL/real_qwen_vl", "MathVista_MINI/real_chatgpt"])
def test_published_outputs_of_real_models(name: str) -> None:
    case = REAL / name
    if not case.is_dir():
        pytest.skip(f"published outputs of real models are not at {case}")
    expected, result = load(case), scored(case, "authors")
    assert result.rows == expected["authors"]["rows"]
    same(result.metrics, expected["authors"]["scores"])
    same(result.reported, expected["reported_number"]["value"])


def test_no_letter_where_the_mmmu_authors_draw_one() -> None:
    case = REAL / "MMMU_DEV_VAL" / "real_qwen_vl"
    if not case.is_dir():
        pytest.skip(f"published outputs of real models are not at {case}")
    paths = {"data": case / "unparsed_data.tsv", "predictions": case / "unparsed_predictions.jsonl"}
    result = score("MMMU_DEV_VAL", "authors", read_inputs("MMMU_DEV_VAL", paths=paths))
    assert [(letter, hit) for _, letter, hit in result.rows] == [(None, 0)] * 48 and result.extraction_failures == 48
