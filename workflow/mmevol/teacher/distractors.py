"""Wrong answers of the right one's type, and labels of things that are not there."""

from random import Random

from mmevol.teacher.language import Attribute, Locate, Name, Query, Read
from mmevol.teacher.nouns import COLORS, SHAPES, SIZES, THINGS
from mmevol.teacher.phrases import shuffled
from mmevol.teacher.render import box_text
from mmevol.teacher.scene import Scene

LETTERS = "EFHKLMNPRTXZ"
"""Letters that made-up glyphs are taken from; none of A to D, which name options."""


def absent_labels(scene: Scene) -> list[str]:
    """Labels of the kind that the picture holds (common shapes, any shapes, or else things) which it does not hold."""
    for vocabulary in (SHAPES[:4], SHAPES):
        if scene.counts.keys() < set(vocabulary):
            return [label for label in vocabulary if label not in scene.counts]
    return [label for label in THINGS if label not in scene.counts]


def alternatives(program: Query, value: str, scene: Scene, rng: Random) -> list[str]:
    """Wrong answers in a drawn order, those that occur in the picture first; none where there is nothing of the type."""
    match program:
        case Attribute("color"):
            pools = [scene.values("color"), list(COLORS[:6])]
        case Attribute("shape"):
            pools = [sorted({s for i in scene.all if (s := scene.attribute(i, "shape"))}), list(SHAPES[:4])]
        case Attribute("size"):
            pools = [list(SIZES)]
        case Attribute(name):
            pools = [scene.values(name)]
        case Read():
            pools = [scene.values("text"), _made_up(value)]
        case Locate():
            pools = [sorted({box_text(box) for box in scene.boxes})]
        case Name():
            pools = [sorted({scene.name(i) for i in scene.all}), _names(scene)]
        case _:
            pools = [[str(n) for n in range(max(0, int(value) - 2), int(value) + 4)]]
    found = (other for pool in pools for other in shuffled(rng, pool) if other != value)
    return list(dict.fromkeys(found))


def _names(scene: Scene) -> list[str]:
    """Names of things that might have been there: known labels, in the picture's colors where it has any."""
    labels = [*scene.counts, *absent_labels(scene)]
    colors = scene.values("color")
    names = [f"the {color} {label}" for color in colors for label in labels] or [f"the {label}" for label in labels]
    return [name for name in names if name not in {scene.name(i) for i in scene.all}]


def _made_up(text: str) -> list[str]:
    """Other texts of the same length."""
    return ["".join(LETTERS[(LETTERS.find(c) + k * (at + 1)) % 12] for at, c in enumerate(text)) for k in (1, 3, 5, 7)]
