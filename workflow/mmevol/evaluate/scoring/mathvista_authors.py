"""MathVista_MINI by its authors' rules: an extraction, normalised to the row's type, must equal the answer's text.

Source: the evaluation code of MathVista's authors (extraction, normalisation, scores).
"""

import re
import string
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.mathvista import as_list, extraction_request
from mmevol.evaluate.scoring.result import Result, answered_mean
from mmevol.evaluate.scoring.table import Row, literal_table

GROUPINGS = ("question_type", "answer_type", "language", "source", "category", "task", "context", "grade")
_STATED = re.compile(r'The answer is "(.*)"\.')
_BRACKETED = re.compile(r"\(([a-zA-Z])\)")


def settle(reply: str, question_type: str, answer_type: str, choices: Sequence[str], quick: bool) -> str | None:
    """The extraction where a rule gives it; None: the judge must. ``quick``: take what ``The answer is "…".`` holds."""
    if not reply:
        return ""
    if question_type == "multi_choice" and reply in choices:
        return reply
    try:
        if answer_type == "integer":
            return str(int(reply))
        if answer_type == "float":
            return str(float(reply))
    except ValueError:
        pass
    stated = _STATED.search(reply) if quick else None
    return stated[1] if stated else None


def normalise(
    extraction: str, question_type: str, answer_type: str, choices: Sequence[str], precision: str | None
) -> str | None:
    """The prediction that an extraction stands for, None where it stands for none.

    A choice is named by letter or is the nearest by edit distance; an integer is cut towards zero; a float is rounded
    to the row's precision; a list is taken as it is. The authors' code has no rule for free text.
    """
    if question_type == "multi_choice":
        return nearest_choice(extraction, choices)
    try:
        if answer_type == "integer":
            return str(int(float(extraction)))
        if answer_type == "float" and precision is not None:
            return str(round(float(extraction), int(float(precision))))
    except (ValueError, OverflowError):
        return None
    return extraction if answer_type == "list" else None


def nearest_choice(extraction: str, choices: Sequence[str]) -> str | None:
    """The choice that a bracketed or bare capital letter names, else the (first) one at the smallest edit distance."""
    extraction = extraction.strip()
    bracketed = _BRACKETED.search(extraction)
    if bracketed:
        extraction = bracketed[1].upper()
    letters = string.ascii_uppercase[: len(choices)]
    if len(extraction) == 1 and extraction in letters:
        return choices[letters.index(extraction)]
    return min(choices, key=lambda choice: edit_distance(extraction, choice), default=None)


def edit_distance(left: str, right: str) -> int:
    """Levenshtein distance over code points, all costs 1."""
    row = list(range(len(right) + 1))
    for i, char in enumerate(left, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(right, 1):
            diagonal, row[j] = (row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (char != other)))
    return row[-1]


def score_mathvista_authors(inputs: Inputs, panel: Panel) -> Result:
    """``average`` and nine groupings: ``accuracy`` (fraction), ``correct``, ``total``. Reported: the average in percent."""
    table = literal_table(inputs)
    choices = [list(map(str, as_list(row.cells["choices"], inputs, "choices"))) for row in table.rows]
    extractions = [
        settle(_text(row.prediction), _type(row, "question"), _type(row, "answer"), options, inputs.quick_extract)
        for row, options in zip(table.rows, choices, strict=True)
    ]
    open_ = [at for at, extraction in enumerate(extractions) if extraction is None]
    judged = panel.has("mathvista_extract")
    if judged:
        asked = [
            (
                table.rows[at].key,
                extraction_request(table.rows[at], dict(zip(string.ascii_uppercase, choices[at], strict=False))),
                "",
            )
            for at in open_
        ]
        for at, reply in zip(
            open_, panel.settle("mathvista_extract", asked, lambda _, said: said.strip(), 1), strict=True
        ):
            extractions[at] = reply or ""
    predictions = [
        None
        if extraction is None
        else normalise(extraction, _type(row, "question"), _type(row, "answer"), options, _cell(row, "precision"))
        for row, options, extraction in zip(table.rows, choices, extractions, strict=True)
    ]
    correct = [
        int(prediction is not None and prediction == row.cells["answer"])
        for row, prediction in zip(table.rows, predictions, strict=True)
    ]
    unjudged = 0 if judged else len(open_)
    metrics = _metrics(inputs, table.rows, correct)
    return Result(
        metrics=metrics,
        reported=None if unjudged or not table.rows else metrics["average"]["accuracy"] * 100,
        reported_name="acc",
        rows=[[row.index, value, hit] for row, value, hit in zip(table.rows, predictions, correct, strict=True)],
        answered=answered_mean(
            [row.key for row in table.rows], [float(hit) for hit in correct], [row.image for row in table.rows]
        ),
        n_missing=table.missing,
        extraction_failures=sum(not extraction for extraction in extractions),
        unjudged=unjudged,
        notes=[f"{unjudged} rows need a judge to extract the answer, and there is none"] if unjudged else [],
    )


def _metrics(inputs: Inputs, rows: Sequence[Row], correct: Sequence[int]) -> dict[str, Any]:
    groups: dict[str, dict[str, list[int]]] = {}
    for row, hit in zip(rows, correct, strict=True):
        for grouping in GROUPINGS:
            value = _cell(row, grouping)
            if value is not None:
                groups.setdefault(grouping, defaultdict(list))[value].append(hit)
        for skill in as_list(row.cells["skills"], inputs, "skills"):
            groups.setdefault("skills", defaultdict(list))[str(skill)].append(hit)
    metrics: dict[str, Any] = {"average": _share(list(correct))} if correct else {}
    return metrics | {
        grouping: {value: _share(hits) for value, hits in found.items()} for grouping, found in groups.items()
    }


def _share(hits: Sequence[int]) -> dict[str, float]:
    return {"accuracy": sum(hits) / len(hits), "correct": sum(hits), "total": len(hits)}


def _type(row: Row, of: str) -> str:
    return _cell(row, f"{of}_type") or ""


def _cell(row: Row, name: str) -> str | None:
    value = row.cells.get(name)
    return None if value is None else str(value)


def _text(prediction: object) -> str:
    return "" if prediction is None else str(prediction)
