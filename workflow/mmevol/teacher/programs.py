"""Finding programs for a scene: simple ones to start from, and the ways in which one grows by an operator.

All that is found has an answer in the scene, gives nothing away by its own words, and comes in a drawn order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

from mmevol.teacher import language as la
from mmevol.teacher.blind import leak
from mmevol.teacher.distractors import absent_labels, alternatives
from mmevol.teacher.execute import Run, Unanswerable
from mmevol.teacher.phrases import PLACES, Phrases, shuffled
from mmevol.teacher.scene import Scene


def answered(program: la.Program, scene: Scene) -> Run | None:
    """The run of a program that is fit to ask: it has an answer, and its words do not give it away."""
    if leak(program) is not None:
        return None
    execution = Run(scene)
    try:
        execution.answer(program)
    except Unanswerable:
        return None
    return execution


PATIENCE = 8
"""So many programs with the other answer are passed over before one of them will do."""


class Finder:
    """Draws programs over one scene."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        self.scene, self.rng = scene, rng
        self.phrases = Phrases(scene, rng)

    def simple(self, about: Sequence[int] = ()) -> Iterator[la.Program]:
        """Programs of depth 2 to 4 about the given objects (all if none): some of each kind, more with short answers."""
        often = (self._of_attributes, self._of_count)
        kinds = (*often, *often, self._of_existence, self._of_name, self._of_pairs, self._of_place)
        for kind, i in shuffled(self.rng, [(kind, i) for i in about or self.scene.all for kind in kinds]):
            if found := next((program for program in kind(i) if answered(program, self.scene)), None):
                yield found

    def at_depth(self, goal: int, about: Sequence[int] = ()) -> Iterator[la.Program]:
        """Programs of one depth about the given objects: simple ones, grown until they are deep enough."""
        for program in self.simple(about):
            while la.depth(program) < goal and (grown := next(self.deeper(program), None)):
                program = grown
            if la.depth(program) == goal:
                yield program

    def _of_attributes(self, i: int) -> Iterator[la.Program]:
        names = [name for name in ("color", "shape", "size") if self.scene.attribute(i, name)]
        for one in shuffled(self.rng, self.phrases.descriptions(i)):
            if "text" in self.scene.attributes[i]:
                yield la.Read(one)
            yield from (la.Attribute(name, one) for name in shuffled(self.rng, names))

    def _of_place(self, i: int) -> Iterator[la.Program]:
        yield from (la.Locate(one) for one in shuffled(self.rng, self.phrases.descriptions(i)))

    def _of_count(self, i: int) -> Iterator[la.Program]:
        """A number of objects like this one; two questions in three are about several."""
        found = [*self.phrases.groups(i), la.Group()]
        if self.rng.random() < 2 / 3:
            found = [g for g in found if len(self.scene.alike(g.label, g.attributes)) > 1]
        yield from (la.Count(group) for group in shuffled(self.rng, found))

    def _of_existence(self, i: int) -> Iterator[la.Program]:
        """Existence of the object or, as often, of something like it that is not there."""
        group = self.rng.choice(self.phrases.groups(i))
        if self.rng.random() < 0.5:
            yield la.Exists(group)
        labels = absent_labels(self.scene)
        like = [la.Group(label, group.attributes) for label in self.rng.sample(labels, min(len(labels), 6))]
        if "color" in dict(group.attributes):
            like += [la.Group(group.label, (("color", color),)) for color in self.scene.values("color")]
        absent = (la.Exists(g) for g in shuffled(self.rng, like) if not self.scene.alike(g.label, g.attributes))
        yield from absent

    def _of_name(self, i: int) -> Iterator[la.Program]:
        yield from (la.Name(one) for one in self.phrases.beside(i, la.Group()))
        yield from (la.Name(one) for one in self.phrases.descriptions(i) if not one.group.label)
        yield la.Name(self.phrases.region(i))

    def _of_pairs(self, i: int) -> Iterator[la.Program]:
        for j in shuffled(self.rng, [j for j in self.scene.all if j != i]):
            for a in self.phrases.descriptions(i)[:1]:
                for b in self.phrases.descriptions(j)[:1]:
                    found: list[la.Program] = [la.Related(place, a, b) for place in PLACES]
                    yield from shuffled(
                        self.rng, [*found, la.CompareSize("larger", a, b), la.CompareSize("smaller", a, b)]
                    )

    # ---------------------------------------------------------------------------------------------------------- growing

    def deeper(self, program: la.Program) -> Iterator[la.Program]:
        """Programs that hold this one, one operator deeper; of yes/no questions, as many with a yes as with a no."""
        goal, wanted = la.depth(program) + 1, "Yes" if self.rng.random() < 0.5 else "No"
        put_off = []
        for candidate in self._grown(program):
            found = answered(candidate, self.scene) if la.depth(candidate) == goal else None
            if not found or not (found.targets or isinstance(candidate, la.DECISIONS)):
                continue  # a number of nothing is not asked for
            if isinstance(candidate, la.QUERIES) or found.value == wanted:
                yield candidate
            else:
                put_off.append(candidate)
                if len(put_off) == PATIENCE:
                    break
        yield from put_off

    def _grown(self, program: la.Program) -> Iterator[la.Program]:
        match program:
            case la.Verify(query):
                for grown in self.deeper(query):
                    if isinstance(grown, la.QUERIES) and (check := self.verify(grown)):
                        yield check
            case la.Connect(op, a, b):
                yield from (la.Connect(op, a, deep) for deep in self._refined(b) if isinstance(deep, la.DECISIONS))
                yield from (la.Connect(op, deep, b) for deep in self._refined(a) if isinstance(deep, la.DECISIONS))
            case _:
                for way in shuffled(self.rng, [self._refined, self._lifted]):
                    yield from way(program)

    def _refined(self, program: la.Program) -> Iterator[la.Program]:
        """The program with one of its own phrases made finer."""
        if isinstance(program, la.Exists) and not Run(self.scene).members(program.group):
            return  # what is not there at all is not there in any place either
        for field in shuffled(self.rng, fields(program)):
            value: Any = getattr(program, field.name)
            finer: Any = ()
            if isinstance(value, (la.One, la.Region)):
                finer = self.phrases.finer(value)
                if isinstance(program, la.Related) and field.name == "a":
                    finer = (one for one in finer if one.group.where is None)
            elif isinstance(value, la.Group):
                finer = self.phrases.narrower(value)
            changed: Any = program
            yield from (replace(changed, **{field.name: phrase}) for phrase in finer)

    def _lifted(self, program: la.Program) -> Iterator[la.Program]:
        """The program as a part of a larger one."""
        match program:
            case la.Count(group):
                for peer in self.phrases.others(group):
                    ways: list[la.Program] = [
                        la.Total(group, peer),
                        la.Difference(group, peer),
                        la.Difference(peer, group),
                    ]
                    ways += [la.CompareCounts("more", group, peer), la.CompareCounts("fewer", group, peer)]
                    ways.append(la.CompareCounts("equal", group, peer))
                    yield from shuffled(self.rng, ways)
            case la.Attribute(name, one):
                for j in shuffled(self.rng, self.scene.all):
                    yield from (la.Same(name, one, other) for other in self.phrases.descriptions(j))
            case la.Exists() | la.CompareCounts() | la.CompareSize() | la.Same() | la.Related():
                named = set(la.groups(program))
                for other in self.simple():
                    if isinstance(other, (la.Exists, la.Related, la.CompareSize)) and named.isdisjoint(
                        la.groups(other)
                    ):
                        yield from shuffled(
                            self.rng, [la.Connect("and", program, other), la.Connect("or", program, other)]
                        )

    def verify(self, query: la.Query) -> la.Verify | None:
        """A query as a yes/no question: with its answer or, as often, with another value of the same type."""
        value = Run(self.scene).answer(query)
        if self.rng.random() < 0.5:
            others = alternatives(query, value, self.scene, self.rng)
            if not others:
                return None
            value = others[0]
        check = la.Verify(query, value)
        return None if leak(check) else check
