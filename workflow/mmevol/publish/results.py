"""The results: every arm on every benchmark, its difference to the baseline arm, and how sure both are."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from mmevol.config import DISPLAY
from mmevol.config.publish import ResultsSettings
from mmevol.publish.intervals import Estimate, cluster_sums, estimate, rows_spread, seeds_spread
from mmevol.publish.provenance import record
from mmevol.publish.published import paper_row
from mmevol.publish.table import Cell, Table, write_table

AVERAGE = "average"


@dataclass(frozen=True)
class Measured:
    """One arm on one benchmark, or on the average of several.

    ``reported``: the number of each training run, 0 to 100. ``parts``: for each benchmark, the influence of each image's questions
    on the mean of ``reported``, added up by image. ``missing``: rows without prediction, ``unread``: replies from which the rules
    got nothing, both over all runs. ``metric``: what the number is.
    """

    reported: tuple[float, ...]
    n: int
    parts: tuple[dict[str, float], ...]
    metric: str = "mean of the benchmarks"
    missing: int = 0
    unread: int = 0

    @property
    def score(self) -> float:
        """The mean over training runs."""
        return mean(self.reported)

    @property
    def spread(self) -> float | None:
        """Standard deviation over training runs; None of one."""
        return stdev(self.reported) if len(self.reported) > 1 else None

    def estimate(self) -> Estimate | None:
        """The score with its interval: chance of the rows, and of the training runs where there are several."""
        return estimate(self.score, [rows_spread(self.parts), seeds_spread(self.reported)])

    def minus(self, other: "Measured") -> Estimate | None:
        """The difference, paired over rows: influences of the same image are subtracted before they are squared."""
        paired = [
            {image: left.get(image, 0.0) - right.get(image, 0.0) for image in left | right}
            for left, right in zip(self.parts, other.parts, strict=True)
        ]
        spreads = [rows_spread(paired), seeds_spread(self.reported), seeds_spread(other.reported)]
        return estimate(self.score - other.score, spreads)


Scores = dict[str, dict[str, Measured | None]]
"""By arm and benchmark; None where the rules give no number (a judge is needed and there is none)."""


def measured(files: Sequence[Path]) -> Measured | None:
    """An arm on a benchmark from the score file of each of its training runs."""
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if any(run["reported"] is None for run in runs):
        return None
    influences = ((run["image"][key], value) for run in runs for key, value in run["influence"].items())
    return Measured(
        reported=tuple(run["reported"] for run in runs),
        n=max(run["n"] for run in runs),
        parts=(cluster_sums((image, value / len(runs)) for image, value in influences),),
        metric=runs[0]["reported_name"],
        missing=sum(run["n_missing"] for run in runs),
        unread=sum(run["extraction_failures"] for run in runs),
    )


def combined(parts: Sequence[Measured]) -> Measured:
    """The unweighted mean of several benchmarks, run by run; questions about one image stay together across benchmarks."""
    return Measured(
        reported=tuple(mean(values) for values in zip(*(p.reported for p in parts), strict=True)),
        n=sum(p.n for p in parts),
        parts=tuple({image: v / len(parts) for image, v in part.items()} for p in parts for part in p.parts),
        missing=sum(p.missing for p in parts),
        unread=sum(p.unread for p in parts),
    )


def score_files(settings: ResultsSettings, evaluate: Path, arm: str, benchmark: str) -> list[Path]:
    """The score file of every training run of an arm."""
    runs = [evaluate / arm / f"seed_{seed}" for seed in settings.runs[arm]]
    return [run / benchmark / f"score.{settings.rules}.json" for run in runs]


def read_scores(settings: ResultsSettings, evaluate: Path) -> Scores:
    """All scores below ``evaluate``, with the average over the benchmarks that have a number for every arm."""
    scores: Scores = {
        arm: {b: measured(score_files(settings, evaluate, arm, b)) for b in settings.benchmarks}
        for arm in settings.runs
    }
    for row in scores.values():
        known = [part for b in averaged(scores, settings.benchmarks) if (part := row[b])]
        row[AVERAGE] = combined(known) if known else None
    return scores


def averaged(scores: Scores, benchmarks: Sequence[str]) -> list[str]:
    """The benchmarks that have a number for every arm."""
    return [b for b in benchmarks if all(row[b] for row in scores.values())]


def against(arm: str, settings: ResultsSettings) -> str | None:
    """The arm that an arm is compared with: one without pictures with itself, the others with the baseline."""
    other = arm.removesuffix(".blind") if arm.endswith(".blind") else settings.baseline
    return other if other in settings.runs and other != arm else None


def difference(scores: Scores, arm: str, other: str | None, column: str) -> Estimate | None:
    """An arm minus another in one column, None where either has no number."""
    left, right = scores[arm][column], scores[other][column] if other else None
    return left.minus(right) if left and right else None


# ----------------------------------------------------------------------------------------------------------------- tables

DETAILS = (
    *("arm", "benchmark", "name", "metric", "n", "missing", "unread", "runs"),
    *("score", "standard_error", "low", "high", "spread"),
    *("against", "delta", "delta_low", "delta_high", "smallest_detectable"),
)


def details(scores: Scores, settings: ResultsSettings) -> Table:
    """One row an arm and benchmark: everything that is known of the number."""
    return Table(
        title="Each arm on each benchmark",
        columns=DETAILS,
        rows=[
            _detail(scores, settings, arm, column)
            for arm in settings.runs
            for column in (*settings.benchmarks, AVERAGE)
        ],
        notes=notes(scores, settings),
    )


def _detail(scores: Scores, settings: ResultsSettings, arm: str, column: str) -> list[Cell]:
    m, other = scores[arm][column], against(arm, settings)
    named = (arm, column, DISPLAY.get(column, "Average"))
    runs = len(settings.runs[arm])
    if m is None:
        return [
            *named,
            "no number: see the notes of its score",
            None,
            None,
            None,
            runs,
            *[None] * 5,
            other,
            *[None] * 4,
        ]
    own, paired = m.estimate(), difference(scores, arm, other, column)
    right = scores[other][column] if other else None
    return [
        *(*named, m.metric, m.n, m.missing, m.unread, runs, m.score),
        *((own.standard_error, own.low, own.high) if own else (None, None, None)),
        *(m.spread, other, m.score - right.score if right else None),
        *((paired.low, paired.high, paired.smallest) if paired else (None, None, None)),
    ]


def main_data(scores: Scores, settings: ResultsSettings) -> Table:
    """The main table to compute with: one row an arm and statistic."""
    columns = [*settings.benchmarks, AVERAGE]
    found = {(row[0], row[1]): dict(zip(DETAILS, row, strict=True)) for row in details(scores, settings).rows}

    def rows() -> Iterator[list[Cell]]:
        for arm in settings.runs:
            for statistic in ("score", "standard_error", "spread", "n", *DETAILS[-4:]):
                cells = [found[arm, c][statistic] for c in columns]
                if any(cell is not None for cell in cells):
                    yield [arm, statistic, against(arm, settings) if statistic in DETAILS[-4:] else None, *cells]
            if arm in settings.paper:
                yield [arm, "delta", settings.paper[arm], *beside_paper(scores, settings, arm).values()]

    return Table("Results", ["arm", "statistic", "against", *columns], list(rows()), notes(scores, settings))


def main_shown(scores: Scores, settings: ResultsSettings) -> Table:
    """The main table to read: arms by benchmarks, then the differences and what could have been shown."""
    columns = [*settings.benchmarks, AVERAGE]
    rows: list[list[Cell]] = []
    if first := next(iter(settings.runs), None):
        rows.append(["n", *(m.n if (m := scores[first][c]) else None for c in columns)])
    for arm, runs in settings.arms:
        label = f"{arm} ({len(runs)} runs)" if len(runs) > 1 else arm
        rows.append([label, *(_score_text(scores[arm][c]) for c in columns)])
        if len(runs) > 1:
            rows.append([f"· spread of {arm}", *(m.spread if (m := scores[arm][c]) else None for c in columns)])
    for arm in settings.runs:
        if other := against(arm, settings):
            estimates = [difference(scores, arm, other, c) for c in columns]
            values = [
                left.score - right.score if (left := scores[arm][c]) and (right := scores[other][c]) else None
                for c in columns
            ]
            rows.append([f"Δ {arm} − {other}", *map(_difference_text, values, estimates)])
            rows.append(["· smallest Δ to be seen", *(e.smallest if e else None for e in estimates)])
    for arm, name in settings.paper.items():
        rows.append([f"Δ {arm} − the paper's {name}", *map(_signed, beside_paper(scores, settings, arm).values())])
    heads = ["", *(DISPLAY[b] for b in settings.benchmarks), "Average"]
    return Table("Results: arms by benchmarks", heads, rows, notes(scores, settings), decimals=1)


def beside_paper(scores: Scores, settings: ResultsSettings, arm: str) -> dict[str, float | None]:
    """An arm minus the row of the paper that it repeats, by column; the average over the benchmarks that both have."""
    theirs = paper_row(arm, settings.paper[arm])
    gaps = {b: m.score - theirs[b] if (m := scores[arm][b]) and b in theirs else None for b in settings.benchmarks}
    both = [gap for gap in gaps.values() if gap is not None]
    return gaps | {AVERAGE: mean(both) if both else None}


def _signed(value: float | None) -> str | None:
    return None if value is None else signed(value)


def _score_text(m: Measured | None) -> str | None:
    if m is None:
        return None
    own = m.estimate()
    return f"{m.score:.1f} ± {own.standard_error:.1f}" if own else f"{m.score:.1f}"


def _difference_text(value: float | None, e: Estimate | None) -> str | None:
    if value is None:
        return None
    return signed(value) + (f" [{signed(e.low)}, {signed(e.high)}]" if e else "")


def signed(value: float) -> str:
    """A difference with its sign and one decimal, minus as people print it."""
    return f"{value:+.1f}".replace("-", "−").replace("−0.0", "0.0").replace("+0.0", "0.0")


def notes(scores: Scores, settings: ResultsSettings) -> list[str]:
    """What a reader must know to read the numbers rightly."""
    several = any(len(runs) > 1 for runs in settings.runs.values())
    inside = averaged(scores, settings.benchmarks)
    outside = [DISPLAY[b] for b in settings.benchmarks if b not in inside]
    return [
        f"Rules: {settings.rules}. Scores run from 0 to 100; ± is the standard error, clustered by image where questions share "
        "one (Cameron and Miller 2015): sqrt(G/(G−1) · Σ over images of (summed influence)²), G images.",
        "Δ is paired over rows: the same sum over the differences of the influences (Miller 2024); its 95 % interval is "
        "Δ ± t(0.975) · SE. The average adds up the benchmarks; degrees of freedom after Welch and Satterthwaite.",
        "The smallest Δ to be seen is (t(0.975) + t(0.8)) · SE: the true difference that this many rows show with 80 % power "
        "(Bloom 1995). Of an interval that holds 0, no more can be said than that.",
        "With several training runs an arm's variance over runs is added to that of the rows; the spread is its standard "
        "deviation."
        if several
        else "One training run an arm: the intervals hold the chance of the benchmark rows, not that of training again.",
        f"{len(settings.benchmarks)} benchmarks are looked at: about one interval in twenty misses the truth by chance, so read "
        "the average first.",
        f"The average is the plain mean of {len(inside)} benchmarks"
        + (f"; left out, since an arm has no number there: {', '.join(outside)}." if outside else "."),
        *(
            [
                "The paper's numbers: arXiv 2409.05840 v5, by its own code (here the rules mmevol); it gives no uncertainty. "
                "The average of Δ is over the benchmarks that both report."
            ]
            if settings.paper
            else []
        ),
        *(
            ["Not trained here: " + "; ".join(f"{name} ({what})" for name, what in settings.untrained.items()) + "."]
            if settings.untrained
            else []
        ),
        *(["An arm called .blind is the arm with every picture greyed out."] if _any_blind(settings) else []),
    ]


def _any_blind(settings: ResultsSettings) -> bool:
    return any(arm.endswith(".blind") for arm in settings.runs)


def results(settings: ResultsSettings, *, evaluate: Path, main: Path, benchmarks: Path) -> None:
    """`mmevol publish results`: write the tables `main` and `benchmarks` (paths without suffix).

    `evaluate` is the folder that holds ``<arm>/seed_<k>/<benchmark>/score.<rules>.json``.
    """
    scores = read_scores(settings, evaluate)
    read = [f for arm in settings.runs for b in settings.benchmarks for f in score_files(settings, evaluate, arm, b)]
    written = write_table(main, main_data(scores, settings), main_shown(scores, settings))
    record(main, outputs=written, inputs=read, settings=settings)
    written = write_table(benchmarks, details(scores, settings))
    record(benchmarks, outputs=written, inputs=read, settings=settings)
