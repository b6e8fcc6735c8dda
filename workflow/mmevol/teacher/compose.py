"""Rewriting a Q&A in a direction: a program grows by an operator, turns to a rarer object, or is asked in another format.

A given question outside the grammar, or without an answer in this picture, is not executable: a new program over the objects
that it names takes its place. What cannot be grown is varied; what cannot be varied is left out of the reply.
"""

from collections.abc import Iterator
from itertools import chain, islice
from random import Random
from typing import Any

from mmevol.records import RequestQA, digest
from mmevol.teacher.confirm import confirmed
from mmevol.teacher.distractors import alternatives
from mmevol.teacher.execute import Run, Unanswerable
from mmevol.teacher.grammar import parse
from mmevol.teacher.language import (
    QUERIES,
    Attribute,
    Count,
    Difference,
    Group,
    Locate,
    Name,
    Program,
    Question,
    Read,
    Region,
    Total,
    Verify,
    depth,
    groups,
)
from mmevol.teacher.nouns import NUMBER_WORDS, SYNONYMS, plural
from mmevol.teacher.phrases import shuffled
from mmevol.teacher.programs import Finder
from mmevol.teacher.render import render
from mmevol.teacher.scene import Scene

DEPTH_CAP = 8
"""From here on programs vary instead of growing."""
OPTIONS = 4
"""A multiple choice has at most this many options."""

Composed = dict[str, Any]
"""The fields of a Q&A in a reply, without its id."""


def generator(*parts: str | int) -> Random:
    """Draws that derive from the request and nothing else."""
    return Random(int(digest(*parts)[:16], 16))


# ------------------------------------------------------------------------------------------------------------- realisation


def demanded(value: str, demand: str) -> str:
    """An answer in the form that a demand asks for."""
    match demand:
        case "capitals":
            return value.upper()
        case "brackets":
            return f"[{value}]"
        case "hyphens":
            return "-".join(value)
        case "number word" if value.isdigit() and int(value) < len(NUMBER_WORDS):
            return NUMBER_WORDS[int(value)]
    return value


def realise(question: Question, finder: Finder) -> Composed | None:
    """The question asked, answered by execution and confirmed, with its trace; None without an answer or enough distractors."""
    scene = finder.scene
    text = render(question)
    if parse(text, scene.plurals) != question:
        return None  # a label that the grammar cannot hold, such as one with a comma in it
    execution = Run(scene, trace=True)
    try:
        value = execution.answer(question.program)
    except Unanswerable:
        return None
    if not confirmed(question.program, value, scene):
        return None
    said = demanded(value, question.demand)
    if question.demand and said == value:
        return None  # a demand that changes nothing, such as a word for a number that has none
    options: list[str] = []
    if question.format in ("multiple choice", "region selection", "object-region matching"):
        assert isinstance(question.program, QUERIES)
        others = alternatives(question.program, value, scene, finder.rng)
        if not others:
            return None
        options = shuffled(finder.rng, [value, *others[: OPTIONS - 1]])
    named = [group.label for group in groups(question.program) if group.label]
    asked_about = [scene.labels[i] for i in execution.targets]
    return {
        "question": text,
        "answer": said,
        "format": question.format,
        "options": options,
        "objects": sorted({*named, *asked_about}),
        "skills": sorted({step.skill for step in execution.steps}),
        "steps": [{"manipulation": s.manipulation, "description": s.description} for s in execution.steps],
    }


def formats(program: Program) -> list[tuple[str, str]]:
    """The formats, with their demand, that a program can be asked in besides ``Norm``."""
    found: list[tuple[str, str]] = []
    if isinstance(program, QUERIES):
        found += [("multiple choice", ""), ("fill in the blank", ""), ("yes/no", "")]
    match program:
        case Locate():
            found.append(("region selection", ""))
        case Name(Region()):
            found.append(("object-region matching", ""))
        case Attribute() | Name():
            found += [("instruction following", "capitals"), ("instruction following", "brackets")]
        case Read():
            found.append(("instruction following", "hyphens"))
        case Count() | Total() | Difference():
            found.append(("instruction following", "number word"))
        case _ if not isinstance(program, (Locate, Verify)):
            found.append(("instruction following", "capitals"))
    return found


def plain(program: Program) -> Question:
    """The program asked as it is."""
    return Question(program, "yes/no" if isinstance(program, Verify) else "Norm")


def in_format(program: Program, name: str, demand: str, finder: Finder) -> Question | None:
    """The program in a format; None where it does not fit."""
    if name == "yes/no" and not isinstance(program, Verify):
        check = finder.verify(program) if isinstance(program, QUERIES) else None
        return Question(check, "yes/no") if check else None
    if name == "Norm" or (name == "yes/no" and isinstance(program, Verify)):
        return Question(program, name)
    return Question(program, name, demand) if (name, demand) in formats(program) else None


