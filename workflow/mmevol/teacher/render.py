"""English for programs; `grammar.parse` is its inverse.

Wherever a phrase could be read in two ways, the last noun takes it: ``the circle above the star above the square`` is a circle
above (a star above a square). Values stand after the last ``is`` or ``are``.
"""

from collections.abc import Sequence
from functools import lru_cache

from mmevol.teacher import language as la
from mmevol.teacher.nouns import COLORS, SIZES, article, plural

PLACES = {"left": "to the left of", "right": "to the right of", "above": "above", "below": "below"}
BLANK = "___"
CUE = " Think step by step."

DEMANDS = {
    "capitals": "Answer in capital letters.",
    "brackets": "Put the answer in square brackets.",
    "hyphens": "Spell the answer with hyphens between the letters.",
    "number word": "Answer with a number word.",
}
"""Forms that instruction following asks the answer in."""


def box_text(box: Sequence[float]) -> str:
    """A box as questions and answers quote it: ``[0.100, 0.200, 0.300, 0.400]``."""
    return "[{:.3f}, {:.3f}, {:.3f}, {:.3f}]".format(*box)


def _phrase(group: la.Group, noun: str) -> str:
    before, after = [], []
    for name, value in group.attributes:
        if name in ("size", "color") and value in (SIZES if name == "size" else COLORS):
            before.append(value)
        elif name == "text":
            after.append(f' with the letters "{value}"')
        else:
            after.append(f' whose {name} is "{value}"')
    if group.where:
        after.append(f" {PLACES[group.where.place]} {noun_phrase(group.where.anchor)}")
    return " ".join([*before, noun]) + "".join(after)


@lru_cache(maxsize=8192)
def plural_phrase(group: la.Group) -> str:
    """``red circles above the star``."""
    return _phrase(group, plural(group.label or "object"))


@lru_cache(maxsize=8192)
def noun_phrase(one: la.Referent) -> str:
    """``the largest red circle`` or ``the object in the region [0.100, 0.200, 0.300, 0.400]``."""
    if isinstance(one, la.Region):
        return f"the object in the region {box_text(one.box)}"
    pick = one.pick + " " if one.pick else ""
    return f"the {pick}{_phrase(one.group, one.group.label or 'object')}"


def _render_query(program: la.Query) -> str:
    match program:
        case la.Attribute(name, one):
            return f"What {name} is {noun_phrase(one)}?"
        case la.Name(la.One(la.Group("", (), la.Relation(place, anchor)), "")):
            return f"What is {PLACES[place]} {noun_phrase(anchor)}?"
        case la.Name(one):
            return f"What is {noun_phrase(one)}?"
        case la.Read(one):
            return f"What letters are printed on {noun_phrase(one)}?"
        case la.Locate(one):
            return f"Where is {noun_phrase(one)}?"
        case la.Count(group):
            return f"How many {plural_phrase(group)} are there?"
        case la.Total(a, b):
            return f"What is the number of {plural_phrase(a)} plus the number of {plural_phrase(b)}?"
        case la.Difference(a, b):
            return f"How many more {plural_phrase(a)} than {plural_phrase(b)} are there?"


def statement(program: la.Query, value: str) -> str:
    """The program and its answer as a sentence without a stop: ``the color of the circle is red``."""
    match program:
        case la.Attribute(name, one):
            return f"the {name} of {noun_phrase(one)} is {value}"
        case la.Name(one):
            return f"{noun_phrase(one)} is {value}"
        case la.Read(one):
            return f"the letters on {noun_phrase(one)} are {value}"
        case la.Locate(one):
            return f"the place of {noun_phrase(one)} is {value}"
        case la.Count(group):
            return f"the number of {plural_phrase(group)} is {value}"
        case la.Total(a, b):
            return f"the number of {plural_phrase(a)} plus the number of {plural_phrase(b)} is {value}"
        case la.Difference(a, b):
            return f"the number of {plural_phrase(a)} minus the number of {plural_phrase(b)} is {value}"


def _render(program: la.Program) -> str:
    match program:
        case la.Exists(group):
            words = _phrase(group, group.label or "object")
            return f"Is there {article(words)} {words} in the image?"
        case la.CompareCounts(op, a, b):
            link = f"as many {plural_phrase(a)} as" if op == "equal" else f"{op} {plural_phrase(a)} than"
            return f"Are there {link} {plural_phrase(b)}?"
        case la.CompareSize(op, a, b):
            return f"Is {noun_phrase(a)} {op} than {noun_phrase(b)}?"
        case la.Same(name, a, b):
            return f"Does {noun_phrase(a)} have the same {name} as {noun_phrase(b)}?"
        case la.Related(place, a, b):
            return f"Is {noun_phrase(a)} {PLACES[place]} {noun_phrase(b)}?"
        case la.Connect(op, a, b):
            return f"{_render(a)[:-1]}, {op} {lower_first(_render(b))}"
        case la.Verify(query, value):
            return f"Is it true that {statement(query, value)}?"
        case _:
            return _render_query(program)


def lower_first(text: str) -> str:
    """The text as it goes on inside a sentence."""
    return text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    """The text as it begins a sentence."""
    return text[:1].upper() + text[1:]


def render(question: la.Question) -> str:
    """The question in English, without its options."""
    program = question.program
    match question.format:
        case "multiple choice":
            text = f"Choose the right option: {lower_first(_render(program))}"
        case "region selection":
            assert isinstance(program, la.Locate)
            text = f"Which of these regions shows {noun_phrase(program.one)}?"
        case "object-region matching":
            assert isinstance(program, la.Name) and isinstance(program.one, la.Region)
            text = f"Which of these objects is in the region {box_text(program.one.box)}?"
        case "fill in the blank":
            assert isinstance(program, la.QUERIES)
            text = f"Fill in the blank: {upper_first(statement(program, BLANK))}."
        case "instruction following":
            text = f"{_render(program)} {DEMANDS[question.demand]}"
        case _:
            text = _render(program)
    return text + (CUE if question.cue else "")
