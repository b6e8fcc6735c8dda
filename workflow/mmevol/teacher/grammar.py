"""Reading the English of `render` back: ``parse(render(question)) == question``, and None for what is not in the language."""

import re
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from mmevol.teacher import language as la
from mmevol.teacher.nouns import COLORS, SIZES, VOCABULARY, singular
from mmevol.teacher.render import BLANK, CUE, DEMANDS, PLACES, lower_first, upper_first

PICKS = get_args(la.Pick)

_PLACE = re.compile(r" (to the left of|to the right of|above|below) (the .+)$")
_PLACE_NAMES = {words: place for place, words in PLACES.items()}
_AFTER = re.compile(r' (?:with the (letters)|whose (\w+) is) "([^"]*)"$')
_REGION = re.compile(r"the object in the region (\[[\d., ]+\])$")
_NUMBER = r"(\d\.\d{3})"
_CONNECT = re.compile(r", (and|or) ")
_NOUN = re.compile(r'[^,"\[\]?]+$')
_FUNCTION_WORDS = {
    *("a", "an", "and", "are", "as", "at", "for", "from", "in", "is", "like", "of", "on", "or", "than", "that", "the"),
    *("there", "this", "to", "what", "with"),
}
"""A noun outside the vocabulary that holds one of these is no noun but a phrase of a freer English."""
_BOX = re.compile(rf"\[{_NUMBER}, {_NUMBER}, {_NUMBER}, {_NUMBER}\]$")


class _No(Exception):
    """The text is not in the language."""