# --------------------------------------------------------------------------------------------------------------- directions


def known(qa: RequestQA, scene: Scene) -> tuple[Question, Run] | None:
    """The given Q&A as a question of the language with its run, or None where it is not executable in this picture."""
    question = parse(qa.question, scene.plurals)
    if question is None:
        return None
    execution = Run(scene)
    try:
        execution.answer(question.program)
    except Unanswerable:
        return None
    return question, execution


_SYNONYMS = [(f" {word} ", f" {plural(word)} ", label) for word, label in SYNONYMS.items()]


def named_objects(text: str, scene: Scene) -> list[int]:
    """The objects that a text outside the language names: by label, plural, or what people call them."""
    said = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.lower()).split())} "
    labels = {label for label in scene.counts if f" {label} " in said or f" {plural(label)} " in said}
    labels |= {label for one, many, label in _SYNONYMS if one in said or many in said}
    return [i for i in scene.all if scene.labels[i] in labels]


class Composer:
    """Rewrites of one Q&A in one draw."""

    def __init__(self, scene: Scene, qa: RequestQA, rng: Random) -> None:
        self.finder, self.qa = Finder(scene, rng), qa
        self.scene = scene
        self.given = known(qa, scene)
        self.named = named_objects(qa.question, scene) if self.given is None else []

    def rewrites(self, direction: str) -> Iterator[Composed]:
        """Rewrites in one of the three directions, best first."""
        if not self.scene.labels:
            return
        ways = {"perceptual": self.perceptual, "reasoning": self.reasoning, "interactive": self.interactive}
        for question in islice(ways[direction](), 24):
            composed = realise(question, self.finder)
            if composed:
                yield composed

    def perceptual(self) -> Iterator[Question]:
        """Same depth, about a rarer or smaller object, in the same format where that fits."""
        goal, limit = (2, float("inf"))
        if self.given:
            question, execution = self.given
            goal, limit = depth(question.program), self.scene.salience(execution.targets)
        rare = [i for i in self.named or self.scene.all if self.scene.salience([i]) < limit]
        rare.sort(key=lambda i: (self.scene.salience([i]), i))
        less = (
            program
            for about in ([i] for i in shuffled(self.finder.rng, rare[:3]))
            for program in islice(self.finder.at_depth(goal, about), 4)
            if self._salience(program) < limit
        )
        yield from self._keeping_format(less)
        yield from self._keeping_format(self.finder.at_depth(min(goal + 1, DEPTH_CAP), rare[:1]))
        yield from self._keeping_format(self.finder.at_depth(goal, list(self.scene.all)))

    def _salience(self, program: Program) -> float:
        execution = Run(self.scene)
        execution.answer(program)
        return self.scene.salience(execution.targets)

    def _keeping_format(self, programs: Iterator[Program]) -> Iterator[Question]:
        kept = self.given[0] if self.given else Question(Count(Group()))
        for program in programs:
            if kept.cue:
                yield Question(program, "complex reasoning", cue=True)
                continue
            question = in_format(program, kept.format, kept.demand, self.finder)
            yield question or plain(program)

    def reasoning(self) -> Iterator[Question]:
        """Deeper by one operator, ending with a cue to reason; where it does not grow, another program about its objects."""
        goal = depth(self.given[0].program) if self.given else 3
        programs = self.finder.at_depth(goal, self.named)
        if self.given and goal < DEPTH_CAP:
            grown, about = self.finder.deeper(self.given[0].program), sorted(set(self.given[1].targets))
            programs = chain(grown, self.finder.at_depth(goal + 1, about), programs)
        for program in programs:
            yield Question(program, "complex reasoning", cue=True)

    def interactive(self) -> Iterator[Question]:
        """Another format; the program grows too where it has left ``Norm`` before."""
        rng, old = self.finder.rng, self.qa.format
        if self.given is None:
            programs = self.finder.at_depth(2, self.named)
        elif old == "Norm" and isinstance(self.given[0].program, QUERIES):
            programs = iter([self.given[0].program])
        else:
            programs = self._inner()
        for program in programs:
            for name, demand in shuffled(rng, formats(program)):
                if name != old and (question := in_format(program, name, demand, self.finder)):
                    yield question

    def _inner(self) -> Iterator[Program]:
        """Deeper programs over the given one, out of its yes/no form; then others of that depth."""
        assert self.given
        program = self.given[0].program
        if isinstance(program, Verify):
            program = program.program
        if depth(program) < DEPTH_CAP:
            yield from self.finder.deeper(program)
        yield from self.finder.at_depth(depth(program), [])
