"""HallusionBench by its authors' rules: a judge says of every reply whether it is correct, incorrect or unclear.

Source: utils.py and evaluation.py of HallusionBench. Their diagnosis of causes, which needs a second pass of the
judge, is not here.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.kit import HEAD
from mmevol.evaluate.scoring.result import Result, answered_mean, mean
from mmevol.evaluate.scoring.spreadsheet import text
from mmevol.evaluate.scoring.table import Row, literal_table
from mmevol.evaluate.scoring.yes_no import hallusion_index, score_hallusion

CORRECT, INCORRECT, UNCLEAR = 1, 0, 2


@dataclass(frozen=True)
class _Judged:
    """A row with its place. ``right``: correct, or unclear where a question about a picture is asked without one."""

    group: tuple[str, str]
    set: str
    figure: str
    question: str
    hard: bool
    answer: bool
    right: bool


def verdict(reply: str) -> int:
    """`INCORRECT` if the judge's lower-cased text contains ``incorrect``, else `CORRECT` if ``correct``, else `UNCLEAR`."""
    low = reply.lower()
    return INCORRECT if "incorrect" in low else CORRECT if "correct" in low else UNCLEAR


def score_hallusion_authors(inputs: Inputs, panel: Panel) -> Result:
    """Percent, for Overall, VD and VS: aAcc, qAcc (also of easy and hard rows), figures, bias towards yes. Reported: aAcc.

    Needs the authors' columns ``visual_input`` (0, 1, 2) and ``gt_answer_details`` (a sentence), and keeps rows
    without image. The kit's table has neither: it is scored by the kit's rule, and a note says so.
    """
    if inputs.data and "visual_input" not in inputs.data[0]:
        result = score_hallusion(inputs, panel, HEAD)
        note = "the table lacks visual_input, which the authors' rule needs: this is the kit's rule"
        return replace(result, notes=[*result.notes, note])
    table = literal_table(inputs, without_image=True)
    judged = panel.has("hallusion_verdict")
    verdicts: list[int | None] = [None] * len(table.rows)
    if judged:
        asked = [(row.key, _request(row), "") for row in table.rows]
        verdicts = panel.settle("hallusion_verdict", asked, lambda _, reply: verdict(reply), 1)
    rows = [_place(row, inputs, said) for row, said in zip(table.rows, verdicts, strict=True)]
    keys = [(row.group, row.set, row.figure, row.question) for row in rows]
    times = Counter(keys)
    for row, key in zip(table.rows, keys, strict=True):
        if times[key] > 1:
            raise inputs.bad("data", "index", row.key, "a question once", "remove the copy")
    metrics = {
        name: _figures([row for row in rows if name in ("Overall", row.group[0])])
        for name in dict.fromkeys(["Overall", *(row.group[0] for row in rows)])
    }
    whole = judged and bool(rows)
    return Result(
        metrics=metrics if judged else {},
        reported=metrics["Overall"]["aAcc"] if whole else None,
        reported_name="aAcc",
        rows=[[row.index, said, int(place.right)] for row, said, place in zip(table.rows, verdicts, rows, strict=True)],
        answered=answered_mean(
            [row.key for row in table.rows],
            [float(place.right) for place in rows],
            ["_".join((*place.group, place.set, place.figure)) for place in rows],
        ),
        n_missing=table.missing,
        unjudged=0 if judged else len(rows),
        notes=[] if whole else ["every row needs a judge of its correctness, and there is none"],
    )


def _request(row: Row) -> dict[str, object]:
    return {
        "question": text(row.cells["question"]),
        "answer": text(row.cells.get("gt_answer_details")),
        "prediction": "" if row.prediction is None else str(row.prediction),
    }


def _place(row: Row, inputs: Inputs, said: int | None) -> _Judged:
    set_, figure, question = hallusion_index(row, inputs)
    category = text(row.cells["category"])
    return _Judged(
        group=(category, text(row.cells["l2-category"])),
        set=set_,
        figure=figure,
        question=question,
        hard=row.cells["visual_input"] == "2",
        answer=text(row.cells["answer"]).lower() == "yes",
        right=said == CORRECT or (said == UNCLEAR and category == "VS" and figure == "0"),
    )


def _figures(rows: Sequence[_Judged]) -> dict[str, float | None]:
    questions = _shares(rows, lambda row: (*row.group, row.set, row.question))
    pictured = [row for row in rows if (row.group[0], row.figure) != ("VS", "0")]
    figures = _shares(pictured, lambda row: (*row.group, row.set, row.figure))
    easy = _shares([row for row in rows if not row.hard], lambda row: (*row.group, row.set, row.question))
    hard = _shares([row for row in rows if row.hard], lambda row: (*row.group, row.set, row.question))
    said_yes = mean([float(row.right == row.answer) for row in rows]) or 0.0
    wrong = [row for row in rows if not row.right]
    return {
        "aAcc": mean([100.0 * row.right for row in rows]),
        "qAcc": mean([100.0 * (share == 1) for share in questions]),
        "easy": mean([100.0 * (share == 1) for share in easy]),
        "hard": mean([100.0 * (share == 1) for share in hard]),
        "fAcc": mean([100.0 * (share == 1) for share in figures]),
        "inconsistent": mean([100.0 * (0 < share < 1) for share in figures]),
        "wrong": mean([100.0 * (share == 0) for share in figures]),
        "figure_score": mean([100.0 * share for share in figures]),
        "yes_difference": said_yes - (mean([float(row.answer) for row in rows]) or 0.0),
        "false_positive_ratio": mean([float(not row.answer) for row in wrong]),
    }


def _shares(rows: Sequence[_Judged], key: Callable[[_Judged], tuple[str, ...]]) -> list[float]:
    """The share of right rows of each group."""
    groups: dict[tuple[str, ...], list[bool]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row.right)
    return [sum(group) / len(group) for group in groups.values()]
