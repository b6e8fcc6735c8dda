"""Reading files: what a person did wrong is named with file, row, field, what was found and what to do; and the command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from mmevol.evaluate.scoring.command import score_command
from mmevol.evaluate.scoring.inputs import NEEDS, read_inputs
from mmevol.evaluate.scoring.json_array import JsonArray
from mmevol.evaluate.scoring.score import score
from mmevol.records import BadInput
from typer.testing import CliRunner

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
HEADER = "index\tquestion\tA\tB\tanswer\timage\n"


def folder(
    path: Path, table: str = HEADER + "1\tq\tx\ty\tA\timg\n", lines: str = '{"index": 1, "prediction": "A"}\n'
) -> Path:
    (path / "data.tsv").write_text(table, encoding="utf-8", newline="")
    (path / "predictions.jsonl").write_text(lines, encoding="utf-8")
    return path


def test_cells_as_they_stand(tmp_path: Path) -> None:
    inputs = read_inputs("MMStar", folder(tmp_path, HEADER + '1\t"a\tb ""c""\r\nd"\t 5" \tNone\tA\tx\n'))
    assert (
        inputs.data[0]["question"] == 'a\tb "c"\r\nd'
        and inputs.data[0]["A"] == ' 5" '
        and inputs.data[0]["B"] == "None"
    )
    assert set(inputs.digests) == {"data", "predictions"} and len(inputs.digests["data"]) == 64


def test_images_become_digests_and_references_are_followed(tmp_path: Path) -> None:
    big = "i" * 5000
    table = HEADER + f"1\tq\tx\ty\tA\t{big}\n2\tq\tx\ty\tA\t1\n3\tq\tx\ty\tA\t\n4\tq\tx\ty\tA\t{big}\n"
    one, two, three, four = (row["image"] for row in read_inputs("MMStar", folder(tmp_path, table)).data)
    assert one == two == four and len(one) < 40 and three == ""


@pytest.mark.parametrize(
    ("table", "lines", "file", "field", "found"),
    [
        ("index\tquestion\n1\tq\n", None, "data.tsv:1", "answer", "columns index, question"),
        (HEADER + "1\tq\tx\n", None, "data.tsv:2", "row 1", "3 cells"),
        (HEADER + "1\tq\tx\ty\tA\ti\textra\n", None, "data.tsv:2", "row 1", "7 cells"),
        (None, '{"index": 1, "prediction": "A"}\n{"index": 2, "pred', "predictions.jsonl:2", "(line)", "Unterminated"),
        (None, '\n{"index": 1}\n', "predictions.jsonl:2", "prediction", '{"index": 1}'),
        (None, "[1]\n", "predictions.jsonl:1", "index", "[1]"),
    ],
)
def test_malformed_rows(
    tmp_path: Path, table: str | None, lines: str | None, file: str, field: str, found: str
) -> None:
    given = {name: text for name, text in (("table", table), ("lines", lines)) if text is not None}
    with pytest.raises(BadInput) as error:
        read_inputs("MMStar", folder(tmp_path, **given))
    assert error.value.file.endswith(file) and error.value.field == field and found in error.value.found
    assert error.value.expected and error.value.remedy


@pytest.mark.parametrize("benchmark", sorted(NEEDS))
def test_a_missing_file_is_named(tmp_path: Path, benchmark: str) -> None:
    with pytest.raises(BadInput) as error:
        read_inputs(benchmark, tmp_path)
    assert str(tmp_path) in error.value.file and "--" in error.value.remedy


def test_other_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="MMStar"):
        read_inputs("MMstar", tmp_path)
    with pytest.raises(BadInput, match="No such file"):
        read_inputs("MMStar", folder(tmp_path), {"data": tmp_path / "else.tsv"})
    (tmp_path / "judge.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="JSON"):
        read_inputs("MMStar", tmp_path)


@pytest.mark.parametrize(
    ("benchmark", "text", "field"),
    [
        ("VQA_v2", "[]", "character 1"),
        ("VQA_v2", '{"questions": [{"question_id": 1}, {"id": 2}]}', "questions 1: question_id"),
        ("GQA", "[]", "questions"),
        ("GQA", '{"7": {"question": "q"}}', "question 7: answer"),
        ("GQA", '{"7": {"question": 7}}', "question 7: question"),
        ("MIA-Bench", "[1]", "question 0"),
    ],
)
def test_malformed_questions(tmp_path: Path, benchmark: str, text: str, field: str) -> None:
    (tmp_path / "questions.json").write_text(text, encoding="utf-8")
    (tmp_path / "annotations.json").write_text("{}", encoding="utf-8")
    (tmp_path / "predictions.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(BadInput) as error:
        score(benchmark, "mmevol", read_inputs(benchmark, tmp_path))
    assert error.value.field == field and error.value.file.endswith("questions.json")


@pytest.mark.parametrize(
    ("part", "text", "field", "found"),
    [
        ("judge.json", '["a"]', "0", "a"),
        ("judge.json", '{"replies": {}}', "kind", "nothing"),
        ("judge.json", '{"kind": "mcq", "replies": {"1": []}}', "replies.1", "[]"),
        ("judge.json", '{"kind": "mqc", "replies": {}}', "kind", "mqc"),
        ("meta.json", "[]", "(file)", "[]"),
        ("nlp_map.json", '{"synonyms": [["a", "b"]]}', "synonyms.0", "['a', 'b']"),
        ("choices.json", '{"7": {"valid": []}}', "7.plausible", "nothing"),
    ],
)
def test_malformed_companions(tmp_path: Path, part: str, text: str, field: str, found: str) -> None:
    (folder(tmp_path) / part).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as error:
        score("MMStar", "mmevol", read_inputs("MMStar", tmp_path))
    assert (error.value.field, error.value.found) == (field, found) and error.value.file.endswith(part)


@pytest.mark.parametrize("answers", ['"yes"', "[1]", '[{"x": 1}]', '[{"answer": 1}]', "null"])
def test_malformed_answers_of_vqa(tmp_path: Path, answers: str) -> None:
    (tmp_path / "questions.json").write_text('{"questions": [{"question_id": 1}]}', encoding="utf-8")
    rest = '"question_id": 1, "image_id": 1, "question_type": "", "answer_type": ""'
    (tmp_path / "annotations.json").write_text(
        f'{{"annotations": [{{{rest}, "answers": {answers}}}]}}', encoding="utf-8"
    )
    (tmp_path / "predictions.jsonl").write_text('{"question_id": 1, "text": "x"}', encoding="utf-8")
    with pytest.raises(BadInput, match="1: answers"):
        score("VQA_v2", "mmevol", read_inputs("VQA_v2", tmp_path))


@pytest.mark.parametrize(
    ("benchmark", "line", "field"),
    [
        ("MMStar", '{"index": null, "prediction": "A"}', "index"),
        ("MMSInst", '{"question_id": [1], "text": "", "truth": "", "type": "", "source": "iq"}', "question_id"),
        ("MMSInst", '{"question_id": 1, "text": "", "truth": "", "type": "", "source": []}', "source"),
    ],
)
def test_a_line_with_a_field_of_another_type(tmp_path: Path, benchmark: str, line: str, field: str) -> None:
    with pytest.raises(BadInput, match=f"field:    {field}"):
        read_inputs(benchmark, folder(tmp_path, lines=line))


def test_a_malformed_annotation(tmp_path: Path) -> None:
    (tmp_path / "questions.json").write_text('{"questions": [{"question_id": 1}]}', encoding="utf-8")
    (tmp_path / "annotations.json").write_text('{"annotations": [{"question_id": 1}]}', encoding="utf-8")
    (tmp_path / "predictions.jsonl").write_text('{"question_id": 1, "text": "x"}', encoding="utf-8")
    with pytest.raises(BadInput, match="annotations 0: image_id"):
        score("VQA_v2", "mmevol", read_inputs("VQA_v2", tmp_path))


def test_a_prediction_that_is_no_text_and_a_table_that_is_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text(
        '{"question_id": 1, "text": null, "truth": "x", "type": "", "source": "iq"}', encoding="utf-8"
    )
    with pytest.raises(BadInput, match="text is text"):
        read_inputs("MMSInst", tmp_path)
    folder(tmp_path)
    (tmp_path / "data.tsv").write_bytes(HEADER.encode() + b"1\t\xff\tx\ty\tA\ti\n")
    with pytest.raises(BadInput, match="UTF-8"):
        read_inputs("MMStar", tmp_path)


def test_exact_mode_leaves_recorded_replies_alone(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "judge.json").write_text('{"kind": "mcq", "replies": {}}', encoding="utf-8")
    assert read_inputs("MMStar", tmp_path).judge_replies is not None
    (tmp_path / "meta.json").write_text('{"mode": "exact"}', encoding="utf-8")
    assert read_inputs("MMStar", tmp_path).judge_replies is None
    assert read_inputs("MMStar", tmp_path, {"judge_replies": tmp_path / "judge.json"}).judge_replies is not None


def test_files_of_other_systems(tmp_path: Path) -> None:
    """A byte order mark, CRLF, blank lines and a last line without end are no content."""
    row = "1\tq\tx\ty\tA\timg"
    folder(tmp_path, f"\ufeff{HEADER[:-1]}\r\n{row}\r\n\r\n2{row[1:]}", '\ufeff{"index": 1, "prediction": "A"}\r\n')
    inputs = read_inputs("MMStar", tmp_path)
    assert [cells["index"] for cells in inputs.data] == ["1", "2"] and inputs.data[0]["image"] == "img"
    assert inputs.predictions == [{"index": 1, "prediction": "A"}]
    (tmp_path / "annotations.json").write_text('\ufeff{"annotations": [1]}', encoding="utf-8")
    assert list(JsonArray(tmp_path / "annotations.json", "annotations")) == [1]


def test_meta_says_how_to_score(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "judge.json").write_text('{"kind": "mcq", "replies": {}}', encoding="utf-8")
    (tmp_path / "how.json").write_text(
        '{"mode": "exact", "quick_extract": true, "consistency": true}', encoding="utf-8"
    )
    inputs = read_inputs("MMStar", tmp_path, {"meta": tmp_path / "how.json"})
    assert inputs.judge_replies is None and inputs.quick_extract and inputs.consistency
    assert "meta" not in inputs.digests


app = typer.Typer()
app.command()(score_command)


def test_the_command_writes_the_same_bytes_each_time(tmp_path: Path) -> None:
    case = GOLDEN / "MMStar" / "case_02"
    outputs = [tmp_path / name / "score.json" for name in ("a", "b")]
    for output in outputs:
        shown = CliRunner().invoke(app, ["MMStar", "--inputs", str(case), "--rules", "mmevol", "--output", str(output)])
        assert shown.exit_code == 0 and "Overall: 66.00" in shown.output
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    score = json.loads(outputs[0].read_text(encoding="utf-8"))
    assert score["reported"] == 66 and score["n"] == 100 and score["judge_calls"] > 0 and score["version"]


def test_the_command_takes_single_files(tmp_path: Path) -> None:
    case, output = GOLDEN / "GQA" / "case_02", tmp_path / "score.json"
    files = ["--questions", str(case / "questions.json"), "--predictions", str(case / "predictions.jsonl")]
    assert CliRunner().invoke(app, ["GQA", *files, "--output", str(output), "--consistency"]).exit_code == 0
    score = json.loads(output.read_text(encoding="utf-8"))
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))["scores"]
    assert (
        score["metrics"]["consistency"] == pytest.approx(expected["consistency"]) and score["metrics"]["validity"] == 0
    )
    found = CliRunner().invoke(app, ["GQA", "--output", str(output), "--rules", "kit"])
    assert found.exit_code == 2


def test_scoring_loads_nothing_heavy(tmp_path: Path) -> None:
    arguments = ["mmevol", "evaluate", "score", "MMStar", "--inputs", str(GOLDEN / "MMStar/case_01")]
    code = (
        f"import json, sys; sys.argv = {[*arguments, '--output', str(tmp_path / 'score.json')]}\n"
        "try:\n    from mmevol.cli import main; main()\nexcept SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "snakemake", "pyarrow", "aiohttp", "pandas", "numpy", "spacy", "PIL"}
    assert (tmp_path / "score.json").is_file() and not heavy & set(json.loads(done.stdout.splitlines()[-1]))
