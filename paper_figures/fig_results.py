"""Scores of every arm by benchmark, and the difference of the main arms to the baseline with its 95 % interval.

python paper_figures/fig_results.py --benchmarks results/demo/tables/benchmarks.csv --out /tmp/fig_results
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from mmevol.publish.figures import Results, color, script
from mmevol.publish.results import AVERAGE
from mmevol.publish.table import read_table

Row = dict[str, str]


def number(row: Row, column: str) -> float | None:
    """A cell as a number, None where nothing is known."""
    return float(row[column]) if row[column] else None


def points(axes: Axes, rows: list[Row], columns: tuple[str, str, str], at: list[float], shade: str, label: str) -> None:
    """Dots with intervals; `columns` are value, low and high, `at` the heights."""
    for row, y in zip(rows, at, strict=True):
        value, low, high = (number(row, c) for c in columns)
        if value is None:
            continue
        if low is not None and high is not None:
            axes.plot([low, high], [y, y], color=shade, linewidth=1.1, solid_capstyle="butt", alpha=0.75)
        size = 5.5 if row["benchmark"] == AVERAGE else 4
        axes.plot([value], [y], "D" if row["benchmark"] == AVERAGE else "o", color=shade, markersize=size)
    axes.plot([], [], "o-", color=shade, linewidth=1.1, markersize=4, label=label)


def draw(figure: Canvas, settings: Results, *, benchmarks: list[Path]) -> None:
    """Left: scores; right: paired differences. A line a benchmark, the average below."""
    rows = read_table(benchmarks[0])
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    names = list(dict.fromkeys(row["name"] for row in rows))
    by_arm = {arm: [row for row in rows if row["arm"] == arm] for arm in arms}
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.15, 1))
    for place, arm in enumerate(arms):
        shift = (place - (len(arms) - 1) / 2) * 0.72 / len(arms)
        at = [i + shift for i in range(len(names))]
        points(left, by_arm[arm], ("score", "low", "high"), at, color(settings, arm, place), arm)
    compared = [a for a in arms if by_arm[a][0]["against"] and not a.endswith(".blind")]
    for place, arm in enumerate(compared):
        shift = (place - (len(compared) - 1) / 2) * 0.72 / len(compared)
        at = [i + shift for i in range(len(names))]
        shade = color(settings, arm, arms.index(arm))
        points(
            right, by_arm[arm], ("delta", "delta_low", "delta_high"), at, shade, f"{arm} − {by_arm[arm][0]['against']}"
        )
    right.axvline(0, color="#56616f", linewidth=1)
    for axes in (left, right):
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        for i in range(0, len(names), 2):
            axes.axhspan(i - 0.5, i + 0.5, color="#f4f6f9", zorder=0)
        axes.axhline(len(names) - 1.5, color="#8c96a3", linewidth=0.8)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, columnspacing=1.2)
    left.set_yticks(range(len(names)), names)
    left.set_ylim(len(names) - 0.5, -0.5)
    left.set_xlabel("score (0 to 100), 95 % interval")
    right.set_xlabel("paired difference in points, 95 % interval")


if __name__ == "__main__":
    script(draw, "fig_results", ["benchmarks"])
