"""How sure a number is: standard errors, intervals, and the smallest difference that could have been shown."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

CONFIDENCE = 0.95
POWER = 0.80


@dataclass(frozen=True)
class Spread:
    """One source of chance: a variance and its degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, its two-sided 95 % interval and the smallest true size found with 80 % power."""

    value: float
    standard_error: float
    low: float
    high: float
    smallest: float


def rows_spread(parts: Sequence[Mapping[str, float]]) -> Spread | None:
    """Of a linearised estimate that is a sum of parts (benchmarks), each given as influence sums by cluster (image).

    Of one part: G / (G - 1) * sum of squared cluster sums, G - 1 degrees of freedom. Source: Cameron and Miller 2015, A
    Practitioner's Guide to Cluster-Robust Inference; for a difference the influences are the paired differences (Miller 2024,
    Adding Error Bars to Evals, sections 2 and 4). Of several: every part is scaled by its own sqrt(G / (G - 1)), clusters of one
    name are one over all parts, and the degrees of freedom are Welch and Satterthwaite's over the parts' own variances: an
    average that owes its variance to one small benchmark is no surer than that. None with fewer than two clusters in a part.
    """
    if any(len(part) < 2 for part in parts):
        return None
    scaled = [{name: v * math.sqrt(len(part) / (len(part) - 1)) for name, v in part.items()} for part in parts]
    own = [Spread(math.fsum(v * v for v in part.values()), len(part) - 1) for part in scaled]
    together = cluster_sums((name, v) for part in scaled for name, v in part.items())
    return Spread(math.fsum(v * v for v in together.values()), freedom(own))


def freedom(sources: Sequence[Spread]) -> float:
    """Degrees of freedom of a sum of independent variances (Satterthwaite 1946, Welch 1947)."""
    denominator = math.fsum(s.variance**2 / s.freedom for s in sources)
    return math.fsum(s.variance for s in sources) ** 2 / denominator if denominator else math.inf


def seeds_spread(values: Sequence[float]) -> Spread | None:
    """Of a mean over training runs; None of a single run, whose spread is not known."""
    return Spread(stdev(values) ** 2 / len(values), len(values) - 1) if len(values) > 1 else None


def estimate(value: float, sources: Iterable[Spread | None]) -> Estimate | None:
    """Put independent sources of chance together; None where none is known, or nothing varied and no size can be told.

    Variances add; degrees of freedom by Welch and Satterthwaite; interval ``value ± t(0.975) * SE``; smallest difference
    ``(t(0.975) + t(0.8)) * SE`` (Bloom 1995, Minimum Detectable Effects).
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    known = [s for s in sources if s]
    if not known:
        return None
    variance = sum(s.variance for s in known)
    error = math.sqrt(variance)
    if error < 1e-12:
        return None
    reach, more = (float(stdtrit(freedom(known), p)) for p in ((1 + CONFIDENCE) / 2, POWER))
    return Estimate(value, error, value - reach * error, value + reach * error, (reach + more) * error)


def cluster_sums(influences: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Influences added up by cluster."""
    sums: dict[str, float] = defaultdict(float)
    for cluster, influence in influences:
        sums[cluster] += influence
    return dict(sums)


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """95 % interval of a share (Wilson 1927), None of nothing."""
    if not n:
        return None
    z, share = 1.959964, hits / n
    middle, reach = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
