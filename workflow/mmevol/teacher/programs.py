"""Finding programs for a scene: simple ones to start from, and all the ways in which one grows by an operator.

Everything found has an answer in the scene, gives nothing away by its own words, and is drawn in an order from the given
generator, whose seed is a digest of the request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any, TypeVar

from mmevol.teacher.blind import leak
from mmevol.teacher.execute import Run, Scene, Unanswerable, box_text
from mmevol.teacher.language import (
    QUERIES,
    Attribute,
    CompareCounts,
    CompareSize,
    Connect,
    Count,
    Difference,
    Exists,
    Group,
    Locate,
    Name,
    One,
    Program,
    Read,
    Referent,
    Region,
    Related,
    Relation,
    Same,
    Total,
    Verify,
    depth,
    ordered,
)
from mmevol.teacher.nouns import COLORS, SHAPES, THINGS

T = TypeVar("T")
PLACES = ("left", "right", "above", "below")
PICKS = ("largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost")


def answered(program: Program, scene: Scene) -> Run | None:
    """The run of a program that is fit to ask: it has an answer, and its words do not give it away."""
    execution = Run(scene)
    try:
        execution.answer(program)
    except Unanswerable:
        return None
    return execution if leak(program) is None else None


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """The items in a drawn order."""
    return rng.sample(items, len(items))


def absent_labels(scene: Scene) -> list[str]:
    """Labels of the kind that this picture holds which it does not hold."""
    vocabulary = SHAPES[:4] if all(label in SHAPES for label in scene.counts) else THINGS
    return [label for label in vocabulary if label not in scene.counts]


class Finder:
    """Draws programs over one scene."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        self.scene, self.rng = scene, rng
        self._descriptions: dict[int, list[One]] = {}

    # ------------------------------------------------------------------------------------------------------- one object

    def is_one(self, one: Referent, i: int) -> bool:
        """Whether the phrase means this object."""
        try:
            return Run(self.scene).resolve(one) == i
        except Unanswerable:
            return False

    def groups(self, i: int) -> list[Group]:
        """Groups that hold the object, up to one filter; shallow first."""
        label, attributes = self.scene.labels[i], self.scene.attributes[i]
        found = [Group(label)]
        for name in ("color", "size"):
            if value := attributes.get(name):
                found += [Group(label, ((name, value),)), Group("", ((name, value),))]
        return found

    def descriptions(self, i: int) -> list[One]:
        """Phrases without a relation that mean this object alone; shallow first, at most two operators above the ground."""
        if i not in self._descriptions:
            found = [One(group) for group in self.groups(i)]
            attributes = self.scene.attributes[i]
            if "size" in attributes and "color" in attributes:
                both = ordered({name: attributes[name] for name in ("size", "color")})
                found.append(One(Group(self.scene.labels[i], both)))
            found += [
                One(group, pick)
                for group in (Group(), Group(self.scene.labels[i]))
                for pick in PICKS
                if self._several(group)
            ]  # type: ignore[arg-type]
            self._descriptions[i] = [one for one in found if self.is_one(one, i)]
        return self._descriptions[i]

    def _several(self, group: Group) -> bool:
        return len(self.scene.labels if not group.label else [1] * self.scene.counts[group.label]) > 1

    def beside(self, i: int, group: Group) -> Iterator[One]:
        """The object as the only one of the group on some side of another object."""
        for j in shuffled(self.rng, self.scene.all):
            for anchor in self.descriptions(j)[:3] if j != i else ():
                for place in shuffled(self.rng, PLACES):
                    if self.scene.beside(i, place, j):
                        one = One(replace(group, where=Relation(place, anchor)))
                        if self.is_one(one, i):
                            yield one

    def finer(self, one: Referent) -> Iterator[Referent]:
        """Other phrases for the same object with one more filter, pick or relation somewhere."""
        if isinstance(one, Region):
            return
        i = Run(self.scene).resolve(one)
        found: list[One] = []
        own = dict(one.group.attributes)
        for name in ("size", "color"):
            if name not in own and name in self.scene.attributes[i]:
                more = ordered(own | {name: self.scene.attributes[i][name]})
                found.append(replace(one, group=replace(one.group, attributes=more)))
        if not one.pick and one.group.where is None:
            yield from (a for a in shuffled(self.rng, list(self.beside(i, one.group)))[:8])
        if one.group.where is not None:
            for anchor in self.finer(one.group.where.anchor):
                found.append(replace(one, group=replace(one.group, where=replace(one.group.where, anchor=anchor))))
        yield from (a for a in shuffled(self.rng, found) if self.is_one(a, i))

    # ---------------------------------------------------------------------------------------------------------- groups

    def narrower(self, group: Group) -> Iterator[Group]:
        """The group with one more filter or relation."""
        own = dict(group.attributes)
        found = [
            replace(group, attributes=ordered(own | {name: value}))
            for name in ("size", "color")
            if name not in own
            for value in sorted({a[name] for a in self.scene.attributes if name in a})
        ]
        if group.where is None:
            anchors = [(j, one) for j in self.scene.all for one in self.descriptions(j)[:2]]
            for _, anchor in shuffled(self.rng, anchors)[:6]:
                found += [replace(group, where=Relation(place, anchor)) for place in PLACES]  # type: ignore[arg-type]
        else:
            where = group.where
            found += [replace(group, where=replace(where, anchor=anchor)) for anchor in self.finer(where.anchor)]
        yield from shuffled(self.rng, found)

    def other_groups(self, group: Group) -> list[Group]:
        """Groups to compare with or add: another label, or another color of the same."""
        own = dict(group.attributes)
        others = [Group(label, group.attributes) for label in self.scene.counts if label != group.label]
        if "color" in own:
            colors = {a["color"] for a in self.scene.attributes if "color" in a} - {own["color"]}
            others += [Group(group.label, ordered(own | {"color": color})) for color in sorted(colors)]
        return shuffled(self.rng, others)

    # -------------------------------------------------------------------------------------------------------- programs

    def simple(self, about: Sequence[int] = ()) -> Iterator[Program]:
        """Programs of depth 2 to 4 about the given objects (all if none), in a drawn order of kinds and objects."""
        kinds = [
            self._about_attributes,
            self._about_place,
            self._about_count,
            self._about_existence,
            self._about_name,
            self._about_pair,
        ]
        rounds = [(kind, i) for i in about or self.scene.all for kind in kinds]
        for kind, i in shuffled(self.rng, rounds):
            for program in kind(i):
                if answered(program, self.scene):
                    yield program
                    break

    def _about_attributes(self, i: int) -> Iterator[Program]:
        names = [name for name in ("color", "shape", "size") if self.scene.attribute(i, name)]
        for one in shuffled(self.rng, self.descriptions(i)):
            if self.scene.attributes[i].get("text"):
                yield Read(one)
            yield from (Attribute(name, one) for name in shuffled(self.rng, names))

    def _about_place(self, i: int) -> Iterator[Program]:
        yield from (Locate(one) for one in shuffled(self.rng, self.descriptions(i)))

    def _about_count(self, i: int) -> Iterator[Program]:
        yield from (Count(group) for group in shuffled(self.rng, [*self.groups(i), Group()]))

    def _about_existence(self, i: int) -> Iterator[Program]:
        """Existence of the object, or, as often, of something like it that is not there."""
        group = self.rng.choice(self.groups(i))
        if self.rng.random() < 0.5:
            yield Exists(group)
        like = [Group(label, group.attributes) for label in absent_labels(self.scene)[:8]]
        if "color" in dict(group.attributes):
            seen = {a["color"] for a in self.scene.attributes if "color" in a}
            like = [Group(group.label, (("color", color),)) for color in sorted(seen)] + like[:2]
        yield from (Exists(other) for other in shuffled(self.rng, like) if not Run(self.scene).members(other))

    def _about_name(self, i: int) -> Iterator[Program]:
        yield from (Name(one) for one in self.beside(i, Group()))
        yield from (Name(one) for one in self.descriptions(i) if not one.group.label)
        yield Name(Region(tuple(round(c, 3) for c in self.scene.boxes[i])))  # type: ignore[arg-type]

    def _about_pair(self, i: int) -> Iterator[Program]:
        for j in shuffled(self.rng, [j for j in self.scene.all if j != i]):
            for a in self.descriptions(i)[:1]:
                for b in self.descriptions(j)[:1]:
                    found: list[Program] = [Related(place, a, b) for place in shuffled(self.rng, PLACES)[:2]]
                    found += [CompareSize(op, a, b) for op in shuffled(self.rng, ("larger", "smaller"))]
                    yield from found

    # ---------------------------------------------------------------------------------------------------------- growing

    def deeper(self, program: Program) -> Iterator[Program]:
        """Programs that are one operator deeper than this one, best kept to its subject; drawn order."""
        goal = depth(program) + 1
        for candidate in self._grown(program):
            if depth(candidate) == goal and answered(candidate, self.scene):
                yield candidate

    def _grown(self, program: Program) -> Iterator[Program]:
        match program:
            case Verify(query, _):
                for grown in self.deeper(query):
                    if isinstance(grown, QUERIES) and (check := self.verify(grown)):
                        yield check
                return
            case Connect(op, a, b):
                yield from (Connect(op, a, grown) for grown in self.deeper(b))
                yield from (Connect(op, grown, b) for grown in self.deeper(a) if not isinstance(grown, Connect))
                return
        ways = [self._refined, self._lifted]
        for way in shuffled(self.rng, ways):
            yield from way(program)

    def _refined(self, program: Program) -> Iterator[Program]:
        """One of the program's own phrases made finer."""
        for field in shuffled(self.rng, fields(program)):
            value: Any = getattr(program, field.name)
            if isinstance(value, (One, Region)):
                finer = (
                    one
                    for one in self.finer(value)
                    if not (isinstance(program, Related) and field.name == "a" and one.group.where)
                )  # type: ignore[union-attr]
                yield from (replace(program, **{field.name: one}) for one in finer)
            elif isinstance(value, Group):
                yield from (replace(program, **{field.name: group}) for group in self.narrower(value))

    def _lifted(self, program: Program) -> Iterator[Program]:
        """The program as a part of a larger one."""
        match program:
            case Count(group):
                for other in self.other_groups(group):
                    yield from shuffled(
                        self.rng, [Total(group, other), Difference(group, other), Difference(other, group)]
                    )
                    yield CompareCounts(self.rng.choice(("more", "fewer", "equal")), group, other)
            case Attribute(name, one):
                for j in shuffled(self.rng, self.scene.all):
                    yield from (Same(name, one, other) for other in self.descriptions(j))
            case Exists() | CompareCounts() | CompareSize() | Same() | Related():
                limit = depth(program)
                for other_program in self.simple():
                    if (
                        isinstance(other_program, (Exists, Related, CompareSize))
                        and other_program != program
                        and depth(other_program) <= limit
                    ):
                        yield Connect(self.rng.choice(("and", "or")), program, other_program)

    def verify(self, query: Any) -> Verify | None:
        """The query as a yes/no question: with its answer, or as often with another value of the same type."""
        execution = answered(query, self.scene)
        if execution is None:
            return None
        value = Run(self.scene).answer(query)
        if self.rng.random() < 0.5:
            others = self.alternatives(query, value)
            if not others:
                return None
            value = others[0]
        check = Verify(query, value)
        return check if leak(check) is None else None

    def alternatives(self, program: Program, value: str) -> list[str]:
        """Wrong answers of the right one's type, those that occur in the picture first; may be empty."""
        scene, rng = self.scene, self.rng
        match program:
            case Attribute("color"):
                pools = [sorted({a["color"] for a in scene.attributes if "color" in a}), list(COLORS[:6])]
            case Attribute("shape"):
                pools = [sorted({s for i in scene.all if (s := scene.attribute(i, "shape"))}), list(SHAPES[:4])]
            case Attribute("size"):
                pools = [["small", "large"]]
            case Attribute(name):
                pools = [sorted({a[name] for a in scene.attributes if name in a})]
            case Read():
                pools = [sorted({a["text"] for a in scene.attributes if "text" in a}), _letters_like(value)]
            case Locate():
                pools = [sorted({box_text(box) for box in scene.boxes})]
            case Name():
                names = sorted({scene.name(i) for i in scene.all})
                colors = sorted({a["color"] for a in scene.attributes if "color" in a})
                labels = [*sorted(scene.counts), *absent_labels(scene)]
                pools = [
                    names,
                    [f"the {color} {label}".replace("  ", " ") for color in colors or [""] for label in labels],
                ]
            case _:
                number = int(value)
                pools = [[str(n) for n in range(max(0, number - 2), number + 4)]]
        found = [other for pool in pools for other in shuffled(rng, pool) if other != value]
        return list(dict.fromkeys(found))


def _letters_like(text: str) -> list[str]:
    """Texts of the same length in other letters."""
    alphabet = "EFHKLMNPRTXZ"
    return [
        "".join(alphabet[(alphabet.find(c) + k * (at + 1)) % 12] for at, c in enumerate(text)) for k in (1, 3, 5, 7)
    ]
