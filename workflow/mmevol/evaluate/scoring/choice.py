"""Multiple choice as the kit scores it: MMStar, AI2D_TEST, RealWorldQA, BLINK, MMMU_DEV_VAL; BLINK also by the reference."""

import string
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.kit import Kit
from mmevol.evaluate.scoring.options import NO_REPLY
from mmevol.evaluate.scoring.result import Answered, Result, answered_mean, mean
from mmevol.evaluate.scoring.spreadsheet import Cell, text
from mmevol.evaluate.scoring.table import Index, Row, Table, kit_table
from mmevol.records import fraction

ATTEMPTS = 3
CIRCLE = 1_000_000
"""Rows whose indexes are equal modulo this are one question with its options turned round."""

BLINK_TASKS = (
    "Art_Style",
    "Functional_Correspondence",
    "Multi-view_Reasoning",
    "Relative_Reflectance",
    "Visual_Correspondence",
    "Counting",
    "IQ_Test",
    "Object_Localization",
    "Semantic_Correspondence",
    "Visual_Similarity",
    "Forensic_Detection",
    "Jigsaw",
    "Relative_Depth",
    "Spatial_Relation",
)


def score_choice(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """MMStar, AI2D_TEST, RealWorldQA: overall accuracy, reported in percent; per split and category as fractions."""
    return _score(kit_table(inputs, kit.formulas), panel, kit)


def score_mmmu(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """MMMU_DEV_VAL: an open question is a choice between its answer and "Other Answers"; validation is reported."""
    table = kit_table(inputs, kit.formulas)
    known = {
        index: cells | {"answer": cells["answer"] if cells["answer"] in (*string.ascii_uppercase,) else "A"}
        for index, cells in table.known.items()
    }
    rows = [
        replace(row, cells=row.cells | {"A": row.cells["answer"], "B": "Other Answers"})
        if row.cells["A"] is None
        else row
        for row in table.rows
    ]
    return _score(Table(rows, known, table.missing), panel, kit, split="validation")


def score_blink(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """BLINK as the kit has it.

    The reference's copy numbers the result rows 1..N, looks answers and categories up by that, and leaves out a row
    whose new number the table lacks.
    """
    table = kit_table(inputs, kit.formulas)
    if kit.renumbers_blink:
        numbered = [replace(row, index=at) for at, row in enumerate(table.rows, 1) if at in table.known]
        if table.rows and not numbered:
            raise inputs.bad("data", "index", "no row 1", "rows numbered 1..N in order", "score with vlmevalkit-head")
        table = Table(numbered, table.known, table.missing + len(table.rows) - len(numbered))
    return _score(table, panel, kit)


def score_blink_reference(inputs: Inputs, panel: Panel, kit: Kit) -> Result:
    """BLINK as the reference reports it: a judge says whether each reply is right; the mean of 14 task accuracies.

    Right if the lower-cased reply of the judge contains ``yes``. Metrics hold the kit's too.
    """
    result = score_blink(inputs, panel, kit)
    rows = kit_table(inputs, kit.formulas).rows
    result.reported_name, result.reported, result.answered = ("blink_eval macro average", None, [])
    if not panel.has("blink_yes_no"):
        result.unjudged = len(rows)
        result.notes.append("the reported number needs the yes/no judge of every reply, and there is none")
        return result
    asked = [
        (
            row.key,
            _request(
                row,
                {k: o for k, o in _options(row).items() if k in "ABCD" and isinstance(row.cells[k], str)},
                text(row.cells["answer"]),
            ),
            "",
        )
        for row in rows
    ]
    verdicts = panel.settle("blink_yes_no", asked, lambda _, reply: reply, 1)
    right: dict[str, list[tuple[Row, int]]] = {task: [] for task in BLINK_TASKS}
    for row, verdict in zip(rows, verdicts, strict=True):
        task = next((task for task in BLINK_TASKS if task in text(row.cells["category"])), None)
        if task:
            right[task].append((row, int(verdict is not None and "yes" in verdict.lower())))
    per_task = {task: mean([hit for _, hit in hits]) for task, hits in right.items()}
    result.metrics |= {"per_task": per_task, "macro_average": None}
    empty = [task for task, accuracy in per_task.items() if accuracy is None]
    if empty:
        result.notes.append(f"no row of {', '.join(empty)}: the official code gives no number")
        return result
    average = mean([accuracy for accuracy in per_task.values() if accuracy is not None])
    assert average is not None
    result.metrics["macro_average"], result.reported = average, average * 100
    for hits in right.values():
        rows_of, correct = [row for row, _ in hits], [float(hit) for _, hit in hits]
        result.answered += answered_mean(
            [row.key for row in rows_of], correct, [row.image for row in rows_of], weight=1 / len(BLINK_TASKS)
        )
    return result


def _score(table: Table, panel: Panel, kit: Kit, split: str | None = None) -> Result:
    rows = _sorted(table.rows)
    options = [_options(row) for row in rows]
    letters = [kit.letter(text(row.prediction), choices) for row, choices in zip(rows, options, strict=True)]
    groups: dict[Index, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row.index % CIRCLE if kit.grouped and isinstance(row.index, int) else row.index].append(at)
    if not kit.grouped:  # rows of one index share what was stored last
        groups = {index: members[-1:] for index, members in groups.items()}
    wanted = [text(table.known[row.index]["answer"]) for row in rows]
    open_ = [
        at
        for members in groups.values()
        if all(letters[at] in (None, wanted[at]) for at in members)
        for at in members
        if letters[at] is None
    ]
    judged, unsettled = _judge(rows, options, open_, panel, kit)
    final = [judged.get(at, letter) for at, letter in enumerate(letters)]
    hits = {index: int(all(final[at] == wanted[at] for at in members)) for index, members in groups.items()}
    last = {row.index: letter for row, letter in zip(rows, letters, strict=True)}
    counted = [row for row in rows if row.index in hits]
    correct = [hits[row.index] for row in counted]
    cells = [table.known[row.index] if kit.grouped else row.cells for row in counted]
    metrics, reported_rows = _report(counted, cells, correct, split)
    overall = metrics.get(split or next(iter(metrics), ""), {}).get("Overall")
    return Result(
        metrics=metrics,
        reported=None if overall is None else overall * 100,
        reported_name=f"{split} Overall" if split else "Overall",
        rows=[[row.index, last[row.index], hit] for row, hit in zip(counted, correct, strict=True)],
        answered=reported_rows,
        n_missing=table.missing,
        extraction_failures=sum(letter is None for letter in final) if not panel.has("mcq") else unsettled,
        notes=[] if overall is not None else [f"no row of split {split}" if split else "no row has a prediction"],
    )


def _judge(
    rows: Sequence[Row], options: Sequence[Mapping[str, str]], open_: Sequence[int], panel: Panel, kit: Kit
) -> tuple[dict[int, str], int]:
    """Letters from the judge for the rows at `open_`, and for how many its replies were of no use.

    For those the kit draws a letter of the options and Z at random, in an order that no other run repeats; here the
    draw comes from the row's index.
    """
    if not panel.has("mcq"):
        return {}, 0
    asked = [(rows[at].key, _request(rows[at], options[at]), "") for at in open_]

    def matched(at: int, reply: str) -> str | None:
        return None if NO_REPLY in reply else kit.letter(reply, options[open_[at]])

    replies = panel.settle("mcq", asked, matched, ATTEMPTS)
    letters = {}
    for at, letter in zip(open_, replies, strict=True):
        lots = [*options[at], "Z"]
        letters[at] = letter or lots[int(fraction("mcq", rows[at].key) * len(lots))]
    return letters, sum(letter is None for letter in replies)


def _report(
    rows: Sequence[Row], cells: Sequence[Mapping[str, Cell]], correct: Sequence[int], split: str | None
) -> tuple[dict[str, dict[str, float | None]], list[Answered]]:
    """Accuracy per split: overall, per l2-category, per category; and the questions behind the reported split."""
    names = [text(of["split"]) if "split" in of else "none" for of in cells]
    hits: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for of, name, hit in zip(cells, names, correct, strict=True):
        hits["", "Overall", name].append(hit)
        for column in ("l2-category", "category"):
            value = of.get(column)
            if value is not None:
                hits[column, str(value), name].append(hit)
    groups = sorted(
        {(column, value) for column, value, _ in hits}, key=lambda g: (g[0] == "category", g[0] != "", g[1])
    )
    metrics: dict[str, dict[str, float | None]] = {}
    for name in dict.fromkeys(names):
        metrics[name] = {value: mean(hits.get((column, value, name), [])) for column, value in groups}
    at = [i for i, name in enumerate(names) if split in (None, name)]
    return metrics, answered_mean(
        [rows[i].index for i in at], [float(correct[i]) for i in at], [rows[i].image for i in at]
    )


def _options(row: Row) -> dict[str, str]:
    return {letter: str(row.cells[letter]) for letter in string.ascii_uppercase if row.cells.get(letter) is not None}


def _request(row: Row, options: Mapping[str, str], answer: str = "") -> dict[str, object]:
    request: dict[str, object] = {
        "question": text(row.cells["question"]),
        "options": [[letter, option] for letter, option in options.items()],
        "prediction": text(row.prediction),
    }
    return request | {"answer": answer} if answer else request


def _sorted(rows: list[Row]) -> list[Row]:
    numbers = all(isinstance(row.index, int) for row in rows)
    return sorted(rows, key=lambda row: row.index if numbers else str(row.index))
