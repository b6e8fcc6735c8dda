"""Reading the files that a benchmark is scored from, in their official formats.

A benchmark's files lie in one directory under fixed names (`FILES`) or are given one by one. Nothing here knows a
scoring rule.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmevol.evaluate.scoring.json_array import JsonArray, json_field
from mmevol.evaluate.scoring.shapes import GqaChoices, GqaQuestion, LanguageMap, Meta, MiaItem, check
from mmevol.evaluate.tables import is_table, table_digest, table_rows, unreadable
from mmevol.records import BadInput
from mmevol.store import file_digest

FILES = {
    "data": "data.tsv",
    "questions": "questions.json",
    "annotations": "annotations.json",
    "submitted": "submitted.json",
    "choices": "choices.json",
    "predictions": "predictions.jsonl",
    "judge_replies": "judge.json",
    "blink_judge_replies": "blink_judge.json",
    "maze_data": "maze_data.jsonl",
    "nlp_map": "nlp_map.json",
    "meta": "meta.json",
}
"""The name of each file in a benchmark's directory."""

_OPTIONS = ("index", "question", "answer")
COLUMNS: dict[str, tuple[str, ...]] = {
    "MMStar": _OPTIONS,
    "AI2D_TEST": _OPTIONS,
    "RealWorldQA": _OPTIONS,
    "BLINK": (*_OPTIONS, "category"),
    "MMMU_DEV_VAL": (*_OPTIONS, "A", "B"),
    "MME": (*_OPTIONS, "image_path", "category"),
    "POPE": (*_OPTIONS, "category"),
    "HallusionBench": (*_OPTIONS, "l2-category"),
    "MathVista_MINI": (*_OPTIONS, "question_type", "answer_type", "choices", "answer_option", "task", "skills"),
}
"""The columns that data.tsv must have, for the benchmarks that come as a table."""

NEEDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(COLUMNS, ("data", "predictions")),
    "VQA_v2": ("questions", "predictions"),
    "GQA": ("questions", "predictions"),
    "MIA-Bench": ("questions", "predictions"),
    "MMSInst": ("predictions",),
}
"""The files without which a benchmark cannot be scored. The keys are all thirteen benchmarks."""

_PREDICTION_FIELDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(COLUMNS, ("index", "prediction")),
    **dict.fromkeys(("VQA_v2", "GQA", "MIA-Bench"), ("question_id", "text")),
    "MMSInst": ("question_id", "text", "truth", "type", "source"),
}
_ANNOTATION_FIELDS = ("question_id", "image_id", "question_type", "answer_type", "answers")
_TEXT = (str, "text")
_ID = (str | int, "a number or text")
_TYPES = {
    "text": _TEXT,
    "truth": _TEXT,
    "type": _TEXT,
    "source": _TEXT,
    "index": _ID,
    "question_id": _ID,
    "markers": (list, "a list"),
}
"""What fields of a line must be, those that may not be anything."""

_SHAPES: dict[str, Any] = {"meta": Meta, "choices": dict[str, GqaChoices], "nlp_map": LanguageMap}

REFERENCE_LENGTH = 64
"""An image cell of up to this many characters is the index of another row that holds the image."""


@dataclass(frozen=True)
class Inputs:
    """What a benchmark is scored from, as plain data.

    ``data``: rows of data.tsv, cells as text, '' where empty; an image cell is replaced by a short digest of the
    image. ``predictions``: one object a line of predictions.jsonl. ``judge_replies``, ``blink_judge_replies``:
    recorded replies of the judges (``{"kind", "replies"}`` or a list of such) or None. Of VQA_v2, ``questions`` and
    ``annotations`` are objects whose field of that name may be any iterable. ``submitted``: the questions that a
    submission of it answers, if not these.
    ``consistency``: GQA's optional metric. ``quick_extract``: MathVista's optional shortcut of the authors' rules.
    ``digests``: sha256 of each file read. ``files``: where each part came from, for messages.
    """

    predictions: list[dict[str, Any]]
    data: list[dict[str, str]] = field(default_factory=list)
    questions: Any = None
    annotations: Any = None
    submitted: Any = None
    choices: Any = None
    judge_replies: dict[str, Any] | list[dict[str, Any]] | None = None
    blink_judge_replies: dict[str, Any] | None = None
    maze_data: list[dict[str, Any]] | None = None
    nlp_map: dict[str, Any] | None = None
    consistency: bool = False
    quick_extract: bool = False
    digests: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def bad(self, part: str, field: str, found: str, expected: str, remedy: str) -> BadInput:
        """The error to raise for something wrong in `part` (a key of `FILES`)."""
        return BadInput(
            file=self.files.get(part, FILES[part]), field=field, found=found, expected=expected, remedy=remedy
        )


