"""One call from a benchmark's files to its score, under any of the rule sets."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pydantic import Field

from mmevol.evaluate.scoring import Rules
from mmevol.evaluate.scoring.choice import score_blink, score_blink_reference, score_choice, score_mmmu
from mmevol.evaluate.scoring.gqa import score_gqa
from mmevol.evaluate.scoring.hallusion_authors import score_hallusion_authors
from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Judges, Panel, recorded
from mmevol.evaluate.scoring.kit import HEAD, REFERENCE
from mmevol.evaluate.scoring.mathvista import score_mathvista
from mmevol.evaluate.scoring.mathvista_authors import score_mathvista_authors
from mmevol.evaluate.scoring.mia import score_mia, score_mia_authors, score_mia_reference
from mmevol.evaluate.scoring.mmmu import score_mmmu_authors
from mmevol.evaluate.scoring.mmsinst import score_mmsinst
from mmevol.evaluate.scoring.result import Answered, Result, standard_error
from mmevol.evaluate.scoring.vqa import score_vqa
from mmevol.evaluate.scoring.yes_no import score_hallusion, score_mme, score_pope
from mmevol.evaluate.scoring.yes_no_authors import score_mme_authors, score_pope_authors
from mmevol.records import Record

VERSION = 3
"""Raised by hand whenever a rule changes: part of every score."""

Scorer = Callable[[Inputs, Panel], Result]


def _everywhere(scorer: Scorer) -> dict[Rules, Scorer]:
    return {"mmevol": scorer, "vlmevalkit-head": scorer, "authors": scorer}


def _kit(scorer: Callable[..., Result], reference: Callable[..., Result] | None = None) -> dict[Rules, Scorer]:
    head = partial(scorer, kit=HEAD)
    return {"mmevol": partial(reference or scorer, kit=REFERENCE), "vlmevalkit-head": head, "authors": head}


SCORERS: dict[str, dict[Rules, Scorer]] = {
    "MMStar": _kit(score_choice),
    "AI2D_TEST": _kit(score_choice),
    "RealWorldQA": _kit(score_choice),
    "BLINK": _kit(score_blink, reference=score_blink_reference),
    "MMMU_DEV_VAL": _kit(score_mmmu) | {"authors": score_mmmu_authors},
    "MME": _kit(score_mme) | {"authors": score_mme_authors},
    "POPE": _kit(score_pope) | {"authors": score_pope_authors},
    "HallusionBench": _kit(score_hallusion) | {"authors": score_hallusion_authors},
    "MathVista_MINI": _kit(score_mathvista) | {"authors": score_mathvista_authors},
    "VQA_v2": _everywhere(score_vqa),
    "GQA": _everywhere(score_gqa),
    "MIA-Bench": {"mmevol": score_mia_reference, "vlmevalkit-head": score_mia, "authors": score_mia_authors},
    "MMSInst": _everywhere(score_mmsinst),
}


class Score(Record):
    """A benchmark's score under one rule set. Holds nothing about the run: the same inputs give the same bytes.

    ``reported``: the number that a table shows, None where the rules give none (``notes`` say why). ``metrics``,
    ``rows``: nested as the official code's. ``n``: questions that count towards it. ``extraction_failures``: replies
    from which the rules, and the judge where there is one, got nothing. ``unjudged``: rows that only a judge could
    settle, and there was none. ``correct`` (0 to 1), ``influence`` (on ``reported``, in its units; of two scores of
    the same questions the differences give the standard error of the difference, see `paired_standard_error`) and
    ``image`` (what questions share): by question.
    """

    benchmark: str
    rules: Rules
    version: int = VERSION
    reported: float | None
    reported_name: str
    standard_error: float | None
    metrics: dict[str, Any]
    n: int = Field(ge=0)
    n_missing: int = Field(ge=0)
    extraction_failures: int = Field(ge=0)
    unjudged: int = Field(ge=0)
    judge_calls: int = Field(ge=0)
    judge_failures: int = Field(ge=0)
    notes: list[str]
    extra: dict[str, Any]
    inputs: dict[str, str]
    rows: list[Any] | dict[str, Any]
    correct: dict[str, float]
    influence: dict[str, float]
    image: dict[str, str]


def score(benchmark: str, rules: Rules, inputs: Inputs, judges: Judges | None = None) -> Score:
    """Score a benchmark (spelled as in `SCORERS`) under a rule set.

    ``judges``: who answers each kind of question; by default the recorded replies among the inputs. Raises `BadInput`
    for what is wrong with the inputs, and lets through whatever a judge raises: an outage is no score.
    """
    if judges is None:
        judges = {}
        for part, replies in (
            ("judge_replies", inputs.judge_replies),
            ("blink_judge_replies", inputs.blink_judge_replies),
        ):
            if replies is not None:
                judges = {**judges, **recorded(replies, inputs.files.get(part, part))}
    panel = Panel(judges)
    result = SCORERS[benchmark][rules](inputs, panel)
    correct, influence, image = _by_question(result.answered)
    return Score(
        benchmark=benchmark,
        rules=rules,
        reported=result.reported,
        reported_name=result.reported_name,
        standard_error=None if result.reported is None else standard_error(result.answered),
        metrics=result.metrics,
        n=len(correct),
        n_missing=result.n_missing,
        extraction_failures=result.extraction_failures,
        unjudged=result.unjudged,
        judge_calls=panel.calls,
        judge_failures=panel.failures,
        notes=result.notes,
        extra=result.extra,
        inputs=inputs.digests,
        rows=result.rows,
        correct=correct,
        influence=influence,
        image=image,
    )


def paired_standard_error(left: Score, right: Score) -> float | None:
    """Standard error of ``left.reported - right.reported`` over the questions that both have, clustered by image."""
    return standard_error(
        Answered(key, 0.0, influence - right.influence[key], left.image[key])
        for key, influence in left.influence.items()
        if key in right.influence
    )


def _by_question(answered: Iterable[Answered]) -> tuple[dict[str, float], dict[str, float], dict[str, str]]:
    """Correctness (mean over rows of one key), influence (their sum) and image by key."""
    correct: dict[str, float] = defaultdict(float)
    influence: dict[str, float] = defaultdict(float)
    image: dict[str, str] = {}
    again: Counter[str] = Counter()
    for question in answered:
        if question.key in image:
            again[question.key] += 1
        correct[question.key] += question.correct
        influence[question.key] += question.influence
        image[question.key] = question.image
    for key, times in again.items():
        correct[key] /= 1 + times
    return dict(correct), dict(influence), image
