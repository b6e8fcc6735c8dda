"""Loss of every arm against the tokens that it has seen.

python paper_figures/fig_loss.py --losses results/demo/train/finetune/*/seed_*/loss.csv --out /tmp/fig_loss
"""

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator
from mmevol.publish.figures import Figure, color, script
from numpy.typing import NDArray

Curve = NDArray[np.float64]


def read(path: Path) -> tuple[str, Curve, Curve]:
    """Arm, tokens seen and loss of a run from ``<arm>/seed_<k>/loss.csv``."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tokens, loss = (np.array([float(row[name]) for row in rows]) for name in ("tokens", "loss"))
    return path.parent.parent.name, tokens, loss


def smooth(values: Curve) -> Curve:
    """Centred mean over about a thirtieth of the run, shorter at the ends."""
    half = len(values) // 60
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def draw(figure: Canvas, settings: Figure, *, losses: list[Path]) -> None:
    """A line a run, runs of an arm in one colour; the raw curve pale behind the smoothed one."""
    axes = figure.add_subplot()
    arms: dict[str, str] = {}
    for path in losses:
        arm, tokens, loss = read(path)
        new = arm not in arms
        shade = arms.setdefault(arm, color(settings, arm, len(arms)))
        axes.plot(tokens, loss, color=shade, linewidth=0.6, alpha=0.25)
        dots = "." if len(loss) < 20 else ""
        axes.plot(tokens, smooth(loss), marker=dots, color=shade, label=arm if new else None)
    axes.set(xlabel="tokens seen (padding left out)", ylabel="loss on the assistant's tokens", yscale="log")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g} M" if x >= 1e6 else f"{x / 1e3:g} k" if x else "0")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)


if __name__ == "__main__":
    script(draw, "fig_loss", ["losses"])
