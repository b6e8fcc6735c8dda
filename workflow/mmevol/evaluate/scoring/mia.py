"""MIA-Bench: what a judge's sentence of component scores says.

Source: the authors' notebook and VLMEvalKit (`score_mia`), the reference's script (`score_mia_reference`), which
differs.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.result import Result, answered_mean, mean

ATTEMPTS = 5
Parse = Callable[[str, list[str]], dict[str, float]]


def component_scores(reply: str, types: list[str]) -> dict[str, float]:
    """Score of each component type (of a repeated type the last) and ``total_score``, fractions.

    The text before the first full stop is cut at commas; the last piece is the total. Raises ValueError, IndexError or
    ZeroDivisionError where the sentence has another form.
    """
    scores, pieces = _components(reply, types)
    scores["total_score"] = _ratio(pieces[-1])
    return scores


def component_scores_reference(reply: str, types: list[str]) -> dict[str, float]:
    """As the reference's script: the total is the score of the last component, and the last piece is not read."""
    scores, pieces = _components(reply, types)
    scores["total_score"] = _ratio(pieces[-2])
    return scores


def _components(reply: str, types: list[str]) -> tuple[dict[str, float], list[str]]:
    pieces = reply.split(".")[0].split(",")
    if len(pieces) < 2:
        raise ValueError("no component")
    return {types[at]: _ratio(piece) for at, piece in enumerate(pieces[:-1])}, pieces


def _ratio(piece: str) -> float:
    """``name: x/y``: between first and second colon, without its first character, whatever that is."""
    parts = piece.split(":")[1][1:].split("/")
    return int(parts[0]) / int(parts[1])


def _score(inputs: Inputs, panel: Panel, parse: Parse, skip_errors: bool) -> Result:
    items: list[dict[str, Any]] = inputs.questions
    pairs = list(zip(items, inputs.predictions, strict=False))
    answered_at = [at for at, (_, said) in enumerate(pairs) if not (skip_errors and said["text"] == "error")]
    rows: list[dict[str, float] | None] = [None] * len(pairs)
    if panel.has("mia"):
        asked = [(str(at), _request(*pairs[at]), str(pairs[at][0]["image"])) for at in answered_at]
        for at, reply in zip(answered_at, panel.settle("mia", asked, lambda _, said: said, ATTEMPTS), strict=True):
            try:
                rows[at] = parse(reply or "", pairs[at][0]["component_type"])
            except (ValueError, IndexError, ZeroDivisionError):
                rows[at] = None
    by_type: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in (row or {}).items():
            by_type[name].append(value)
    counted = [at for at, row in enumerate(rows) if row is not None]
    total = mean(by_type.get("total_score", []))
    unjudged = 0 if panel.has("mia") else len(pairs)
    return Result(
        metrics={name: mean(values) for name, values in by_type.items()},
        reported=None if total is None else total * 100,
        reported_name="total_score",
        rows=rows,
        answered=answered_mean(
            counted,
            [row["total_score"] for row in rows if row is not None],
            [str(pairs[at][0]["image"]) for at in counted],
        ),
        n_missing=len(items) - len(pairs),
        extraction_failures=0 if unjudged else len(pairs) - len(counted),
        unjudged=unjudged,
        notes=[f"all {unjudged} rows need a judge, and there is none"] if unjudged else [],
    )


def _request(item: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    return {
        "instruction": item["instruction"],
        "components": item["components"],
        "weights": item["component_weight"],
        "prediction": said["text"],
    }


score_mia = partial(_score, parse=component_scores, skip_errors=False)
"""Means per component type and of the total, over the rows judged in the demanded form. Reported: total in percent."""

score_mia_authors = partial(_score, parse=component_scores, skip_errors=True)
"""As `score_mia`, and an answer that is the text ``error`` is not judged and leaves every mean."""

score_mia_reference = partial(_score, parse=component_scores_reference, skip_errors=False)
"""As `score_mia` with the reference's total."""
