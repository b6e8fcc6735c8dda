"""Figure 10: in how many Q&A each object occurs, before and after evolution, most frequent first.

python paper_figures/fig10_longtail.py --dataset results/demo/evolve/full/dataset/evolved.parquet --out /tmp/fig10_longtail
"""

import math
from pathlib import Path

from matplotlib.figure import Figure as Canvas
from mmevol.publish.figures import LongTail, color, draw_nothing, script
from mmevol.publish.versions import EVOLVED, SEED, objects

LABELS = 40
"""As many names as fit below the bars."""


def draw(figure: Canvas, settings: LongTail, *, dataset: list[Path]) -> None:
    """Two bars an object, sorted by the evolved count, then the seeds', then the name."""
    found = objects(dataset[0])
    names = sorted(found[SEED] | found[EVOLVED], key=lambda n: (-found[EVOLVED][n], -found[SEED][n], n))[: settings.top]
    if not names:
        draw_nothing(figure, "No Q&A lists an object.")
        return
    axes = figure.add_subplot()
    for side, at in ((SEED, -0.2), (EVOLVED, 0.2)):
        heights = [found[side][name] for name in names]
        axes.bar([i + at for i in range(len(names))], heights, 0.4, color=color(settings, side), label=side)
    every = math.ceil(len(names) / LABELS)
    shown = range(0, len(names), every)
    upright = len(names) > 8
    axes.set_xticks(list(shown), [names[i] for i in shown], rotation=90 if upright else 0)
    axes.set_xlim(-0.8, len(names) - 0.2)
    axes.set_xlabel(f"object ({len(names)}, every {every}th named)" if every > 1 else "object")
    axes.set_ylabel("Q&A that name it")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(loc="upper right")


if __name__ == "__main__":
    script(draw, "fig10_longtail", ["dataset"])
