"""The language of programs: what a question asks of the annotations, as a small typed tree.

A `Group` is a set of objects, a `One` or a `Region` is exactly one of them, a *program* is what is asked. Trees are values:
equal trees ask the same. `depth` is the longest chain of operators, the measure by which a rewrite grows.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Place = Literal["left", "right", "above", "below"]
Pick = Literal["", "largest", "smallest", "leftmost", "rightmost", "topmost", "bottommost"]


@dataclass(frozen=True, slots=True)
class Group:
    """All objects with this label ('' any) and these attributes (in the order of `ordered`), at this place."""

    label: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    where: "Relation | None" = None


@dataclass(frozen=True, slots=True)
class One:
    """The only member of a group, or with ``pick`` the one that stands out in it."""

    group: Group
    pick: Pick = ""


@dataclass(frozen=True, slots=True)
class Region:
    """The object whose box this is, to 3 decimals."""

    box: tuple[float, float, float, float]


Referent = One | Region


@dataclass(frozen=True, slots=True)
class Relation:
    """Centres that lie to this side of the anchor's centre by more than the margin."""

    place: Place
    anchor: Referent


@dataclass(frozen=True, slots=True)
class Attribute:
    """The value of an attribute: color, size, shape or any other that is annotated."""

    name: str
    one: Referent


@dataclass(frozen=True, slots=True)
class Name:
    """The label of an object."""

    one: Referent


@dataclass(frozen=True, slots=True)
class Read:
    """The glyphs printed on an object."""

    one: Referent


@dataclass(frozen=True, slots=True)
class Locate:
    """The box of an object."""

    one: Referent


@dataclass(frozen=True, slots=True)
class Count:
    """How many objects a group has."""

    group: Group


@dataclass(frozen=True, slots=True)
class Total:
    """How many objects two disjoint groups have together."""

    a: Group
    b: Group


@dataclass(frozen=True, slots=True)
class Difference:
    """How many more objects the first group has; never negative."""

    a: Group
    b: Group


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether a group has a member."""

    group: Group


@dataclass(frozen=True, slots=True)
class CompareCounts:
    """Whether the first group has more members, fewer, or as many."""

    op: Literal["more", "fewer", "equal"]
    a: Group
    b: Group


@dataclass(frozen=True, slots=True)
class CompareSize:
    """Whether the first object's box has the larger, or the smaller, area by more than the margin."""

    op: Literal["larger", "smaller"]
    a: Referent
    b: Referent


@dataclass(frozen=True, slots=True)
class Same:
    """Whether two objects have the same value of an attribute."""

    name: str
    a: Referent
    b: Referent


@dataclass(frozen=True, slots=True)
class Related:
    """Whether the first object lies to this side of the second. ``a`` carries no relation of its own."""

    place: Place
    a: Referent
    b: Referent


@dataclass(frozen=True, slots=True)
class Connect:
    """Two yes/no programs joined; neither is itself joined, so that there is one reading."""

    op: Literal["and", "or"]
    a: "Decision"
    b: "Decision"


@dataclass(frozen=True, slots=True)
class Verify:
    """Whether a program's answer is this value."""

    program: "Query"
    value: str


Query = Attribute | Name | Read | Locate | Count | Total | Difference
"""Programs with a value."""

Decision = Exists | CompareCounts | CompareSize | Same | Related | Connect | Verify
"""Programs that are answered by Yes or No."""

Program = Query | Decision

QUERIES = (Attribute, Name, Read, Locate, Count, Total, Difference)

DECISIONS = (Exists, CompareCounts, CompareSize, Same, Related, Connect, Verify)

Node = Program | Group | One | Region | Relation

_NODES = frozenset(get_args(Node))

_STEPS: dict[type, int] = {Total: 2, Difference: 2, CompareCounts: 2, CompareSize: 2, Same: 2, Verify: 0}
"""Operators that a node stands for, where it is not one: a comparison measures or counts, and then compares."""


@dataclass(frozen=True, slots=True)
class Question:
    """A program in a form of asking. ``demand`` is the form that instruction following wants the answer in."""

    program: Program
    format: str = "Norm"
    demand: str = ""
    cue: bool = False


def ordered(attributes: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Attributes in the order of speech: size, color, glyphs, then the others by name."""
    rank = {"size": 0, "color": 1, "text": 2}
    return tuple(sorted(attributes.items(), key=lambda item: (rank.get(item[0], 3), item[0])))


def children(node: Node) -> list[Node]:
    """The nodes directly below a node."""
    return [value for name in node.__slots__ if type(value := getattr(node, name)) in _NODES]


def depth(node: Node) -> int:
    """Operators on the longest chain: ground 1, and 1 each for a filter, relation, pick and query (a comparison 2)."""
    if isinstance(node, Group):
        own = 1 + len(node.attributes)
        return own if node.where is None else 1 + max(own, depth(node.where.anchor))
    if isinstance(node, One):
        return depth(node.group) + bool(node.pick)
    if isinstance(node, Region):
        return 1
    return _STEPS.get(type(node), 1) + max(map(depth, children(node)))


def groups(node: Node) -> list[Group]:
    """All groups of a tree, anchors included, in reading order."""
    found = [node] if isinstance(node, Group) else []
    for child in children(node):
        found.extend(groups(child))
    return found
