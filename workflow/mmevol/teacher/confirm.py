"""The second executor: every answer that is composed is worked out again here, and used only where both agree.

Written apart from `execute`, of which it shares no line: no look-up tables, no trace; every object is tried for every phrase by the
definitions in `language` alone. What the executors disagree on is an error of the teacher: it never leaves, is counted, and is told
on standard error.
"""

import sys
from collections import Counter
from dataclasses import dataclass

from mmevol.teacher import language as la
from mmevol.teacher.nouns import SHAPES
from mmevol.teacher.scene import MARGIN, NEAR, RATIO, Scene

MISMATCHES: Counter[str] = Counter()
"""Answers of this process that were not confirmed, by kind of program."""


class Unclear(Exception):
    """No answer: nothing fits, several do, or it is too close to tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """An object of the picture; two of them are the same only if they are one."""

    label: str
    box: tuple[float, float, float, float]
    attributes: dict[str, str]


def confirmed(program: la.Program, value: str, scene: Scene) -> bool:
    """Whether this executor finds the same answer. Where it does not, that is counted and told."""
    try:
        found = solve(program, scene)
    except Unclear:
        found = None
    if found == value:
        return True
    MISMATCHES[type(program).__name__] += 1
    print(f"teacher error: {program} has the answer {value!r}, by the second executor {found!r}", file=sys.stderr)
    return False


def solve(program: la.Program, scene: Scene) -> str:
    """The answer in a picture, of which labels, boxes and attributes are read. Raises `Unclear`."""
    data = zip(scene.labels, scene.boxes, scene.attributes, strict=True)
    return _value(program, [Thing(*of_one) for of_one in data])


def _value(program: la.Program, things: list[Thing]) -> str:
    match program:
        case la.Attribute(name, one):
            return _known(_attribute(_the(one, things), name))
        case la.Name(one):
            return _called(_the(one, things))
        case la.Read(one):
            return _known(_the(one, things).attributes.get("text"))
        case la.Locate(one):
            return "[{:.3f}, {:.3f}, {:.3f}, {:.3f}]".format(*_the(one, things).box)
        case la.Count(group):
            return str(len(_all_of(group, things)))
        case la.Total():
            return str(sum(_apart(program, things)))
        case la.Difference():
            n, m = _apart(program, things)
            if n < m:
                raise Unclear
            return str(n - m)
        case _:
            return "Yes" if _holds(program, things) else "No"


def _holds(program: la.Decision, things: list[Thing]) -> bool:
    match program:
        case la.Exists(group):
            return len(_all_of(group, things)) > 0
        case la.CompareCounts(op):
            n, m = _apart(program, things)
            return n > m if op == "more" else n < m if op == "fewer" else n == m
        case la.CompareSize(op):
            a, b = _pair(program, things)
            if not (_stands_out("largest", a, b) or _stands_out("smallest", a, b)):
                raise Unclear
            return _stands_out("largest" if op == "larger" else "smallest", a, b)
        case la.Same(name):
            a, b = _pair(program, things)
            return _known(_attribute(a, name)) == _known(_attribute(b, name))
        case la.Related(place):
            return _beside(*_pair(program, things), place)
        case la.Connect(op, left, right):
            parts = [_holds(left, things), _holds(right, things)]
            return False not in parts if op == "and" else True in parts
        case la.Verify(query, claimed):
            return _value(query, things) == claimed


def _all_of(group: la.Group, things: list[Thing]) -> list[Thing]:
    fit = [thing for thing in things if group.label in ("", thing.label)]
    for name, wanted in group.attributes:
        fit = [thing for thing in fit if _attribute(thing, name) == wanted]
    if group.where:
        anchor = _the(group.where.anchor, things)
        fit = [thing for thing in fit if thing is not anchor and _beside(thing, anchor, group.where.place)]
    return fit


def _the(one: la.Referent, things: list[Thing]) -> Thing:
    if isinstance(one, la.Region):
        fit = [t for t in things if max(abs(a - b) for a, b in zip(t.box, one.box, strict=True)) < NEAR]
    else:
        fit = _all_of(one.group, things)
        if one.pick:
            fit = [t for t in fit if all(_stands_out(one.pick, t, other) for other in fit if other is not t)]
    if len(fit) != 1:
        raise Unclear
    return fit[0]


def _stands_out(pick: str, a: Thing, b: Thing) -> bool:
    if pick in ("largest", "smallest"):
        return _area(a) >= RATIO * _area(b) if pick == "largest" else _area(b) >= RATIO * _area(a)
    place = {"leftmost": "left", "rightmost": "right", "topmost": "above", "bottommost": "below"}[pick]
    return _gap(a, b, place) >= MARGIN


def _beside(a: Thing, b: Thing, place: str) -> bool:
    distance = _gap(a, b, place)
    if 0 < distance < MARGIN:
        raise Unclear
    return distance > 0


def _gap(a: Thing, b: Thing, place: str) -> float:
    """How far a's centre lies to that side of b's."""
    ax, bx = (a.box[0] + a.box[2]) / 2, (b.box[0] + b.box[2]) / 2
    ay, by = (a.box[1] + a.box[3]) / 2, (b.box[1] + b.box[3]) / 2
    return {"left": bx - ax, "right": ax - bx, "above": by - ay, "below": ay - by}[place]


def _area(thing: Thing) -> float:
    return (thing.box[2] - thing.box[0]) * (thing.box[3] - thing.box[1])


def _attribute(thing: Thing, name: str) -> str | None:
    if name in thing.attributes:
        return thing.attributes[name]
    return thing.label if name == "shape" and thing.label in SHAPES else None


def _known(found: str | None) -> str:
    if found is None:
        raise Unclear
    return found


def _called(thing: Thing) -> str:
    return " ".join(["the", *([thing.attributes["color"]] if "color" in thing.attributes else []), thing.label])


def _apart(program: la.Total | la.Difference | la.CompareCounts, things: list[Thing]) -> tuple[int, int]:
    a, b = _all_of(program.a, things), _all_of(program.b, things)
    if any(x is y for x in a for y in b):
        raise Unclear
    return len(a), len(b)


def _pair(program: la.CompareSize | la.Same | la.Related, things: list[Thing]) -> tuple[Thing, Thing]:
    a, b = _the(program.a, things), _the(program.b, things)
    if a is b:
        raise Unclear
    return a, b
