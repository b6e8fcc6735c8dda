"""HallusionBench by its authors' rules: a judge says of every reply whether it is correct, incorrect or unclear.

A second pass of the judge compares replies with those to the same questions at figure 0, and tells the causes of what is
wrong: the language model's beliefs, its sight, or both. Source: utils.py and evaluation.py of HallusionBench.
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
CAUSES = ("language", "vision", "mixed")


@dataclass(frozen=True)
class _Judged:
    """A row with its place. ``right``: correct, or unclear where a question about a picture is asked without one.

    ``visual``: 0 without picture, 1 with the original, 2 with a changed one. ``cause``: see `cause`.
    """

    group: tuple[str, str]
    set: str
    figure: str
    question: str
    visual: str
    answer: bool
    verdict: int | None
    cause: str | None = None

    @property
    def right(self) -> bool:
        """Whether the row counts as right."""
        textual = (self.group[0], self.figure) == ("VS", "0")
        return self.verdict == CORRECT or (self.verdict == UNCLEAR and textual)


def cause(row: _Judged, original: int | None, same: bool) -> str | None:
    """One of `CAUSES` for a wrong row, None where the authors name none.

    ``original``: the verdict on the same question at figure 0; ``same``: whether the two replies agree.
    """
    if row.right:
        return None
    wrong = row.verdict == INCORRECT
    if row.group[0] == "VD":
        return "mixed" if row.figure != "0" and wrong and original == CORRECT and same else "vision"
    if row.figure == "0":
        return "language"
    if original == INCORRECT:
        return "language" if wrong and same else "mixed"
    changed = original == CORRECT and wrong and row.visual == "2"
    return "language" if changed and same else "vision"


def verdict(reply: str) -> int:
    """`INCORRECT` if the judge's lower-cased text contains ``incorrect``, else `CORRECT` if ``correct``, else `UNCLEAR`."""
    low = reply.lower()
    return INCORRECT if "incorrect" in low else CORRECT if "correct" in low else UNCLEAR


def score_hallusion_authors(inputs: Inputs, panel: Panel) -> Result:
    """Percent, for Overall, VD and VS: aAcc, qAcc (also of easy and hard rows), figures, bias towards yes, causes.

    Reported: aAcc. Needs the authors' columns ``visual_input`` (0, 1, 2) and ``gt_answer_details`` (a sentence), and keeps rows
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
    rows, lacking = _with_causes(rows, table.rows, panel) if judged else (rows, [])
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
        notes=lacking if whole else ["every row needs a judge of its correctness, and there is none"],
    )


def _request(row: Row) -> dict[str, object]:
    return {
        "question": text(row.cells["question"]),
        "answer": text(row.cells.get("gt_answer_details")),
        "prediction": _said(row),
    }


def _said(row: Row) -> str:
    return "" if row.prediction is None else str(row.prediction)


def _place(row: Row, inputs: Inputs, said: int | None) -> _Judged:
    set_, figure, question = hallusion_index(row, inputs)
    category = text(row.cells["category"])
    return _Judged(
        group=(category, text(row.cells["l2-category"])),
        set=set_,
        figure=figure,
        question=question,
        visual=text(row.cells["visual_input"]),
        answer=text(row.cells["answer"]).lower() in ("yes", "1"),
        verdict=said,
    )


def _with_causes(rows: Sequence[_Judged], cells: Sequence[Row], panel: Panel) -> tuple[list[_Judged], list[str]]:
    """The rows with their causes, and what these lack. The judge is asked only where its word decides."""
    first = {(*row.group, row.set, row.question): at for at, row in enumerate(rows) if row.figure == "0"}
    at_zero = [first.get((*row.group, row.set, row.question)) for row in rows]
    if None in at_zero:
        lacking = cells[at_zero.index(None)].key
        return list(rows), [f"no causes of wrong rows: the question of {lacking} has no figure 0"]
    original = [None if at is None else rows[at].verdict for at in at_zero]
    agreeing, conflicting = (
        [cause(row, known, same) for row, known in zip(rows, original, strict=True)] for same in (True, False)
    )
    open_ = [at for at in range(len(rows)) if agreeing[at] != conflicting[at]]
    if open_ and not panel.has("hallusion_same"):
        return list(rows), ["no causes of wrong rows: they need a judge that compares replies, and there is none"]
    asked = [
        (cells[at].key, {"prediction": _said(cells[at]), "original": _said(cells[at_zero[at] or 0])}, "")
        for at in open_
    ]
    replies = panel.settle("hallusion_same", asked, lambda _, reply: "same" in reply.lower(), 1) if open_ else []
    same = dict(zip(open_, replies, strict=True))
    found = [(agreeing if same.get(at) else conflicting)[at] for at in range(len(rows))]
    return [replace(row, cause=each) for row, each in zip(rows, found, strict=True)], []


def _figures(rows: Sequence[_Judged]) -> dict[str, float | None]:
    questions = _shares(rows, lambda row: (*row.group, row.set, row.question))
    pictured = [row for row in rows if (row.group[0], row.figure) != ("VS", "0")]
    figures = _shares(pictured, lambda row: (*row.group, row.set, row.figure))
    easy = _shares([row for row in rows if row.visual != "2"], lambda row: (*row.group, row.set, row.question))
    hard = _shares([row for row in rows if row.visual == "2"], lambda row: (*row.group, row.set, row.question))
    said_yes = mean([float(row.right == row.answer) for row in rows]) or 0.0
    wrong = [row for row in rows if not row.right]
    causes = Counter(row.cause for row in rows if row.cause)
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
    } | {f"cause_{name}": 100 * causes[name] / causes.total() if causes else None for name in CAUSES}


def _shares(rows: Sequence[_Judged], key: Callable[[_Judged], tuple[str, ...]]) -> list[float]:
    """The share of right rows of each group."""
    groups: dict[tuple[str, ...], list[bool]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row.right)
    return [sum(group) / len(group) for group in groups.values()]
