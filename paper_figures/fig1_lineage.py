"""Figure 1: one record through the rounds. Picture and boxes at the left, then a column a round, a lane a Q&A.

Arrows carry the colour of the direction; a survivor has a solid frame, what was eliminated or failed a dashed red one with the
reason.

    python paper_figures/fig1_lineage.py --dataset results/demo/evolve/full/dataset/evolved.parquet \\
        --seeds results/demo/seeds/shards/*.parquet --images results/demo/seeds/images --out /tmp/fig1_lineage
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from mmevol.publish.figures import PALETTE, Lineage, color, script
from mmevol.publish.lineage import LANES, Row, chosen, seed_record
from mmevol.publish.versions import judged_difficulty
from mmevol.records import LETTERS, SeedRecord

SIZE = 7.5
"""Type size of a card in points."""
EM = 0.0079 * SIZE
"""Width of an average letter in inches."""
LINE = 1.36 * SIZE / 72
"""Height of a line in inches."""
DASHED = (0.0, (3.0, 2.0))
TALLEST = 1.6
"""Height of a card in inches where nothing stands below it."""
PICTURE = 1.9
"""Width of the picture's column in inches."""


@dataclass(frozen=True)
class Card:
    """A version on the page, inches from the lower left. ``upper``: the half of the lane where survivors stand."""

    row: Row
    x: float
    y: float
    width: float
    height: float

    @property
    def alive(self) -> bool:
        """Whether this version is in use."""
        return self.row["outcome"] in ("seed", "survived")


def difficulty(row: Row) -> str:
    """The judge's number, as it stands in a card's upper right corner."""
    number = judged_difficulty(row["verdicts"])
    return "" if number is None else f"difficulty {number:.1f}"


def texts(row: Row) -> tuple[str, str, str, str]:
    """Heading, a line on the form, body and last line of a card."""
    facts = row["format"] if row["format"] not in ("", "Norm") else ""
    end = "" if row["outcome"] in ("seed", "survived") else row["reason"].replace("_", " ")
    if not row["question"]:
        return row["direction"], facts, "no valid candidate", end
    options = "".join(f"\n{letter}. {option}" for letter, option in zip(LETTERS, row["options"], strict=False))
    return row["direction"], facts, f"{row['question']}{options}\n→ {row['answer']}", end


