"""How every figure is drawn and saved. A module of paper_figures holds ``draw(figure, settings, …)`` and calls `script`."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmevol.config.publish import Composition, Figure, Figures, Lineage, LongTail, Results
from mmevol.publish.versions import EVOLVED, SEED, Lengths
from mmevol.store import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import matplotlib.axes
    import matplotlib.figure

__all__ = [
    "COLORS",
    "FORMATS",
    "PALETTE",
    "Composition",
    "Figure",
    "Lineage",
    "LongTail",
    "Results",
    "canvas",
    "color",
    "draw_nothing",
    "grouped_bars",
    "mean_line",
    "save",
    "script",
]

FORMATS = ("pdf", "svg", "png")

# Okabe and Ito's palette (Color Universal Design): told apart with any colour vision, and in grey by lightness.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
COLORS = {
    "seed": "#8C96A3",
    "seed_matched": "#56616F",
    "evolved": "#0072B2",
    "evolved.blind": "#9CC7E2",
    "reasoning": "#0072B2",
    "interactive": "#E69F00",
    "perceptual": "#009E73",
    "fresh": "#CC79A7",
    "eliminated": "#C03A2B",
    "failed": "#C03A2B",
}
"""The paper's colours of the directions (blue, orange, green), in Okabe and Ito's shades."""


def color(settings: Figure, name: str, place: int = 0) -> str:
    """The colour of what is called `name`: the study's, the house's, or the palette's at `place`."""
    return settings.colors.get(name) or COLORS.get(name) or PALETTE[place % len(PALETTE)]


@contextmanager
def canvas(settings: Figure, style: Path) -> "Iterator[matplotlib.figure.Figure]":
    """An empty figure of the settings' size under the style file; no display is needed and no global state stays."""
    import matplotlib.style
    from matplotlib.figure import Figure as Canvas

    with matplotlib.style.context(["default", style]):
        yield Canvas(figsize=(settings.width, settings.height), layout="constrained")


def save(figure: "matplotlib.figure.Figure", out: Path) -> list[Path]:
    """Write ``out``.pdf, .svg and .png without date or version of anything: the same drawing gives the same bytes."""
    metadata: dict[str, dict[str, None]] = {
        "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }
    paths = []
    for kind in FORMATS:
        paths.append(path := out.with_name(f"{out.name}.{kind}"))
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata[kind])
    return paths


def grouped_bars(axes: "matplotlib.axes.Axes", settings: Figure, found: Lengths, most: int = 12) -> None:
    """Bars of how many Q&A have 0, 1, 2 … of something, seeds beside evolved, with dashed means; the last bar holds all above."""
    last = min(most, max((n for counts in found.counts.values() for n in counts), default=0))
    for side, counts in found.counts.items():
        heights = [counts[n] for n in range(last)] + [sum(k for n, k in counts.items() if n >= last)]
        shade, average = color(settings, side), found.mean(side)
        at = -0.2 if side == SEED else 0.2
        axes.bar(
            [n + at for n in range(last + 1)], heights, 0.38, color=shade, label=f"{side} ({counts.total():,} Q&A)"
        )
        if average is not None:
            mean_line(axes, average, shade, f"{average:.2f}", 1.0 if side == EVOLVED else 0.93)
    above = any(n > last for counts in found.counts.values() for n in counts)
    axes.set_xticks(range(last + 1), [*map(str, range(last)), f"≥ {last}" if above else str(last)])
    axes.set_xlim(-0.6, last + 0.6)
    axes.set_ylabel("Q&A")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.margins(y=0.12)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def mean_line(axes: "matplotlib.axes.Axes", x: float, shade: str, text: str, height: float = 1.0) -> None:
    """A dashed line at a mean, with its value at the top; `height` (0..1) keeps the texts of neighbours apart."""
    axes.axvline(x, color=shade, linestyle="--", linewidth=1.1)
    axes.annotate(
        text,
        (x, height),
        xycoords=("data", "axes fraction"),
        xytext=(3, -2),
        textcoords="offset points",
        va="top",
        color=shade,
    )


def draw_nothing(figure: "matplotlib.figure.Figure", text: str) -> None:
    """A figure that says why there is nothing to draw."""
    figure.text(0.5, 0.5, text, ha="center", va="center", color="#4b5664", wrap=True)


def script(
    draw: Callable[..., Iterable[Path] | None], name: str, inputs: Sequence[str], argv: Sequence[str] | None = None
) -> None:
    """Run a module of paper_figures: ``--settings JSON --out DIR/NAME`` and one option an input, each one or more paths.

    Calls ``draw(figure, settings, **inputs)`` with lists of paths and writes the figure's files, with its provenance beside them.
    `draw` may return what it read below a folder that it was given.
    """
    from mmevol.publish.provenance import record

    parser = argparse.ArgumentParser(description=sys.modules[draw.__module__].__doc__)
    parser.add_argument("--settings", default="{}", help="JSON: colours, size and what else is the figure's own")
    parser.add_argument("--out", type=Path, required=True, help="path of the figure without suffix")
    for each in inputs:
        parser.add_argument(f"--{each}", type=Path, nargs="*", default=[], metavar="PATH")
    given: dict[str, Any] = vars(parser.parse_args(argv))
    out, text = given.pop("out"), given.pop("settings")
    kind = Figures.model_fields[name].annotation
    assert isinstance(kind, type) and issubclass(kind, Figure)
    settings = kind.model_validate_json(text)
    source = Path(sys.modules[draw.__module__].__file__ or "")
    with canvas(settings, source.with_name("mmevol.mplstyle")) as figure:
        read = draw(figure, settings, **given) or []
        outputs = save(figure, out)
    files = [path for paths in given.values() for path in paths if path.is_file()]
    record(out, outputs=outputs, inputs=[source, *files, *read], settings=settings)