def read_inputs(
    benchmark: str, directory: Path | None = None, paths: Mapping[str, Path] | None = None, consistency: bool = False
) -> Inputs:
    """Read a benchmark's files: those in `directory` under the names of `FILES`, each replaced by its entry in `paths`.

    Where meta.json says ``"mode": "exact"``, recorded judge replies beside it are not used (but for
    BLINK's own yes/no judge). Raises `BadInput` for a missing or malformed file, naming line and field.
    """
    if benchmark not in NEEDS:
        raise BadInput(
            file="BENCHMARK",
            field="benchmark",
            found=benchmark,
            expected=", ".join(NEEDS),
            remedy="spell the benchmark as listed",
        )
    beside = {part: directory / name for part, name in FILES.items()} if directory else {}
    found = {part: path for part, path in beside.items() if path.is_file() or (part == "data" and is_table(path))}
    given = dict(paths or {})
    found |= {"meta": given.pop("meta")} if "meta" in given else {}
    meta = _read(benchmark, "meta", found.pop("meta")) if "meta" in found else {}
    if meta.get("mode") == "exact":
        found.pop("judge_replies", None)
    found |= given
    for part in NEEDS[benchmark]:
        if part not in found:
            raise BadInput(
                file=str(directory / FILES[part]) if directory else FILES[part],
                field=part,
                found="no such file",
                expected=f"the {FILES[part]} of {benchmark}",
                remedy=f"put it there or give its path with --{part.replace('_', '-')}",
            )
    return Inputs(
        **{part: _read(benchmark, part, path) for part, path in found.items()},
        consistency=consistency or bool(meta.get("consistency")),
        quick_extract=bool(meta.get("quick_extract")),
        digests={part: (table_digest if part == "data" else file_digest)(path) for part, path in sorted(found.items())},
        files={part: str(path) for part, path in found.items()},
    )


def _read(benchmark: str, part: str, path: Path) -> Any:
    try:
        match part:
            case "data":
                return read_table(path, COLUMNS.get(benchmark, ()))
            case "predictions":
                return _json_lines(path, _PREDICTION_FIELDS[benchmark])
            case "maze_data":
                return _json_lines(path, ("question_id", "markers"))
            case "submitted":
                return JsonArray(path, "questions")
            case "annotations":
                return {"annotations": JsonArray(path, "annotations", _ANNOTATION_FIELDS)}
            case "questions":
                return _questions(path, benchmark)
            case _:
                value = _json(path)
                if part in _SHAPES:
                    check(value, _SHAPES[part], str(path))
                return value
    except UnicodeDecodeError as error:
        raise BadInput(
            file=str(path),
            field="(file)",
            found=str(error),
            expected="UTF-8 text",
            remedy="save the file as UTF-8, without NUL bytes",
        ) from error


def _questions(path: Path, benchmark: str) -> Any:
    """The questions file, each question with the fields that scoring uses."""
    if benchmark == "VQA_v2":  # hundreds of thousands: read as they are needed
        return {
            "data_subtype": json_field(path, "data_subtype", optional=True) or "",
            "questions": JsonArray(path, "questions", ("question_id",)),
        }
    listed = _json(path)
    if not isinstance(listed, dict if benchmark == "GQA" else list):
        raise BadInput(
            file=str(path),
            field="questions",
            found=type(listed).__name__,
            expected=f"the questions of {benchmark} in their official layout",
            remedy="use the benchmark's official file",
        )
    if shape := {"GQA": GqaQuestion, "MIA-Bench": MiaItem}.get(benchmark):
        for key, question in listed.items() if isinstance(listed, dict) else enumerate(listed):
            check(question, shape, str(path), f"question {key}")
    return listed


def read_table(path: Path, columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Rows of a tab-separated table with a header line, minimal quoting with ``"``, cells as they stand.

    The ``image`` column, which may hold megabytes, is reduced to a digest as it is read.
    """
    rows = []
    for row in table_rows(path, columns):
        if len(image := row.cells.get("image", "")) > REFERENCE_LENGTH:
            row.cells["image"] = "sha256:" + hashlib.sha256(image.encode()).hexdigest()[:24]
        rows.append(row.cells)
    if rows and "image" in rows[0] and "index" in rows[0]:
        _follow_references(rows)
    return rows


def _follow_references(rows: list[dict[str, str]]) -> None:
    """Give each row whose image cell names another row that row's image."""
    images = {row["index"]: row["image"] for row in rows}
    for row in rows:
        row["image"] = images.get(row["image"], row["image"]) or row["image"]


def _open(path: Path) -> Any:
    try:
        return open(path, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise unreadable(path, error) from error


def _json(path: Path) -> Any:
    with _open(path) as file:
        text = file.read()
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            file=f"{path}:{error.lineno}",
            field="(file)",
            found=error.msg,
            expected="JSON",
            remedy="the file is cut off or not JSON",
        ) from error


def _json_lines(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """One object a line; each must have `fields`."""
    rows = []
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise BadInput(
                    file=f"{path}:{number}",
                    field="(line)",
                    found=error.msg,
                    expected="one JSON object a line",
                    remedy="the line is cut off or not JSON: predict that row again",
                ) from error
            for name in fields:
                kind, called = _TYPES.get(name, (object, ""))
                if not isinstance(row, dict) or name not in row or not isinstance(row[name], kind):
                    raise BadInput(
                        file=f"{path}:{number}",
                        field=name,
                        found=line.strip()[:80],
                        expected=f"an object with {', '.join(fields)}" + (f"; {name} is {called}" if called else ""),
                        remedy="write the row as the benchmark's own result file does",
                    )
            rows.append(row)
    return rows