def wrapped(text: str, width: float, lines: int) -> str:
    """Text broken to a width in inches; what does not fit in so many lines ends in an ellipsis (the answer is kept)."""
    columns = max(8, int(width / EM))
    *question, answer = text.split("\n")
    last = textwrap.wrap(answer, columns)[: max(1, lines // 2)] or [""]
    first = [part for line in question for part in textwrap.wrap(line, columns)]
    room = max(1, lines - len(last))
    if len(first) > room:
        first = [*first[: room - 1], first[room - 1][: columns - 2] + " …"]
    return "\n".join([*first, *last])


def draw_card(axes: Axes, settings: Lineage, card: Card) -> None:
    """Frame, heading, text, and the reason where it did not survive."""
    row = card.row
    shade = color(settings, row["direction"])
    frame = color(settings, "eliminated") if not card.alive else shade
    box = FancyBboxPatch(
        (card.x, card.y),
        card.width,
        card.height,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor="white" if card.alive else "#fdf4f2",
        edgecolor=frame,
        linewidth=1.2,
        zorder=3,
        linestyle="-" if card.alive else DASHED,
    )
    axes.add_patch(box)
    head, facts, body, end = texts(row)
    pad, top = 0.07, card.y + card.height - 0.06
    axes.text(card.x + pad, top, head, fontsize=SIZE, fontweight="bold", color=shade, va="top", zorder=4)
    grey: dict[str, Any] = {"fontsize": SIZE - 0.6, "color": "#6b7684", "va": "top", "zorder": 4}
    axes.text(card.x + card.width - pad, top, difficulty(row), ha="right", **grey)
    axes.text(card.x + pad, top - 1.25 * LINE, facts, **grey)
    room = int((card.height - 0.16) / LINE) - 1 - bool(end)
    axes.text(
        card.x + pad,
        top - (2.35 if facts else 1.25) * LINE,
        wrapped(body, card.width - 2 * pad, room),
        fontsize=SIZE,
        va="top",
        linespacing=1.15,
        zorder=4,
        color="#1d2530" if card.alive else "#6b5550",
    )
    if end:
        style: dict[str, Any] = {"fontsize": SIZE - 0.4, "fontweight": "bold", "va": "bottom", "zorder": 4}
        axes.text(card.x + pad, card.y + 0.06, f"✕ {end}", color=frame, **style)


def laid_out(rows: Sequence[Row], settings: Lineage) -> list[Card]:
    """Where every card stands: a lane a Q&A line, survivors in its upper part, the others below."""
    seeds = [r["line"] for r in rows if r["outcome"] == "seed"][:LANES]
    rounds = max(r["round"] for r in rows)
    left, gap, head = PICTURE + 0.25, 0.3, 0.3
    width = (settings.width - left - 0.1 - rounds * gap) / (rounds + 1)
    lane = (settings.height - head - 0.1) / len(seeds)
    cards = []
    for place, line in enumerate(seeds):
        mine = [r for r in rows if r["line"] == line]
        lost = any(r["outcome"] in ("eliminated", "failed") for r in mine)
        bottom = settings.height - head - (place + 1) * lane
        for row in mine:
            alive = row["outcome"] in ("seed", "survived")
            height = (lane - 0.12) * (0.52 if alive else 0.45) if lost else min(lane - 0.12, TALLEST)
            y = bottom + lane - 0.06 - height if alive else bottom + 0.06
            cards.append(Card(row, left + row["round"] * (width + gap), y, width, height))
    return cards


def draw_arrows(axes: Axes, settings: Lineage, cards: Sequence[Card]) -> None:
    """From every parent to what was made of it."""
    at = {card.row["id"]: card for card in cards}
    for card in cards:
        parent = at.get(card.row["parent"])
        if parent is None:
            continue
        start = (parent.x + parent.width, parent.y + parent.height * (0.5 if card.alive else 0.2))
        end = (card.x, card.y + card.height * (0.5 if card.alive else 0.75))
        shade = color(settings, card.row["direction"])
        arrow = FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=9,
            color=shade,
            linewidth=1.6,
            shrinkA=1,
            shrinkB=1,
            zorder=2,
            linestyle="-" if card.alive else DASHED,
        )
        axes.add_patch(arrow)


def draw_picture(axes: Axes, record: SeedRecord, picture: Path | None) -> None:
    """The picture with its boxes, or the boxes alone where the study has no pictures."""
    width, height = record.width or 1, record.height or 1
    if picture:
        from PIL import Image

        with Image.open(picture) as image:
            pixels = image.convert("RGB")
        width, height = pixels.size
        axes.imshow(pixels, interpolation="nearest" if width < 200 else "antialiased", extent=(0, width, height, 0))
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
    for place, thing in enumerate(record.objects[:12]):
        x1, y1, x2, y2 = thing.bbox
        shade = PALETTE[place % len(PALETTE)]
        axes.add_patch(
            Rectangle(
                (x1 * width, y1 * height),
                (x2 - x1) * width,
                (y2 - y1) * height,
                fill=False,
                edgecolor=shade,
                linewidth=1.2,
            )
        )
        box = {"facecolor": shade, "edgecolor": "none", "pad": 0.8}
        light = shade in ("#F0E442", "#E69F00", "#56B4E9")
        axes.text(
            x1 * width,
            y1 * height,
            thing.label,
            fontsize=6,
            color="black" if light else "white",
            va="bottom",
            bbox=box,
            clip_on=True,
        )


def draw(
    figure: Canvas, settings: Lineage, *, dataset: list[Path], seeds: list[Path], images: list[Path]
) -> list[Path]:
    """The whole page; returns the picture that was read."""
    rows = chosen(dataset[0], settings.record)
    record = seed_record(seeds, rows[0]["record"])
    picture = images[0] / record.image if images and record.image else None
    figure.set_layout_engine("none")
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, settings.width), ylim=(0, settings.height))
    page.axis("off")
    cards = laid_out(rows, settings)
    for number, x in sorted({c.row["round"]: c.x for c in cards}.items()):
        page.text(
            x,
            settings.height - 0.12,
            f"round {number}" if number else "seed Q&A",
            fontsize=9,
            fontweight="bold",
            va="top",
        )
    draw_arrows(page, settings, cards)
    for card in cards:
        draw_card(page, settings, card)
    side = PICTURE * min(1.0, (record.height or 1) / (record.width or 1))
    view = figure.add_axes(
        (0.1 / settings.width, 1 - (side + 0.32) / settings.height, PICTURE / settings.width, side / settings.height)
    )
    draw_picture(view, record, picture)
    page.text(
        0.1,
        settings.height - 0.12,
        "picture" if picture else "boxes (no picture)",
        fontsize=9,
        fontweight="bold",
        va="top",
    )
    caption = textwrap.shorten(record.caption, 420, placeholder=" …")
    page.text(
        0.1,
        settings.height - side - 0.4,
        wrapped(f"Caption: {caption}\n", PICTURE, 14),
        fontsize=SIZE,
        va="top",
        color="#4b5664",
        linespacing=1.15,
    )
    draw_key(page, settings, cards)
    return [picture] if picture else []


def draw_key(page: Axes, settings: Lineage, cards: Sequence[Card]) -> None:
    """What the colours of the arrows mean."""
    directions = sorted({c.row["direction"] for c in cards if c.row["round"]})
    for place, direction in enumerate(directions):
        y = 0.16 + 0.17 * (len(directions) - 1 - place)
        arrow = FancyArrowPatch(
            (0.1, y), (0.45, y), arrowstyle="-|>", mutation_scale=8, color=color(settings, direction), linewidth=1.6
        )
        page.add_patch(arrow)
        page.text(0.52, y, direction, fontsize=7, va="center")


if __name__ == "__main__":
    script(draw, "fig1_lineage", ["dataset", "seeds", "images"])
