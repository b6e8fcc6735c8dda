"""A held-out picture as its annotations tell it, and what can be said of its things without doubt.

Things that lie side by side by less than `MARGIN`, or differ in area by less than `RATIO`, are not compared at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmevol.records import SeedRecord

MARGIN = 0.1
"""Share of width or height by which centres differ before one thing is said to be on one side of another."""
RATIO = 1.2
"""How many times another's area a thing's box has before it is said to be larger."""
SIDES = {"to the left of": (0, 1), "to the right of": (0, -1), "above": (1, 1), "below": (1, -1)}
"""Axis (0 x, 1 y) of a side, and the sign by which the other thing's centre is ahead."""
PLACES = (("top left", "top", "top right"), ("left", "middle", "right"), ("bottom left", "bottom", "bottom right"))
GRID = 4


@dataclass(frozen=True)
class Thing:
    """An annotated object; ``color``, ``size`` and ``text`` are '' where they are not annotated."""

    label: str
    color: str
    size: str
    text: str
    box: tuple[float, float, float, float]

    @property
    def centre(self) -> tuple[float, float]:
        """x and y, shares of width and height."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def area(self) -> float:
        """Share of the picture that the box covers."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def name(self) -> str:
        """Colour and label: how an answer calls it."""
        return f"{self.color} {self.label}".strip()

    @property
    def cell(self) -> tuple[int, int]:
        """Row and column of a 4 x 4 grid, from 1, where the centre lies."""
        x, y = self.centre
        return 1 + min(int(y * GRID), GRID - 1), 1 + min(int(x * GRID), GRID - 1)

    @property
    def place(self) -> str:
        """The ninth of the picture where the centre lies."""
        x, y = self.centre
        return PLACES[min(int(y * 3), 2)][min(int(x * 3), 2)]

    def box_text(self) -> str:
        """The box as answers write it."""
        return "[" + ", ".join(f"{c:.3f}" for c in self.box) + "]"


@dataclass(frozen=True)
class Scene:
    """One held-out picture. ``image`` is its path below the images root."""

    key: str
    image: str
    width: int
    height: int
    caption: str
    things: tuple[Thing, ...]

    @classmethod
    def of(cls, record: SeedRecord) -> "Scene | None":
        """The scene of a held-out record; None without picture or without at least two colored objects."""
        things = tuple(
            Thing(
                label=o.label,
                color=o.attributes.get("color", ""),
                size=o.attributes.get("size", ""),
                text=o.attributes.get("text", ""),
                box=o.bbox,
            )
            for o in record.objects
        )
        if not (record.image and record.width and record.height) or sum(bool(t.color) for t in things) < 2:
            return None
        return cls(record.key, record.image, record.width, record.height, record.caption, things)

    def labels(self) -> list[str]:
        """The labels that occur, sorted."""
        return sorted({t.label for t in self.things})

    def colors(self) -> list[str]:
        """The colours that occur, sorted."""
        return sorted({t.color for t in self.things if t.color})

    def of_label(self, label: str) -> list[Thing]:
        """The things of a label."""
        return [t for t in self.things if t.label == label]

    def phrase(self, thing: Thing, without: str = "") -> str | None:
        """The shortest phrase that means this thing alone ("star", "red star", "large red star"), or None.

        `without`: an attribute that must not be named, because it is asked for.
        """
        for uses in ((), ("color",), ("size",), ("size", "color")):
            if without in uses:
                continue
            own = [getattr(thing, use) for use in uses]
            same = [t for t in self.of_label(thing.label) if [getattr(t, use) for use in uses] == own]
            if all(own) and len(same) == 1:
                return " ".join((*own, thing.label))
        return None

    def beside(self, thing: Thing, side: str, anchor: Thing) -> bool | None:
        """Whether `thing` lies on that side (of `SIDES`) of `anchor`; None where it is hard to tell."""
        axis, sign = SIDES[side]
        gap = sign * (anchor.centre[axis] - thing.centre[axis])
        return False if gap <= 0 else True if gap >= MARGIN else None

    def on_side(self, things: Sequence[Thing], side: str, anchor: Thing) -> list[Thing] | None:
        """Those of `things` on that side of `anchor`; None where any of them is hard to tell."""
        told = [(t, self.beside(t, side, anchor)) for t in things if t is not anchor]
        return None if any(is_there is None for _, is_there in told) else [t for t, is_there in told if is_there]

    def largest(self, things: Sequence[Thing], *, smallest: bool = False) -> Thing | None:
        """The clearly largest (or smallest) of `things`, or None."""
        order = sorted(things, key=lambda t: t.area, reverse=not smallest)
        if len(order) > 1:
            small, large = sorted((order[0].area, order[1].area))
            if large < RATIO * small:
                return None
        return order[0] if order else None
