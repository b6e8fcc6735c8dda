"""What a rule set makes of a benchmark's rows, and how sure its number is."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Answered(NamedTuple):
    """One question that counts towards the reported number.

    ``correct``: 0 to 1. ``influence``: how much it moves the reported number from its expectation, in the number's
    own units (its value in the linearised estimate); they add up to 0. ``image``: what it shares with others.
    """

    key: str
    correct: float
    influence: float
    image: str


@dataclass
class Result:
    """``metrics`` and ``rows`` nest as the official code's; ``reported`` is None where that gives no number.

    ``unjudged``: rows that need a judge where there is none and the rules know no other way; then ``reported`` is None.
    """

    metrics: dict[str, Any]
    reported: float | None
    reported_name: str
    rows: Any
    answered: list[Answered]
    n_missing: int = 0
    extraction_failures: int = 0
    unjudged: int = 0
    notes: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def mean(values: Sequence[float]) -> float | None:
    """The plain mean, None of nothing."""
    return sum(values) / len(values) if values else None


def answered_mean(
    keys: Sequence[Hashable], correct: Sequence[float], images: Sequence[str], scale: float = 100.0, weight: float = 1.0
) -> list[Answered]:
    """Questions whose mean times `scale` and `weight` is (a term of) the reported number: influence (x - mean) / n."""
    if not correct:
        return []
    middle, share = sum(correct) / len(correct), scale * weight / len(correct)
    return [
        Answered(str(key), value, (value - middle) * share, image)
        for key, value, image in zip(keys, correct, images, strict=True)
    ]


def standard_error(answered: Iterable[Answered]) -> float | None:
    """Standard error of the reported number, clustered by image; None with fewer than two images.

    sqrt(G / (G - 1) * sum over images of (sum of its questions' influences)^2), G images. Without shared images this
    is the usual standard error of a mean. Source: Cameron and Miller 2015, A Practitioner's Guide to Cluster-Robust
    Inference (linearised estimate, small-sample factor); Miller 2024, Adding Error Bars to Evals (its use for
    questions that share a context).
    """
    sums: dict[str, float] = defaultdict(float)
    for question in answered:
        sums[question.image] += question.influence
    if len(sums) < 2:
        return None
    return math.sqrt(len(sums) / (len(sums) - 1) * math.fsum(value * value for value in sums.values()))
