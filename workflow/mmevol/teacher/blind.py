"""Answering without the picture: what a question's own words give away, else a guess."""

from mmevol.records import RequestQA, digest
from mmevol.teacher import language as la
from mmevol.teacher.grammar import parse
from mmevol.teacher.nouns import SHAPES
from mmevol.teacher.render import box_text

UNKNOWN = "unknown"
"""The answer to an open question whose words give nothing away: it has no list of likely answers to guess from."""


def _said(one: la.Referent, name: str) -> str | None:
    """What a phrase itself says of an object's attribute."""
    if isinstance(one, la.Region):
        return None
    if name == "size" and one.pick in ("largest", "smallest"):
        return "large" if one.pick == "largest" else "small"
    value = dict(one.group.attributes).get(name)
    return one.group.label if value is None and name == "shape" and one.group.label in SHAPES else value


def _named(group: la.Group) -> str:
    color = dict(group.attributes).get("color")
    return f"the {color} {group.label}" if color else f"the {group.label}"


def leak(program: la.Program) -> str | None:
    """The answer that the program's own words give away, or None: ``What color is the red circle?`` says red."""
    match program:
        case la.Attribute(name, one):
            return _said(one, name)
        case la.Name(la.One(group)) if group.label:
            return _named(group)
        case la.Read(one):
            return _said(one, "text")
        case la.Locate(la.Region() as region):
            return box_text(region.box)
        case la.Same(name, a, b) if (v := _said(a, name)) and (w := _said(b, name)):
            return "Yes" if v == w else "No"
        case la.CompareSize(op, a, b) if {_said(a, "size"), _said(b, "size")} == {"large", "small"}:
            return "Yes" if (_said(a, "size") == "large") == (op == "larger") else "No"
        case la.Verify(query, value) if said := leak(query):
            return "Yes" if said == value else "No"
        case la.Connect(op, a, b):
            both = (leak(a), leak(b))
            decisive = "No" if op == "and" else "Yes"
            return decisive if decisive in both else both[0] if both[0] == both[1] else None
    return None


def guess(key: str, qa: RequestQA) -> str:
    """The answer from the question's text alone. For options and yes/no, where nothing leaks, a draw from key and text."""
    question = parse(qa.question)
    said = leak(question.program) if question else None
    if said is not None:
        return next((option for option in qa.options if option.casefold() == said.casefold()), said)
    if qa.options:
        return min(qa.options, key=lambda option: digest("guess", key, qa.question, *qa.options, option))
    if qa.question.startswith(("Is ", "Are ", "Do ", "Does ", "Can ", "Was ", "Were ", "Has ", "Have ")):
        return min(("Yes", "No"), key=lambda option: digest("guess", key, qa.question, option))
    return UNKNOWN
