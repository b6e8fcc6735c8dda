"""Predictions made elsewhere: VLMEvalKit's result files, or any table of answers, put in the form that the scorers read.

Rows are matched by what a benchmark files its answers under (``index``, ``question_id``), never by their order, but for MIA-Bench,
whose files have no such thing. Each row of the benchmark must have one answer, and each answer its row.
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmevol.config.commands import PredictSettings
from mmevol.evaluate.benchmarks import Row
from mmevol.evaluate.predict import questions, write_answers
from mmevol.records import BadInput

SUFFIXES = ("jsonl", "json", "tsv", "csv", "xlsx")
KEYS = ("index", "question_id", "questionId")
TEXTS = ("prediction", "text", "answer")
"""Names of the field that holds a model's answer, the first that is there: ``answer`` is the truth beside a ``prediction``."""

Line = tuple[str, dict[str, Any]]
"""Where a row stands, and its fields."""


def take(settings: PredictSettings, *, source: Path, data: Path, out: Path) -> None:
    """Write ``<benchmark>/predictions.jsonl`` below `out` from the files in the folder `source`.

    Raises `BadInput` for a benchmark without a file or with two, and for rows that are missing, there twice, or nobody's.
    """
    for name, asked in questions(settings, data).items():
        file = answer_file(source, name)
        write_answers(out / name, asked, matched(name, file, list(_lines(file)), asked))


def answer_file(source: Path, benchmark: str) -> Path:
    """The file of a benchmark: ``MME.xlsx``, or ``ANYTHING_MME.xlsx`` as the kit names it, in any of `SUFFIXES`."""
    names = {f"{benchmark}.{suffix}" for suffix in SUFFIXES}
    files = sorted(source.iterdir()) if source.is_dir() else []
    found = [f for f in files if f.name in names] or [
        f for f in files if f.name.endswith(tuple(f"_{n}" for n in names))
    ]
    if len(found) != 1:
        raise BadInput(
            file=str(source),
            field=benchmark,
            found=", ".join(f.name for f in found) or "no file",
            expected=f"one file {benchmark} or NAME_{benchmark}, with the suffix {', '.join(SUFFIXES)}",
            remedy="put the answers there, one file a benchmark, or take the benchmark out of the study",
        )
    return found[0]


def matched(benchmark: str, file: Path, lines: Sequence[Line], asked: Sequence[Row]) -> dict[str, str]:
    """The answer to each row, by key; of MIA-Bench the n-th line is the n-th row's. Raises `BadInput`."""
    if benchmark == "MIA-Bench":
        if len(lines) != len(asked):
            raise _bad(file, "(file)", f"{len(lines)} answers", f"{len(asked)}, in the order of the questions")
        return {row.key: _text(file, at, fields) for row, (at, fields) in zip(asked, lines, strict=True)}
    wanted = {_name(benchmark, row.echo): row.key for row in asked}
    found: dict[str, str] = {}
    for at, fields in lines:
        named = _name(benchmark, fields)
        if named not in wanted:
            raise _bad(file, at, f"{named!r}, of no row of this benchmark", "an index of the benchmark's own file")
        if wanted[named] in found:
            raise _bad(file, at, f"{named!r} once more", "one answer a row")
        found[wanted[named]] = _text(file, at, fields)
    if missing := [name for name, key in wanted.items() if key not in found]:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise _bad(
            file, "index", f"no answer to {len(missing)} of {len(asked)} rows: {shown}", "an answer to every row"
        )
    return found


def _name(benchmark: str, fields: dict[str, Any]) -> str:
    """What an answer is filed under; MMSInst's ids are a task's own."""
    value = _whole(next((fields[name] for name in KEYS if fields.get(name) not in (None, "")), ""))
    return f"{fields.get('source')}/{value}" if benchmark == "MMSInst" else str(value)


def _whole(value: Any) -> Any:
    """A cell without what a spreadsheet makes of whole numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(file: Path, at: str, fields: dict[str, Any]) -> str:
    """A model's answer; an empty cell is an empty answer."""
    name = next((name for name in TEXTS if name in fields), None)
    if name is None:
        raise _bad(file, at, f"fields {', '.join(fields)}", f"one of {', '.join(TEXTS)}")
    value = _whole(fields[name])
    return "" if value is None else str(value)


def _lines(file: Path) -> Iterator[Line]:
    """The rows of a file, whatever its form. Raises `BadInput`."""
    try:
        match file.suffix:
            case ".xlsx":
                yield from _sheet(file)
            case ".tsv" | ".csv":
                yield from _separated(file, "\t" if file.suffix == ".tsv" else ",")
            case ".json":
                listed = json.loads(file.read_text(encoding="utf-8-sig"))
                yield from (_object(f"item {n}", row) for n, row in enumerate(listed, 1))
            case _:
                with open(file, encoding="utf-8-sig") as opened:
                    lines = ((n, line) for n, line in enumerate(opened, 1) if line.strip())
                    yield from (_object(f"line {n}", json.loads(line)) for n, line in lines)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise _bad(file, "(file)", str(error)[:200], f"a readable {file.suffix} file, one answer a row") from error


def _object(at: str, row: Any) -> Line:
    if not isinstance(row, dict):
        raise ValueError(f"{at}: {row!r:.80}, no object")
    return at, row


def _separated(file: Path, separator: str) -> Iterator[Line]:
    """The rows of a table in text; a cell may hold line ends in quotes."""
    csv.field_size_limit(sys.maxsize)
    with open(file, encoding="utf-8-sig", newline="") as opened:
        reader = csv.reader(opened, delimiter=separator)
        head = next(reader, [])
        for cells in reader:
            if cells and len(cells) != len(head):
                raise ValueError(f"line {reader.line_num}: {len(cells)} cells, and {len(head)} in the header")
            if cells:
                yield f"line {reader.line_num}", dict(zip(head, cells, strict=True))


def _sheet(file: Path) -> Iterator[Line]:
    """The first sheet of a workbook; its first row names the columns."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        raise _bad(file, "(file)", "a workbook, and python-calamine is not installed", "a reader of .xlsx") from error
    try:
        head, *rows = CalamineWorkbook.from_path(file).get_sheet_by_index(0).to_python(skip_empty_area=False)
    except CalamineError as error:
        raise ValueError(error) from error
    for number, cells in enumerate(rows, 2):
        if any(cell != "" for cell in cells):
            yield f"row {number}", dict(zip(map(str, head), cells, strict=True))


def _bad(file: Path, field: str, found: str, expected: str) -> BadInput:
    remedy = "mend the file, or make it anew"
    if "calamine" in found:
        remedy = "pip install python-calamine, or save the sheet as .tsv"
    return BadInput(file=str(file), field=field, found=found, expected=expected, remedy=remedy)
