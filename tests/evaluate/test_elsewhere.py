"""Answers made elsewhere: every form is read, rows are matched by index, and what does not fit is said."""

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmevol.config.commands import PredictSettings
from mmevol.evaluate.benchmarks import rows
from mmevol.evaluate.elsewhere import take
from mmevol.records import BadInput

Rows = list[dict[str, Any]]


def as_jsonl(path: Path, of: Rows) -> None:
    path.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in of))


def as_json(path: Path, of: Rows) -> None:
    path.with_suffix(".json").write_text(json.dumps(of))


def as_tsv(path: Path, of: Rows) -> None:
    with open(path.with_suffix(".tsv"), "w", newline="") as file:
        writer = csv.DictWriter(file, list(of[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(of)


def as_xlsx(path: Path, of: Rows) -> None:
    """The least of a workbook that Excel opens: numbers as numbers, text inline."""
    pytest.importorskip("python_calamine")

    def cell(value: Any) -> str:
        if isinstance(value, int):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t xml:space="preserve">{value}</t></is></c>'

    lines = [list(of[0]), *(list(row.values()) for row in of)]
    sheet = "".join(f"<row>{''.join(map(cell, line))}</row>" for line in lines)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override '
        'PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="Sheet1" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{sheet}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path.with_suffix(".xlsx"), "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)


FORMS = (as_jsonl, as_json, as_tsv, as_xlsx)


def import_(benchmarks: Path, tmp_path: Path, *names: str) -> Path:
    settings = PredictSettings(benchmarks=list(names))
    take(settings, source=tmp_path / "made", data=benchmarks, out=tmp_path / "out")
    return tmp_path / "out"


def said(out: Path, name: str) -> Rows:
    return [json.loads(line) for line in (out / name / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.mark.parametrize("form", FORMS)
def test_the_kits_result_file(benchmarks: Path, tmp_path: Path, made: Path, form: Callable[[Path, Rows], None]) -> None:
    asked = list(rows("MMStar", benchmarks / "MMStar"))
    answers: Rows = [
        {
            "index": row.echo["index"],
            "question": row.question,
            "source": "web",
            "answer": "B",
            "prediction": f" {n} = A, \u00fc ",
        }
        for n, row in enumerate(asked)
    ]
    form(made / "other-7b_MMStar.x", answers[::-1])
    read = said(import_(benchmarks, tmp_path, "MMStar"), "MMStar")
    assert read == [row.result(f" {n} = A, \u00fc ") for n, row in enumerate(asked)]


@pytest.mark.parametrize("name", ["VQA_v2", "GQA", "MIA-Bench", "MMSInst", "MME"])
def test_our_own_files_come_back(benchmarks: Path, tmp_path: Path, made: Path, name: str) -> None:
    wanted = [row.result(f"answer {row.key}") for row in rows(name, benchmarks / name)]
    as_jsonl(made / f"{name}.x", wanted)
    assert said(import_(benchmarks, tmp_path, name), name) == wanted


def test_numbers_of_a_spreadsheet(benchmarks: Path, tmp_path: Path, made: Path) -> None:
    asked = list(rows("MathVista_MINI", benchmarks / "MathVista_MINI"))
    as_xlsx(made / "MathVista_MINI.x", [{"index": int(row.key), "prediction": 12} for row in asked])
    read = said(import_(benchmarks, tmp_path, "MathVista_MINI"), "MathVista_MINI")
    assert {row["prediction"] for row in read} == {"12"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda of: of[:-2], "no answer to 2 of 60"),
        (lambda of: [*of, of[3]], "once more"),
        (lambda of: [*of, {"index": 99999, "prediction": "A"}], "of no row"),
        (lambda of: [{"index": row["index"]} for row in of], "one of prediction, text, answer"),
    ],
)
def test_what_does_not_fit(
    benchmarks: Path, tmp_path: Path, made: Path, change: Callable[[Rows], Rows], found: str
) -> None:
    as_jsonl(made / "POPE.x", change([row.result("Yes") for row in rows("POPE", benchmarks / "POPE")]))
    with pytest.raises(BadInput, match=found):
        import_(benchmarks, tmp_path, "POPE")
    assert not (tmp_path / "out" / "POPE").exists()


def test_one_file_a_benchmark(benchmarks: Path, tmp_path: Path, made: Path) -> None:
    with pytest.raises(BadInput, match="no file"):
        import_(benchmarks, tmp_path, "POPE")
    for name in ("a_POPE.jsonl", "b_POPE.jsonl"):
        (made / name).write_text("{}\n")
    with pytest.raises(BadInput, match=r"a_POPE\.jsonl, b_POPE\.jsonl"):
        import_(benchmarks, tmp_path, "POPE")


def test_a_row_that_was_cut(benchmarks: Path, tmp_path: Path, made: Path) -> None:
    (made / "POPE.tsv").write_text("index\tprediction\n0\tYes\n1\n")
    with pytest.raises(BadInput, match="line 3: 1 cells, and 2 in the header"):
        import_(benchmarks, tmp_path, "POPE")


@pytest.mark.parametrize("text", ["{\n", "[1]\n", "5\n", '"a"\n'])
def test_a_broken_file(benchmarks: Path, tmp_path: Path, made: Path, text: str) -> None:
    for name in ("POPE.jsonl", "POPE.json"):
        (made / name).write_text(text)
        with pytest.raises(BadInput, match=r"readable \.json"):
            import_(benchmarks, tmp_path, "POPE")
        (made / name).unlink()


def test_a_byte_order_mark_is_no_content(benchmarks: Path, tmp_path: Path, made: Path) -> None:
    wanted = [row.result("Yes") for row in rows("POPE", benchmarks / "POPE")]
    (made / "POPE.json").write_text("\ufeff" + json.dumps(wanted), encoding="utf-8")
    assert said(import_(benchmarks, tmp_path, "POPE"), "POPE") == wanted
