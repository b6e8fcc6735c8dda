"""Figure 2: what the seeds are made of. Inner ring: groups; outer ring: sources, with the Q&A's origin.

python paper_figures/fig2_composition.py --composition results/demo/tables/composition.csv --out /tmp/fig2_composition
"""

from pathlib import Path

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch
from mmevol.publish.figures import PALETTE, Composition, script
from mmevol.publish.table import read_table

Segment = tuple[str, str, int, bool]
"""Group, source, records, and whether their Q&A were written from the caption."""
Tint = tuple[float, float, float]
LEGEND = 16
"""Entries of the legend at most; the smaller sources share the last one."""


def segments(path: Path) -> list[Segment]:
    """The outer ring in order: groups by size, their sources by size, own Q&A before curated ones."""
    counts: dict[tuple[str, str, bool], int] = {}
    for row in read_table(path):
        curated = int(row["curated records"])
        for origin, n in ((False, int(row["records"]) - curated), (True, curated)):
            key = (row["group"], row["source"], origin)
            counts[key] = counts.get(key, 0) + n
    groups = {g: sum(n for (group, _, _), n in counts.items() if group == g) for g, _, _ in counts}
    sources = {(g, s): sum(n for (a, b, _), n in counts.items() if (a, b) == (g, s)) for g, s, _ in counts}
    order = sorted(counts, key=lambda k: (-groups[k[0]], k[0], -sources[k[:2]], k[1], k[2]))
    return [(group, source, n, origin) for group, source, origin in order if (n := counts[group, source, origin])]


def lighter(shade: str, by: float) -> Tint:
    """A colour moved towards white, 0..1."""
    red, green, blue = (c + (1 - c) * by for c in to_rgb(shade))
    return red, green, blue


def draw(figure: Canvas, settings: Composition, *, composition: list[Path]) -> None:
    """Two rings and a legend with counts."""
    parts = segments(composition[0])
    total = sum(n for _, _, n, _ in parts)
    groups = list(dict.fromkeys(group for group, _, _, _ in parts))
    shades = {g: settings.colors.get(g) or PALETTE[i % len(PALETTE)] for i, g in enumerate(groups)}
    sums = [sum(n for group, _, n, _ in parts if group == g) for g in groups]
    axes, legend = figure.subplots(1, 2, width_ratios=(1, 0.9))
    edge = {"edgecolor": "white", "linewidth": 1.0}
    axes.pie(
        sums,
        radius=0.72,
        colors=[shades[g] for g in groups],
        startangle=90,
        counterclock=False,
        wedgeprops=edge | {"width": 0.3},
    )
    ranks: dict[str, list[str]] = {}
    tints = []
    for group, source, _, _ in parts:
        ranks.setdefault(group, [])
        if source not in ranks[group]:
            ranks[group].append(source)
        tints.append(lighter(shades[group], 0.15 + 0.6 * (ranks[group].index(source) % 5) / 5))
    wedges = axes.pie(
        [n for _, _, n, _ in parts],
        radius=1,
        colors=tints,
        startangle=90,
        counterclock=False,
        wedgeprops=edge | {"width": 0.25},
    )[0]
    for wedge, (_, _, _, curated) in zip(wedges, parts, strict=True):
        if curated:
            wedge.set_hatch("////")
    axes.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
    axes.text(0, 0, f"{total:,}\nrecords", ha="center", va="center", fontsize=11, fontweight="bold")
    legend.axis("off")
    legend.legend(*entries(parts, tints, total), loc="center left", bbox_to_anchor=(-0.1, 0.5), handleheight=1.1)


def entries(parts: list[Segment], tints: list[Tint], total: int) -> tuple[list[Patch], list[str]]:
    """Handles and texts of the legend, largest first within the order of the ring."""
    handles, texts = [], []
    kept = sorted(range(len(parts)), key=lambda i: (-parts[i][2], i))[: LEGEND if len(parts) <= LEGEND else LEGEND - 1]
    for i in sorted(kept):
        group, source, n, curated = parts[i]
        name = source if group == source else f"{group}: {source}"
        handles.append(Patch(facecolor=tints[i], edgecolor="white", hatch="////" if curated else None))
        texts.append(f"{name}, {'Q&A from the caption' if curated else 'own Q&A'}\n{n:,} ({100 * n / total:.0f} %)")
    if rest := [parts[i][2] for i in range(len(parts)) if i not in kept]:
        handles.append(Patch(facecolor="none"))
        texts.append(f"{len(rest)} smaller\n{sum(rest):,} ({100 * sum(rest) / total:.0f} %)")
    return handles, texts


if __name__ == "__main__":
    script(draw, "fig2_composition", ["composition"])
