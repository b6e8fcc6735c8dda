"""VQA_v2: val gives a number, test-dev ends at a file for EvalAI, and both write that file."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmevol.cli import app
from mmevol.records import BadInput
from typer.testing import CliRunner

ASKED = [{"image_id": 1, "question": "Q?", "question_id": n} for n in (10, 20)]


def folder(path: Path, subtype: str, more: tuple[int, ...] = ()) -> Path:
    head = {"data_type": "mscoco", "data_subtype": subtype, "questions": ASKED}
    (path / "questions.json").write_text(json.dumps(head))
    (path / "predictions.jsonl").write_text('{"question_id": 10, "text": "The Two dogs."}\n')
    if more:
        (path / "submitted.json").write_text(json.dumps({"questions": [{"question_id": n} for n in more]}))
    return path


def score(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    done = CliRunner().invoke(
        app, ["evaluate", "score", "VQA_v2", "--inputs", str(path), "--output", str(path / "s/score.json")]
    )
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return *(json.loads((path / "s" / name).read_text()) for name in ("score.json", "submission.json")), done.output  # type: ignore[return-value]


def test_test_dev_ends_at_a_submission_of_all_of_test(tmp_path: Path) -> None:
    result, submission, said = score(folder(tmp_path, "test-dev2015", more=(20, 30, 10)))
    assert submission == [{"question_id": n, "answer": a} for n, a in ((20, ""), (30, ""), (10, "2 dogs"))]
    assert result["reported"] is None and result["metrics"] == {"overall": None} and result["n_missing"] == 1
    assert result["rows"] == {"10": "2 dogs", "20": ""}
    assert "no number" in said and "EvalAI" in "".join(result["notes"])


def test_without_the_questions_of_test_it_answers_its_own(tmp_path: Path) -> None:
    _, submission, _ = score(folder(tmp_path, "test-dev2015"))
    assert [row["question_id"] for row in submission] == [10, 20]


def test_val_gives_a_number_and_the_file_too(tmp_path: Path) -> None:
    folder(tmp_path, "val2014")
    with pytest.raises(BadInput, match="the annotations of val2014"):
        score(tmp_path)
    answers = [{"answer": "2 dogs", "answer_id": n, "answer_confidence": "yes"} for n in range(10)]
    notes = [
        {"question_id": n, "image_id": 1, "question_type": "t", "answer_type": "other", "answers": answers}
        for n in (10, 20)
    ]
    (tmp_path / "annotations.json").write_text(json.dumps({"annotations": notes}))
    result, submission, _ = score(tmp_path)
    assert result["reported"] == 50.0 and len(submission) == 2