class _Grammar(NamedTuple):
    """The productions, with the nouns of the picture: plural to singular."""

    plurals: dict[str, str]

    def group(self, text: str, *, many: bool) -> la.Group:
        where = None
        if match := _PLACE.search(text):
            where = la.Relation(_PLACE_NAMES[match[1]], self.one(match[2]))  # type: ignore[arg-type]
            text = text[: match.start()]
        attributes: dict[str, str] = {}
        while match := _AFTER.search(text):
            attributes["text" if match[1] else match[2]] = match[3]
            text = text[: match.start()]
        words = text.split(" ")
        for name, values in (("size", SIZES), ("color", COLORS)):
            if len(words) > 1 and words[0] in values and not self.labels(words):
                attributes[name] = words.pop(0)
        noun = " ".join(words)
        if many:
            noun = "object" if noun == "objects" else singular(noun, self.plurals)
        if not self.knows(noun) and (not _NOUN.match(noun) or not _FUNCTION_WORDS.isdisjoint(noun.split(" "))):
            raise _No
        return la.Group("" if noun == "object" else noun, la.ordered(attributes), where)

    def labels(self, words: list[str]) -> bool:
        """Whether the words, all together, are a label of the picture or its plural."""
        noun = " ".join(words)
        return noun in self.plurals or noun in self.plurals.values()

    def knows(self, noun: str) -> bool:
        """Whether the noun is a label of the picture or of the vocabulary."""
        return noun in VOCABULARY or noun in self.plurals.values()

    def one(self, text: str) -> la.Referent:
        if match := _REGION.match(text):
            return la.Region(_parse_box(match[1]))
        if not text.startswith("the "):
            raise _No
        text = text[4:]
        first, _, rest = text.partition(" ")
        if first in PICKS:
            return la.One(self.group(rest, many=False), first)  # type: ignore[arg-type]
        return la.One(self.group(text, many=False))

    def two(self, text: str, link: str) -> tuple[la.Group, la.Group]:
        """Two groups; the last link splits, since no group holds one."""
        a, found, b = text.partition(link)
        if not found:
            raise _No
        return self.group(a, many=True), self.group(b, many=True)

    def query(self, text: str) -> la.Query | None:
        """A question with a value, without its question mark."""
        match text.split(" ", 2):
            case ["What", "is", rest] if rest.startswith("the number of "):
                return la.Total(*self.two(rest[14:], " plus the number of "))
            case ["What", "is", rest]:
                if any(rest.startswith(words + " the ") for words in _PLACE_NAMES):
                    rest = "the object " + rest
                return la.Name(self._unnamed(rest))
            case ["What", "letters", rest] if rest.startswith("are printed on "):
                return la.Read(self.one(rest[15:]))
            case ["What", name, rest] if rest.startswith("is "):
                return la.Attribute(name, self.one(rest[3:]))
            case ["Where", "is", rest]:
                return la.Locate(self.one(rest))
            case ["How", "many", rest]:
                return self._how_many(rest)
        return None

    def _unnamed(self, text: str) -> la.Referent:
        """Of what may be asked what it is: anything by a phrase without a noun, but with one only what has that label."""
        one = self.one(text)
        if isinstance(one, la.One) and one.group.label and not self.knows(one.group.label):
            raise _No
        return one

    def _how_many(self, rest: str) -> la.Query:
        rest = rest.removesuffix(" in the image")
        if not rest.endswith(" are there"):
            raise _No
        rest = rest[:-10]
        if rest.startswith("more "):
            return la.Difference(*self.two(rest[5:], " than "))
        return la.Count(self.group(rest, many=True))

    def decision(self, text: str) -> Any:
        """A yes/no question, without its question mark."""
        if match := _CONNECT.search(text):
            a, b = self.decision(text[: match.start()]), self.decision(upper_first(text[match.end() :]))
            if isinstance(b, la.Connect):
                raise _No
            return la.Connect(match[1], a, b)  # type: ignore[arg-type]
        if text.startswith("Is it true that "):
            return la.Verify(*self.statement(text[16:]))
        if match := re.match(r"Is there an? (.+) in the image$", text):
            return la.Exists(self.group(match[1], many=False))
        if match := re.match(r"Are there (more|fewer) (.+)$", text):
            return la.CompareCounts(match[1], *self.two(match[2], " than "))  # type: ignore[arg-type]
        if match := re.match(r"Are there as many (.+)$", text):
            return la.CompareCounts("equal", *self.two(match[1], " as "))
        if match := re.match(r"Is (the .+?) (larger|smaller) than (the .+)$", text):
            return la.CompareSize(match[2], self.one(match[1]), self.one(match[3]))  # type: ignore[arg-type]
        if match := re.match(r"Does (the .+) have the same (\w+) as (the .+)$", text):
            return la.Same(match[2], self.one(match[1]), self.one(match[3]))
        if text.startswith("Is the ") and (
            match := re.match(r"Is (the .+?) (to the left of|to the right of|above|below) (the .+)$", text)
        ):
            return la.Related(_PLACE_NAMES[match[2]], self.one(match[1]), self.one(match[3]))  # type: ignore[arg-type]
        raise _No

    def statement(self, text: str) -> tuple[la.Query, str]:
        """A sentence of `statement`, as program and value."""
        if text.startswith("the letters on "):
            one, found, value = text[15:].rpartition(" are ")
            if found:
                return la.Read(self.one(one)), value
        head, found, value = text.rpartition(" is ")
        if not found:
            raise _No
        if head.startswith("the number of "):
            return self._number(head[14:]), value
        if head.startswith("the place of "):
            return la.Locate(self.one(head[13:])), value
        if match := re.match(r"the (\w+) of (the .+)$", head):
            return la.Attribute(match[1], self.one(match[2])), value
        return la.Name(self.one(head)), value

    def _number(self, head: str) -> la.Query:
        if " plus the number of " in head:
            return la.Total(*self.two(head, " plus the number of "))
        if " minus the number of " in head:
            return la.Difference(*self.two(head, " minus the number of "))
        return la.Count(self.group(head, many=True))

    def question(self, text: str) -> la.Question:
        cue = text.endswith(CUE)
        text = text.removesuffix(CUE)
        if text.startswith("Fill in the blank: ") and text.endswith("."):
            program, value = self.statement(lower_first(text[19:-1]))
            if value != BLANK:
                raise _No
            return la.Question(program, "fill in the blank", cue=cue)
        if text.startswith("Choose the right option: "):
            return la.Question(self.program(upper_first(text[25:])), "multiple choice", cue=cue)
        if text.startswith("Which of these regions shows ") and text.endswith("?"):
            return la.Question(la.Locate(self.one(text[29:-1])), "region selection", cue=cue)
        if text.startswith("Which of these objects is in the region ") and text.endswith("?"):
            return la.Question(la.Name(la.Region(_parse_box(text[40:-1]))), "object-region matching", cue=cue)
        for demand, words in DEMANDS.items():
            if text.endswith(words):
                return la.Question(self.program(text[: -len(words) - 1]), "instruction following", demand, cue)
        program_ = self.program(text)
        if cue:
            return la.Question(program_, "complex reasoning", cue=True)
        return la.Question(program_, "yes/no" if isinstance(program_, la.Verify) else "Norm")

    def program(self, text: str) -> la.Program:
        if not text.endswith("?"):
            raise _No
        return self.query(text[:-1]) or self.decision(text[:-1])


def _parse_box(text: str) -> tuple[float, float, float, float]:
    match = _BOX.match(text)
    if not match:
        raise _No
    return tuple(float(group) for group in match.groups())  # type: ignore[return-value]


def parse(text: str, plurals: dict[str, str] | None = None) -> la.Question | None:
    """The question that a text asks, or None. ``plurals``: of the picture's labels, from `nouns.singulars`."""
    return _parsed(text, tuple((plurals or {}).items()))


@lru_cache(maxsize=4096)
def _parsed(text: str, plurals: tuple[tuple[str, str], ...]) -> la.Question | None:
    """Kept, since a question is read when it is composed, when it is judged, and as what the next one grows from."""
    try:
        return _Grammar(dict(plurals)).question(" ".join(text.split()))
    except _No:
        return None
