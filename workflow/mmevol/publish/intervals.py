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


def rows_spread(by_cluster: Mapping[str, float]) -> Spread | None:
    """Of a linearised estimate whose influence sums by cluster (image) are given; None with fewer than two clusters.

    G / (G - 1) * sum of squared cluster sums, G - 1 degrees of freedom. Source: Cameron and Miller 2015, A Practitioner's Guide
    to Cluster-Robust Inference; for a difference the influences are the paired differences (Miller 2024, Adding Error Bars to
    Evals, sections 2 and 4).
    """
    clusters = len(by_cluster)
    if clusters < 2:
        return None
    return Spread(clusters / (clusters - 1) * math.fsum(v * v for v in by_cluster.values()), clusters - 1)


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
    freedom = variance**2 / sum(s.variance**2 / s.freedom for s in known)
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    return Estimate(
        value, error, value - reach * error, value + reach * error, (reach + float(stdtrit(freedom, POWER))) * error
    )


def cluster_sums(influences: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Influences added up by cluster."""
    sums: dict[str, float] = defaultdict(float)
    for cluster, influence in influences:
        sums[cluster] += influence
    return dict(sums)


def mean_sums(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Cluster sums of a mean of several estimates; clusters of one name are the same."""
    return cluster_sums((cluster, value / len(parts)) for part in parts for cluster, value in part.items())


def wilson(hits: int, n: int) -> tuple[float, float] | None:
    """95 % interval of a share (Wilson 1927), None of nothing."""
    if not n:
        return None
    z, share = 1.959964, hits / n
    middle, reach = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)
