"""Figure 9c: the difficulty that the judge gives to each version, as densities with dashed means.

    python paper_figures/fig9c_difficulty.py --dataset results/demo/evolve/full/dataset/evolved.parquet \\
        --judged results/demo/evolve/full/round_0/candidates/*.parquet --out /tmp/fig9c_difficulty
"""

from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas
from mmevol.publish.figures import Figure, draw_nothing, script
from mmevol.publish.versions import difficulties
from numpy.typing import NDArray

NARROWEST = 0.35
"""Bandwidth in points of difficulty below which a density would show the judge's grid and not its opinion."""
SHADES = ("#8C96A3", "#9CC7E2", "#3F97CE", "#00527F", "#002B44")
"""Version 0 in grey, later ones ever darker."""


def density(counts: Counter[float], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """A Gaussian kernel density of counted values, bandwidth after Silverman (1986, eq. 3.31 without the quartile)."""
    values, weights = np.array(list(counts)), np.array(list(counts.values()), dtype=float)
    weights /= weights.sum()
    deviation = float(np.sqrt(weights @ (values - weights @ values) ** 2))
    width = max(NARROWEST, 1.06 * deviation * counts.total() ** -0.2)
    kernels = np.exp(-0.5 * ((at[:, None] - values) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    return np.asarray(kernels @ weights)


def draw(figure: Canvas, settings: Figure, *, dataset: list[Path], judged: list[Path]) -> None:
    """A filled curve a version."""
    found = difficulties(dataset[0], judged)
    if not found:
        draw_nothing(figure, "No judge gave a difficulty.")
        return
    axes = figure.add_subplot()
    at = np.linspace(-1, 11, 481)
    for place, number in enumerate(sorted(found)):
        counts = found[number]
        shade = settings.colors.get(f"v{number}") or SHADES[min(number, len(SHADES) - 1)]
        mean = sum(v * n for v, n in counts.items()) / counts.total()
        curve = density(counts, at)
        axes.fill_between(at, curve, color=shade, alpha=0.22, zorder=2 + place)
        axes.plot(
            at, curve, color=shade, zorder=3 + place, label=f"v{number}: mean {mean:.2f} ({counts.total():,} Q&A)"
        )
        axes.axvline(mean, color=shade, linestyle="--", linewidth=1.1, zorder=1)
    axes.set(xlim=(-1, 11), xlabel="difficulty (judge, 0 to 10)", ylabel="density", xticks=range(0, 11, 2))
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=2)


if __name__ == "__main__":
    script(draw, "fig9c_difficulty", ["dataset", "judged"])
