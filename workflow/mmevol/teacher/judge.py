"""Judging a candidate: the question is read back from its text, run over the request's objects, and compared.

What a request without annotations does not tell is not held against a candidate: its answer then counts as faithful.
"""

import re
from dataclasses import dataclass
from typing import Any

from mmevol.records import RequestQA
from mmevol.teacher.blind import leak
from mmevol.teacher.compose import demanded
from mmevol.teacher.execute import Run, Unanswerable
from mmevol.teacher.grammar import parse
from mmevol.teacher.language import Name, Question, depth, groups
from mmevol.teacher.nouns import NUMBER_WORDS, VOCABULARY
from mmevol.teacher.render import box_text
from mmevol.teacher.scene import Scene

LESS = 0.999
"""Share of the salience below which an object counts as rarer or smaller; rounding alone does not."""

_BOX = re.compile(r"\[(\d\.\d+), (\d\.\d+), (\d\.\d+), (\d\.\d+)\]")


@dataclass(slots=True)
class Reading:
    """What the judge makes of one Q&A.

    ``question`` None: not executable, depth 0. ``value`` None: nothing to execute it over. ``broken``: inside the grammar, and
    all that it names is known, but it has no answer in the picture. ``leaked``: the answer that its own words give away.
    """

    question: Question | None = None
    value: str | None = None
    why: str = "not_executable: the question is outside the grammar"
    broken: bool = False
    leaked: str | None = None
    salience: float = float("inf")
    depth: int = 0
    named: int = 0


def read(qa: RequestQA, scene: Scene) -> Reading:
    """Parse and execute a Q&A."""
    question = parse(qa.question, scene.plurals)
    if question is None:
        return Reading()
    named, leaked = groups(question.program), leak(question.program)
    reading = Reading(question, None, "no annotations to execute it over", False, leaked, named=len(named))
    reading.depth = depth(question.program)
    if not scene.labels:
        return reading
    execution = Run(scene)
    try:
        reading.value = demanded(execution.answer(question.program), question.demand)
    except Unanswerable as error:
        known = all(not g.label or g.label in VOCABULARY or g.label in scene.counts for g in named)
        return Reading(None, None, f"not_executable: {error}", known, leaked)
    reading.salience = scene.salience(execution.targets)
    return reading


def normal(answer: str) -> str:
    """An answer without case, final stop and leading article, with number words as digits."""
    text = " ".join(answer.strip().rstrip(".").lower().split())
    text = re.sub(r"^(a|an|the) ", "", text)
    return str(NUMBER_WORDS.index(text)) if text in NUMBER_WORDS else text


def same_answer(question: Question, value: str, given: str) -> bool:
    """Whether a given answer says what execution found; a name may leave out the color that execution adds."""
    if question.demand:
        return given.strip() == value
    found, said = normal(value), normal(given)
    return found == said or (isinstance(question.program, Name) and bool(said) and found.endswith(" " + said))


def invented(qa: RequestQA, scene: Scene) -> str | None:
    """The first box in answer, options or steps that is no object's."""
    texts = [qa.answer, *qa.options, *(s.description for s in qa.steps), *(s.manipulation or "" for s in qa.steps)]
    said = [box_text([float(c) for c in match]) for text in texts if "[" in text for match in _BOX.findall(text)]
    known = {box_text(box) for box in scene.boxes} if said else set()
    return next((box for box in said if box not in known), None)


def faithfulness(qa: RequestQA, reading: Reading, scene: Scene) -> tuple[bool, str]:
    """Whether answer, options and steps agree with the annotations, with the reason."""
    if reading.broken:
        return False, reading.why
    if reading.question is not None and reading.value is not None:
        if not same_answer(reading.question, reading.value, qa.answer):
            return False, f"executed, the answer is {reading.value}, not {qa.answer}"
        if qa.options and qa.answer not in qa.options:
            return False, "the answer is none of the options"
    if scene.labels and (box := invented(qa, scene)):
        return False, f"the box {box} is no object's"
    return True, reading.why if reading.value is None else f"executed, the answer is {reading.value}"


def asked_format(qa: RequestQA, reading: Reading) -> str:
    """The format that a question's text really has; what it claims, where that cannot be read."""
    return reading.question.format if reading.question else qa.format


def difficulty(qa: RequestQA, reading: Reading) -> float:
    """0 to 10: from depth, how many groups are named, and the format; 1 for what is not executable, 0 for what leaks."""
    if reading.leaked is not None:
        return 0.0
    bonus = 0.0 if asked_format(qa, reading) in ("Norm", "yes/no") else 0.5
    return round(min(10.0, 1 + 1.2 * reading.depth + 0.3 * max(0, reading.named - 1) + bonus), 2)


def improvement(qa: RequestQA, old: RequestQA, reading: Reading, before: Reading, direction: str) -> tuple[bool, str]:
    """Whether a candidate is a step forward from what it is compared with, as its direction aims, with the reason."""
    if (normal(qa.question), sorted(qa.options)) == (normal(old.question), sorted(old.options)):
        return False, "a copy of the question it is compared with"
    if reading.leaked is not None:
        return False, f"its own words give the answer {reading.leaked} away"
    if reading.question is None:
        return False, reading.why
    if reading.depth != before.depth:
        return reading.depth > before.depth, f"depth {before.depth} became {reading.depth}"
    if direction not in ("reasoning", "interactive") and reading.salience < LESS * before.salience:
        return True, "same depth, about a rarer or smaller object"
    new_format, old_format = asked_format(qa, reading), asked_format(old, before)
    if direction not in ("perceptual", "reasoning") and new_format != old_format:
        return True, f"same depth, {old_format} became {new_format}"
    return False, f"same depth {reading.depth}, and no step in the aim of its direction"


def verdict(qa: RequestQA, old: RequestQA | None, scene: Scene, direction: str) -> dict[str, Any]:
    """The judge's verdict on one candidate, as `JudgeReply` has it."""
    reading = read(qa, scene)
    improved, progress = False, "nothing to compare with"
    if old is not None:
        improved, progress = improvement(qa, old, reading, read(old, scene), direction)
    faithful, truth = faithfulness(qa, reading, scene)
    return {
        "id": qa.id,
        "improved": improved,
        "difficulty": difficulty(qa, reading),
        "faithful": faithful,
        "image_needed": reading.leaked is None,
        "reason": f"{progress}; {truth}",
    }
