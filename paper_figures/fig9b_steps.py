"""Figure 9b: in how many steps a Q&A is solved, seeds against evolved.

python paper_figures/fig9b_steps.py --dataset results/demo/evolve/full/dataset/evolved.parquet --out /tmp/fig9b_steps
"""

from pathlib import Path

from matplotlib.figure import Figure as Canvas
from mmevol.publish.figures import Figure, grouped_bars, script
from mmevol.publish.versions import lengths


def draw(figure: Canvas, settings: Figure, *, dataset: list[Path]) -> None:
    """Bars by number of steps."""
    axes = figure.add_subplot()
    grouped_bars(axes, settings, lengths(dataset[0], "steps"))
    axes.set_xlabel("steps of a Q&A")


if __name__ == "__main__":
    script(draw, "fig9b_steps", ["dataset"])
