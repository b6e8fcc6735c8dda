"""Phrases for the objects of a scene: how one can be meant alone, how a phrase gets finer, how a group gets narrower.

Draws come from the given generator, whose seed is a digest of the request.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from random import Random
from typing import TypeVar

from mmevol.teacher.execute import Run, Unanswerable
from mmevol.teacher.language import Group, One, Pick, Place, Referent, Region, Relation, ordered
from mmevol.teacher.scene import Scene

T = TypeVar("T")
PLACES: tuple[Place, ...] = ("left", "right", "above", "below")
PICKS: tuple[Pick, ...] = ("largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost")
FILTERS = ("size", "color")
"""Attributes that phrases filter by. Glyphs are left to be read."""
TRIED = 12
"""Relations of one object that are tried before another way is."""


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """The items in a drawn order, the one of ``rng.sample(items, len(items))``, for a third of its time: most draws are these."""
    pool, draw, found = list(items), rng.getrandbits, []
    for left in range(len(pool), 0, -1):
        bits = left.bit_length()
        at = draw(bits)
        while at >= left:
            at = draw(bits)
        found.append(pool[at])
        pool[at] = pool[left - 1]
    return found


class Phrases:
    """The phrases of one scene, found once and drawn from."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        self.scene, self.rng = scene, rng
        self._descriptions: dict[int, list[One]] = {}
        self._standing_out: dict[str, dict[int, list[Pick]]] = {}

    def means(self, one: Referent, i: int) -> bool:
        """Whether the phrase means this object and no other."""
        try:
            return Run(self.scene).resolve(one) == i
        except Unanswerable:
            return False

    def groups(self, i: int) -> list[Group]:
        """Groups that hold the object, with one filter at most; by label first."""
        label, attributes = self.scene.labels[i], self.scene.attributes[i]
        found = [Group(label)]
        for name in FILTERS:
            if value := attributes.get(name):
                found += [Group(label, ((name, value),)), Group("", ((name, value),))]
        return found

    def descriptions(self, i: int) -> list[One]:
        """Phrases without a relation that mean the object alone, shallow first, two operators above the ground at most."""
        if i not in self._descriptions:
            label, attributes = self.scene.labels[i], self.scene.attributes[i]
            groups = self.groups(i)
            if all(name in attributes for name in FILTERS):
                groups.append(Group(label, ordered({name: attributes[name] for name in FILTERS})))
            found = [One(group) for group in groups if len(self.scene.alike(group.label, group.attributes)) == 1]
            found += [One(Group(name), pick) for name in ("", label) for pick in self._picks(name).get(i, ())]
            self._descriptions[i] = found
        return self._descriptions[i]

    def _picks(self, label: str) -> dict[int, list[Pick]]:
        """By which words an object stands out among all, or among those of its label, where there are several."""
        if label not in self._standing_out:
            members = self.scene.alike(label, ())
            found: dict[int, list[Pick]] = {}
            for pick in PICKS if len(members) > 1 else ():
                with suppress(Unanswerable):
                    found.setdefault(Run(self.scene).pick(pick, members), []).append(pick)
            self._standing_out[label] = found
        return self._standing_out[label]

    def anchors(self, i: int) -> Sequence[Referent]:
        """Phrases to relate others to: the first few descriptions, or where there is none the object's region."""
        return self.descriptions(i)[:3] or [self.region(i)]

    def region(self, i: int) -> Region:
        """The object by its box."""
        x1, y1, x2, y2 = (round(c, 3) for c in self.scene.boxes[i])
        return Region((x1, y1, x2, y2))

    def beside(self, i: int, group: Group, used: frozenset[int] = frozenset()) -> Iterator[One]:
        """The object as the only one of the group on some side of another object, which is none of those in use."""
        for j in shuffled(self.rng, self.scene.all):
            if j == i or j in used:
                continue
            places = [place for place in shuffled(self.rng, PLACES) if self._alone_beside(i, group, place, j)]
            for anchor in self.anchors(j) if places else ():
                yield from (One(Group(group.label, group.attributes, Relation(place, anchor))) for place in places)

    def _alone_beside(self, i: int, group: Group, place: Place, j: int) -> bool:
        """Whether, clearly, the object and no other of the group lies on that side of another object."""
        if not self.scene.beside(i, place, j):
            return False
        members = self.scene.alike(group.label, group.attributes)
        return all(self.scene.beside(k, place, j) is False for k in members if k not in (i, j))

    def finer(self, one: Referent, used: frozenset[int] = frozenset()) -> Iterator[One]:
        """Other phrases for the same object with one more filter or relation somewhere, none going back to one in use."""
        if isinstance(one, Region):
            return
        group, i = one.group, Run(self.scene).resolve(one)
        if group.where is None and not one.pick:
            yield from islice(self.beside(i, group, used), TRIED)
        own, attributes = dict(group.attributes), self.scene.attributes[i]
        found = [
            replace(group, attributes=ordered(own | {name: attributes[name]}))
            for name in FILTERS
            if name not in own and name in attributes
        ]
        if group.where is not None:
            anchors = self.finer(group.where.anchor, used | {i})
            found += [replace(group, where=replace(group.where, anchor=anchor)) for anchor in anchors]
        for finer in shuffled(self.rng, found):
            if self.means(phrase := replace(one, group=finer), i):
                yield phrase

    def narrower(self, group: Group) -> list[Group]:
        """The group with one more filter or relation, in a drawn order; some of them may be without members or unclear."""
        own = dict(group.attributes)
        found = [
            replace(group, attributes=ordered(own | {name: value}))
            for name in FILTERS
            if name not in own
            for value in self.scene.values(name)
        ]
        if group.where is None:
            only = self.scene.alike(group.label, group.attributes)
            for j in shuffled(self.rng, [j for j in self.scene.all if only != [j]])[: TRIED // 2]:
                anchor = self.rng.choice(self.anchors(j))
                found += [Group(group.label, group.attributes, Relation(place, anchor)) for place in PLACES]
        else:
            finer = self.finer(group.where.anchor)
            found += [replace(group, where=replace(group.where, anchor=anchor)) for anchor in finer]
        return shuffled(self.rng, found)

    def others(self, group: Group) -> list[Group]:
        """Groups to compare with or to add, in a drawn order: another label, or another color of the same."""
        own = dict(group.attributes)
        found = [Group(label, group.attributes) for label in self.scene.counts if label != group.label]
        if "color" in own:
            colors = [color for color in self.scene.values("color") if color != own["color"]]
            found += [Group(group.label, ordered(own | {"color": color})) for color in colors]
        return shuffled(self.rng, found)
