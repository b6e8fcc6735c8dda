"""A second executor, written apart from the first: it tries every object for every phrase and asks the definitions alone."""

from mmevol.records import Object
from mmevol.teacher import language as la
from mmevol.teacher.nouns import SHAPES

MARGIN, RATIO = 0.1, 1.2


class Unclear(Exception):
    """No answer: nothing fits, several do, or it is too close to tell."""


def value(thing: Object, name: str) -> str | None:
    if name in thing.attributes:
        return thing.attributes[name]
    return thing.label if name == "shape" and thing.label in SHAPES else None


def gap(a: Object, b: Object, place: str) -> float:
    """How far a's centre lies to that side of b's."""
    ax, bx = (a.bbox[0] + a.bbox[2]) / 2, (b.bbox[0] + b.bbox[2]) / 2
    ay, by = (a.bbox[1] + a.bbox[3]) / 2, (b.bbox[1] + b.bbox[3]) / 2
    return {"left": bx - ax, "right": ax - bx, "above": by - ay, "below": ay - by}[place]


def beside(a: Object, b: Object, place: str) -> bool:
    distance = gap(a, b, place)
    if 0 < distance < MARGIN:
        raise Unclear
    return distance > 0


def area(thing: Object) -> float:
    return (thing.bbox[2] - thing.bbox[0]) * (thing.bbox[3] - thing.bbox[1])


def all_of(group: la.Group, objects: list[Object]) -> list[Object]:
    fit = [o for o in objects if group.label in ("", o.label)]
    for name, wanted in group.attributes:
        fit = [o for o in fit if value(o, name) == wanted]
    if group.where:
        anchor = the(group.where.anchor, objects)
        fit = [o for o in fit if o is not anchor and beside(o, anchor, group.where.place)]
    return fit


def the(one: la.Referent, objects: list[Object]) -> Object:
    if isinstance(one, la.Region):
        fit = [o for o in objects if all(abs(a - b) < 0.0005 for a, b in zip(o.bbox, one.box, strict=True))]
    else:
        fit = all_of(one.group, objects)
        if one.pick:
            fit = [o for o in fit if all(stands_out(one.pick, o, other) for other in fit if other is not o)]
    if len(fit) != 1:
        raise Unclear
    return fit[0]


def stands_out(pick: str, a: Object, b: Object) -> bool:
    if pick in ("largest", "smallest"):
        return area(a) >= RATIO * area(b) if pick == "largest" else area(b) >= RATIO * area(a)
    place = {"leftmost": "left", "rightmost": "right", "topmost": "above", "bottommost": "below"}[pick]
    return gap(a, b, place) >= MARGIN


def known(found: str | None) -> str:
    if found is None:
        raise Unclear
    return found


def called(thing: Object) -> str:
    return " ".join(["the", *([thing.attributes["color"]] if "color" in thing.attributes else []), thing.label])


def apart(program: la.Total | la.Difference | la.CompareCounts, objects: list[Object]) -> tuple[int, int]:
    a, b = all_of(program.a, objects), all_of(program.b, objects)
    if any(x is y for x in a for y in b):
        raise Unclear
    return len(a), len(b)


def pair(program: la.CompareSize | la.Same | la.Related, objects: list[Object]) -> tuple[Object, Object]:
    a, b = the(program.a, objects), the(program.b, objects)
    if a is b:
        raise Unclear
    return a, b


def solve(program: la.Program, objects: list[Object]) -> str:
    """The answer. Raises `Unclear`."""
    match program:
        case la.Attribute(name, one):
            return known(value(the(one, objects), name))
        case la.Name(one):
            return called(the(one, objects))
        case la.Read(one):
            return known(the(one, objects).attributes.get("text"))
        case la.Locate(one):
            return "[{:.3f}, {:.3f}, {:.3f}, {:.3f}]".format(*the(one, objects).bbox)
        case la.Count(group):
            return str(len(all_of(group, objects)))
        case la.Total():
            return str(sum(apart(program, objects)))
        case la.Difference():
            n, m = apart(program, objects)
            if n < m:
                raise Unclear
            return str(n - m)
    return "Yes" if holds(program, objects) else "No"


def holds(program: la.Program, objects: list[Object]) -> bool:
    match program:
        case la.Exists(group):
            return len(all_of(group, objects)) > 0
        case la.CompareCounts(op, _, _):
            n, m = apart(program, objects)
            return n > m if op == "more" else n < m if op == "fewer" else n == m
        case la.CompareSize(op, _, _):
            a, b = pair(program, objects)
            if not (stands_out("largest", a, b) or stands_out("smallest", a, b)):
                raise Unclear
            return stands_out("largest" if op == "larger" else "smallest", a, b)
        case la.Same(name, _, _):
            a, b = pair(program, objects)
            return known(value(a, name)) == known(value(b, name))
        case la.Related(place, _, _):
            return beside(*pair(program, objects), place)
        case la.Connect(op, a, b):
            parts = [holds(a, objects), holds(b, objects)]
            return False not in parts if op == "and" else True in parts
        case la.Verify(query, claimed):
            return solve(query, objects) == claimed
    raise AssertionError(program)
