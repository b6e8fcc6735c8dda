"""Random scenes and random programs over them, as hypothesis strategies."""

from random import Random
from typing import get_args

from hypothesis import strategies as st
from mmevol.records import Object
from mmevol.teacher import language as la
from mmevol.teacher.nouns import COLORS, SHAPES, THINGS
from mmevol.teacher.render import DEMANDS

CUSTOM = (
    "fire truck",
    "bottle of wine",
    "large dog",
    "red car",
    "leaf",
    "house",
    "orange",
    "glass",
    "tv",
    "box",
    "cookie",
)
LABELS = (*SHAPES[:4], *THINGS, *CUSTOM)
PLACES = get_args(la.Place)
PICKS = get_args(la.Pick)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x1, x2 = sorted(draw(st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(draw(st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)))
    return x1 / 20, y1 / 20, x2 / 20, y2 / 20


@st.composite
def drawn(draw: st.DrawFn) -> Object:
    """A thing of the drawn world: shape, color, size, sometimes letters."""
    attributes = {"color": draw(st.sampled_from(COLORS[:3])), "size": draw(st.sampled_from(("small", "large")))}
    if text := draw(st.sampled_from(("", "", "E", "KX"))):
        attributes["text"] = text
    return Object(label=draw(st.sampled_from(SHAPES[:3])), bbox=draw(boxes()), attributes=attributes)


def photographed(labels: tuple[str, ...] = LABELS) -> st.SearchStrategy[Object]:
    """A thing of a photo: a label of one or several words, seldom more."""
    attributes = st.sampled_from(({}, {}, {"material": "wood"}, {"color": "dark blue"}, {"color": "orange"}))
    return st.builds(
        lambda label, bbox, a: Object(label=label, bbox=bbox, attributes=a),
        st.sampled_from(labels),
        boxes(),
        attributes,
    )


def scenes(max_size: int = 8) -> st.SearchStrategy[list[Object]]:
    """The objects of a picture: drawn or photographed, few labels so that they repeat."""
    few = st.lists(st.sampled_from(LABELS), min_size=1, max_size=4).map(tuple)
    photos = few.flatmap(lambda labels: st.lists(photographed(labels), min_size=1, max_size=max_size))
    return st.one_of(st.lists(drawn(), min_size=1, max_size=max_size), photos)


class Programs:
    """Draws programs over the vocabulary of one picture, absent things included, from a seeded generator (a strategy a node
    would be far slower)."""

    def __init__(self, objects: list[Object], rng: Random) -> None:
        self.rng = rng
        self.labels = sorted({o.label for o in objects} | {"", "star", "traffic light"})
        values = {(k, v) for o in objects for k, v in o.attributes.items()} | {("color", "red"), ("size", "large")}
        self.values = sorted(values)
        self.boxes = [o.bbox for o in objects]

    def group(self, deep: int = 2) -> la.Group:
        attributes = dict(self.rng.choices(self.values, k=self.rng.choice((0, 0, 1, 2))))
        related = deep and self.rng.random() < 0.4
        where = la.Relation(self.rng.choice(PLACES), self.referent(deep - 1)) if related else None
        return la.Group(self.rng.choice(self.labels), la.ordered(attributes), where)

    def referent(self, deep: int = 2) -> la.Referent:
        if self.rng.random() < 0.2:
            return la.Region(self.rng.choice(self.boxes))
        return la.One(self.group(deep), self.rng.choice(("", "", *PICKS)))

    def query(self) -> la.Query:
        match self.rng.randrange(7):
            case 0:
                return la.Attribute(self.rng.choice(("color", "shape", "size", "material")), self.referent())
            case 1:
                return la.Name(self.referent())
            case 2:
                return la.Read(self.referent())
            case 3:
                return la.Locate(self.referent())
            case 4:
                return la.Count(self.group())
            case 5:
                return la.Total(self.group(), self.group())
            case _:
                return la.Difference(self.group(), self.group())

    def decision(self) -> la.Decision:
        match self.rng.randrange(7):
            case 0:
                return la.Exists(self.group())
            case 1:
                return la.CompareCounts(self.rng.choice(("more", "fewer", "equal")), self.group(), self.group())
            case 2:
                return la.CompareSize(self.rng.choice(("larger", "smaller")), self.referent(), self.referent())
            case 3:
                return la.Same(self.rng.choice(("color", "size", "shape")), self.referent(), self.referent())
            case 4:
                return la.Related(self.rng.choice(PLACES), self.referent(0), self.referent())
            case 5:
                return la.Verify(self.query(), self.rng.choice(("red", "1", "2", "the red circle", "KX")))
            case _:
                a, b = self.decision(), self.decision()
                if isinstance(a, la.Connect) or isinstance(b, la.Connect):
                    return a
                return la.Connect(self.rng.choice(("and", "or")), a, b)

    def program(self) -> la.Program:
        return self.query() if self.rng.random() < 0.5 else self.decision()

    def question(self) -> la.Question:
        """A program in one of the formats that can ask it."""
        cue = self.rng.random() < 0.3
        match self.rng.randrange(7):
            case 0:
                return la.Question(self.program(), "complex reasoning", cue=True)
            case 1:
                return la.Question(self.query(), "multiple choice", cue=cue)
            case 2:
                return la.Question(self.query(), "fill in the blank", cue=cue)
            case 3:
                return la.Question(la.Locate(self.referent()), "region selection", cue=cue)
            case 4:
                return la.Question(la.Name(la.Region(self.rng.choice(self.boxes))), "object-region matching", cue=cue)
            case 5:
                return la.Question(self.program(), "instruction following", self.rng.choice(sorted(DEMANDS)), cue)
        program = self.program()
        return la.Question(program, "yes/no" if isinstance(program, la.Verify) else "Norm")


def programs(objects: list[Object]) -> st.SearchStrategy[Programs]:
    """Generators of programs over a picture."""
    return st.integers(0, 2**32 - 1).map(lambda seed: Programs(objects, Random(seed)))
