"""The objects of one picture, prepared for programs to run over."""

from collections import Counter
from collections.abc import Sequence

from mmevol.records import Object
from mmevol.teacher.language import Place
from mmevol.teacher.nouns import SHAPES, singulars

MARGIN = 0.1
"""Share of width or height by which centres differ before one object lies beside another."""
RATIO = 1.2
"""How many times the area of another box a box has before it is larger."""
NEAR = 6e-4
"""Below this difference two coordinates are the same: they are written with three decimals."""

_SIDE: dict[str, tuple[int, int]] = {"left": (0, 1), "right": (0, -1), "above": (1, 1), "below": (1, -1)}
"""Axis of a place, and the sign by which the anchor's centre is ahead."""


class Scene:
    """The objects of a picture: lower-case labels, attributes, centres and areas (shares of the picture), by position."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.labels = [" ".join(o.label.lower().split()) for o in objects]
        self.boxes = [o.bbox for o in objects]
        self.attributes = [
            {k: (v if k == "text" else v.lower()) for k, v in o.attributes.items() if v} for o in objects
        ]
        self.centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in self.boxes]
        self.areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in self.boxes]
        self.counts = Counter(self.labels)
        self.plurals = singulars(self.counts)
        self.all = range(len(self.labels))
        self._alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[int]] = {}

    def alike(self, label: str, attributes: tuple[tuple[str, str], ...]) -> list[int]:
        """The objects with this label ('' any) and these attributes. Not to be changed by the caller."""
        key = (label, attributes)
        if key not in self._alike:
            self._alike[key] = [
                i
                for i in self.all
                if (not label or self.labels[i] == label)
                and all(self.attribute(i, name) == value for name, value in attributes)
            ]
        return self._alike[key]

    def values(self, name: str) -> list[str]:
        """The values of an attribute that occur, sorted."""
        return sorted({attributes[name] for attributes in self.attributes if name in attributes})

    def attribute(self, i: int, name: str) -> str | None:
        """An attribute of an object; a label that is a shape's name says the shape."""
        value = self.attributes[i].get(name)
        return self.labels[i] if value is None and name == "shape" and self.labels[i] in SHAPES else value

    def name(self, i: int) -> str:
        """What an answer calls an object: color, where known, and label."""
        color = self.attributes[i].get("color")
        return f"the {color} {self.labels[i]}" if color else f"the {self.labels[i]}"

    def salience(self, members: Sequence[int]) -> float:
        """How much meets the eye: area times the number of objects of that label, of the most salient one. Rarer or
        smaller is less; nothing at all counts as endless."""
        return max((self.areas[i] * self.counts[self.labels[i]] for i in members), default=float("inf"))

    def beside(self, i: int, place: Place, j: int) -> bool | None:
        """Whether ``i`` lies on that side of ``j``; None where it is hard to tell."""
        axis, sign = _SIDE[place]
        gap = sign * (self.centres[j][axis] - self.centres[i][axis])
        return False if gap <= 0 else True if gap >= MARGIN else None
