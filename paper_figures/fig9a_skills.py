"""Figure 9a: how many skills a Q&A calls for, seeds against evolved.

python paper_figures/fig9a_skills.py --dataset results/demo/evolve/full/dataset/evolved.parquet --out /tmp/fig9a_skills
"""

from pathlib import Path

from matplotlib.figure import Figure as Canvas
from mmevol.publish.figures import Figure, grouped_bars, script
from mmevol.publish.versions import lengths


def draw(figure: Canvas, settings: Figure, *, dataset: list[Path]) -> None:
    """Bars by number of skills."""
    axes = figure.add_subplot()
    grouped_bars(axes, settings, lengths(dataset[0], "skills"))
    axes.set_xlabel("skills of a Q&A")


if __name__ == "__main__":
    script(draw, "fig9a_skills", ["dataset"])
