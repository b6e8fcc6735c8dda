"""POPE and MME by their authors' rules.

Source: evaluate.py of POPE; the evaluation tool of MME, as public copies of it agree (the original is handed out on
request).
"""

from collections import defaultdict
from collections.abc import Sequence

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.result import Answered, Result, mean
from mmevol.evaluate.scoring.spreadsheet import text
from mmevol.evaluate.scoring.table import Row, literal_table
from mmevol.evaluate.scoring.yes_no import f1_answered, mme_answered, mme_sums, precision_recall_f1


def pope_word(reply: str) -> str:
    """``no`` where the first sentence, without commas and cut at blanks, holds ``No``, ``not`` or ``no``; else ``yes``."""
    words = reply.split(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


def score_pope_authors(inputs: Inputs, panel: Panel) -> Result:
    """Fractions per category: accuracy, precision, recall, f1, yes_ratio; None where a denominator is 0.

    The authors have no pooled figure. Reported: the mean of the categories' F1 in percent.
    """
    table = literal_table(inputs)
    said = [pope_word(_reply(row)) for row in table.rows]
    wanted = [text(row.cells["answer"]).lower() != "no" for row in table.rows]
    yes = [word == "yes" for word in said]
    correct = [int(y == w) for y, w in zip(yes, wanted, strict=True)]
    categories: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(table.rows):
        for name in text(row.cells["category"]).split(","):
            categories[name].append(at)
    metrics = {}
    for name, members in categories.items():
        precision, recall, f1 = precision_recall_f1([yes[at] for at in members], [wanted[at] for at in members])
        metrics[name] = {
            "accuracy": mean([correct[at] for at in members]),
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "yes_ratio": mean([yes[at] for at in members]),
        }
    scores = [figures["f1"] for figures in metrics.values() if figures["f1"] is not None]
    whole = bool(scores) and len(scores) == len(metrics)
    answered: list[Answered] = []
    for members in categories.values() if whole else ():
        part = f1_answered(
            [table.rows[at] for at in members],
            [yes[at] for at in members],
            [wanted[at] for at in members],
            [correct[at] for at in members],
            [1 / len(categories)] * len(members),
        )
        answered += [q._replace(influence=q.influence / len(categories)) for q in part]
    return Result(
        metrics=metrics,
        reported=100 * sum(scores) / len(scores) if whole else None,
        reported_name="F1, mean of categories",
        rows=[[row.index, word, hit] for row, word, hit in zip(table.rows, said, correct, strict=True)],
        answered=answered,
        n_missing=table.missing,
        notes=[] if whole else ["a category has no F1, where the authors' code stops"],
    )


def mme_word(reply: str) -> str:
    """``yes``, ``no`` or ``other``: which of the two the first four characters of the lower-cased reply hold, yes before no."""
    head = reply.lower()[:4]
    return "yes" if "yes" in head else "no" if "no" in head else "other"


def score_mme_authors(inputs: Inputs, panel: Panel) -> Result:
    """As the kit's MME, with the authors' reading of replies; two rows that follow each other in a task are an image.

    A row with a tab in a field leaves accuracy but not accuracy+, as its line has too many fields; line breaks in a
    reply count as blanks, as a file of one line a reply must have them.
    """
    table = literal_table(inputs)
    skipped = [_has_tab(row) for row in table.rows]
    said = ["" if skip else mme_word(_reply(row)) for row, skip in zip(table.rows, skipped, strict=True)]
    correct = [int(word == text(row.cells["answer"]).lower()) for row, word in zip(table.rows, said, strict=True)]
    tasks: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(table.rows):
        tasks[text(row.cells["category"])].append(at)
    pairs = {task: list(zip(rows[::2], rows[1::2], strict=False)) for task, rows in tasks.items()}
    singles = {task: [at for at in rows if not skipped[at]] for task, rows in tasks.items()}
    scores = {task: _mme_task(singles[task], pairs[task], tasks[task], correct) for task in tasks}
    sums, notes, counted = mme_sums(scores)
    return Result(
        metrics=sums | scores,
        reported=None if sums["reasoning"] is None else sums["reasoning"] / 8,
        reported_name="MME_C",
        rows=[[row.index, word or None, hit] for row, word, hit in zip(table.rows, said, correct, strict=True)],
        answered=[q for task in counted for q in mme_answered(singles[task], pairs[task], table.rows, correct)],
        n_missing=table.missing,
        extraction_failures=sum(word in ("", "other") for word in said),
        notes=notes,
    )


def _mme_task(
    singles: Sequence[int], pairs: Sequence[tuple[int, int]], rows: Sequence[int], correct: Sequence[int]
) -> float | None:
    accuracy, plus = mean([correct[at] for at in singles]), mean([correct[a] * correct[b] for a, b in pairs])
    if accuracy is None or plus is None or len(rows) % 2:
        return None
    return 100 * (accuracy + plus)


def _has_tab(row: Row) -> bool:
    fields = (row.image, text(row.cells["question"]), text(row.cells["answer"]), _reply(row))
    return any("\t" in field for field in fields)


def _reply(row: Row) -> str:
    return "" if row.prediction is None else str(row.prediction)
