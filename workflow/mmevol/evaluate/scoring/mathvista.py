"""MathVista_MINI as the kit scores it: settled by rule where possible, else by what a judge extracts from the reply."""

import ast
import json
import string
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.kit import Kit
from mmevol.evaluate.scoring.options import NO_REPLY
from mmevol.evaluate.scoring.result import Result, answered_mean
from mmevol.evaluate.scoring.spreadsheet import Cell, column_read_back, text
from mmevol.evaluate.scoring.table import Row, kit_table

ATTEMPTS = 5


def score_mathvista(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """Per task and skill: ``tot``, settled without judge (``prefetch``), right (``hit``), rates in percent.

    Reported: overall ``acc``.

    The kit has no way to score an unsettled row without a judge: then nothing is reported, and the metrics count it
    as wrong.
    """
    table = kit_table(inputs, kit.formulas)
    choices = [_choices(row, inputs) for row in table.rows]
    settled = [_settle(row, options, kit) for row, options in zip(table.rows, choices, strict=True)]
    open_ = [at for at, value in enumerate(settled) if not value]
    extracted: list[Cell] = [value or None for value in settled]
    if panel.has("mathvista_extract"):
        asked = [(table.rows[at].key, extraction_request(table.rows[at], choices[at]), "") for at in open_]

        def given(_: int, reply: str) -> str | None:
            return None if kit.mathvista_retries == "no reply" and NO_REPLY in reply else reply

        for at, reply in zip(open_, panel.settle("mathvista_extract", asked, given, ATTEMPTS), strict=True):
            extracted[at] = reply
    stored = {row.index: at for at, row in enumerate(table.rows)}
    kept = [stored[row.index] for row in table.rows]  # rows of one index share what was stored last
    extracted = column_read_back([extracted[at] for at in kept], kit.formulas)
    settled = [settled[at] for at in kept]
    hits = [
        int(_right(row, options, value, kit))
        for row, options, value in zip(table.rows, choices, extracted, strict=True)
    ]
    metrics = _counts(inputs, table.rows, [bool(value) for value in settled], hits)
    unjudged = 0 if panel.has("mathvista_extract") else len(open_)
    return Result(
        metrics=metrics,
        reported=None if unjudged or not table.rows else metrics["Overall"]["acc"],
        reported_name="acc",
        rows=[
            [row.index, None if value is None else str(value), int(bool(rule)), hit]
            for row, value, rule, hit in zip(table.rows, extracted, settled, hits, strict=True)
        ],
        answered=answered_mean(
            [row.key for row in table.rows], [float(hit) for hit in hits], [row.image for row in table.rows]
        ),
        n_missing=table.missing,
        extraction_failures=sum(value is None for value in extracted),
        unjudged=unjudged,
        notes=[f"{unjudged} rows need a judge to extract the answer, and there is none"] if unjudged else [],
    )


def _counts(
    inputs: Inputs, rows: Sequence[Row], settled: Sequence[bool], hits: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Over all rows, per task and per skill (one name, one count)."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: {"tot": 0, "prefetch": 0, "hit": 0})
    for row, rule, hit in zip(rows, settled, hits, strict=True):
        for name in ("Overall", text(row.cells["task"]), *as_list(row.cells["skills"], inputs, "skills")):
            counts[name]["tot"] += 1
            counts[name]["prefetch"] += rule
            counts[name]["hit"] += hit
    for count in counts.values():
        count["prefetch_rate"] = count["prefetch"] / count["tot"] * 100
        count["acc"] = count["hit"] / count["tot"] * 100
    return dict(counts)


def as_list(cell: Cell, inputs: Inputs, column: str) -> list[Any]:
    """A cell that holds a list, as JSON or as Python writes it; an empty cell is the empty list."""
    if cell is None:
        return []
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(str(cell))
        except (ValueError, SyntaxError):
            continue
        if isinstance(value, list):
            return value
    raise inputs.bad(
        "data", column, str(cell)[:80], "a list, as JSON or Python text", "use the benchmark's official table"
    )


def extraction_request(row: Row, options: dict[str, str]) -> dict[str, Any]:
    """What a judge needs to extract the answer from a reply."""
    return {
        "question": text(row.cells["question"]),
        "options": [[letter, option] for letter, option in options.items()],
        "prediction": text(row.prediction),
        "answer_type": text(row.cells["answer_type"]),
    }


def _choices(row: Row, inputs: Inputs) -> dict[str, str]:
    if row.cells["question_type"] != "multi_choice":
        return {}
    options = as_list(row.cells["choices"], inputs, "choices")
    return dict(zip(string.ascii_uppercase, map(str, options), strict=False))


def _settle(row: Row, options: dict[str, str], kit: Kit) -> Cell:
    """The answer that the reply is, where a rule sees it: any letter of a choice, a number equal to the answer but 0."""
    if row.cells["question_type"] == "multi_choice":
        return kit.letter(text(row.prediction), options)
    value, answer = _read(row, row.prediction)
    return value if answer is not None and value == answer else None


def _right(row: Row, options: dict[str, str], extracted: Cell, kit: Kit) -> bool:
    if row.cells["question_type"] == "multi_choice":
        return kit.letter(text(extracted), options) == row.cells["answer_option"]
    value, answer = _read(row, extracted)
    return answer is not None and value == answer


def _read(row: Row, cell: Cell) -> tuple[int | float | None, int | float | None]:
    """Cell and answer as the row's number type; None, None where either is not one, and for texts and lists.

    The official code compares a text or list answer with the text ``None``, so that one is never right.
    """
    answer = row.cells["answer"]
    kind = {"integer": int, "float": float}.get(text(row.cells["answer_type"]))
    if kind is None or cell is None or answer is None:
        return None, None
    try:
        return kind(cell), kind(answer)
    except (ValueError, OverflowError):
        return None, None
