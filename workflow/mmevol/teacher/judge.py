"""Judging a candidate: the question is read back from its text, run over the request's objects, and compared.

Without annotations in the request, whatever needs them cannot be told: the answer then counts as faithful, and rarity as equal.
"""

import re
from dataclasses import dataclass
from typing import Any

from mmevol.records import RequestQA
from mmevol.teacher.blind import leak
from mmevol.teacher.compose import demanded
from mmevol.teacher.execute import Run, Scene, Unanswerable, box_text
from mmevol.teacher.grammar import parse
from mmevol.teacher.language import Name, One, Question, depth, groups
from mmevol.teacher.nouns import NUMBER_WORDS

FORMAT_BONUS = {"Norm": 0.0, "yes/no": 0.0}
"""What a format adds to difficulty; all others add half a point."""

_BOX = re.compile(r"\[(\d\.\d+), (\d\.\d+), (\d\.\d+), (\d\.\d+)\]")


@dataclass(slots=True)
class Reading:
    """What the judge makes of one Q&A. ``value`` is the executed answer, None where the text is not executable."""

    question: Question | None
    value: str | None
    why: str
    salience: float
    depth: int


def read(qa: RequestQA, scene: Scene) -> Reading:
    """Parse and execute a Q&A. Not executable: depth 0. Without objects only the text is read."""
    question = parse(qa.question, scene.plurals)
    if question is None:
        return Reading(None, None, "not_executable: the question is outside the grammar", float("inf"), 0)
    if not scene.labels:
        return Reading(
            question, None, "no annotations to execute the question over", float("inf"), depth(question.program)
        )
    execution = Run(scene)
    try:
        value = demanded(execution.answer(question.program), question.demand)
    except Unanswerable as error:
        return Reading(None, None, f"not_executable: {error}", float("inf"), 0)
    return Reading(question, value, "", scene.salience(execution.targets), depth(question.program))


def normal(answer: str) -> str:
    """An answer without case, final stop and leading article, with number words as digits."""
    text = " ".join(answer.strip().rstrip(".").lower().split())
    text = re.sub(r"^(a|an|the) ", "", text)
    return str(NUMBER_WORDS.index(text)) if text in NUMBER_WORDS else text


def same_answer(reading: Reading, given: str) -> bool:
    """Whether a given answer says what execution found; a name may leave out the color that execution adds."""
    assert reading.question is not None and reading.value is not None
    if reading.question.demand:
        return given.strip() == reading.value
    found, said = normal(reading.value), normal(given)
    return found == said or (isinstance(reading.question.program, Name) and bool(said) and found.endswith(" " + said))


def invented(qa: RequestQA, scene: Scene) -> str | None:
    """The first box in answer, options or steps that is no object's."""
    known = {box_text(box) for box in scene.boxes}
    texts = [qa.answer, *qa.options, *(s.description for s in qa.steps), *(s.manipulation or "" for s in qa.steps)]
    boxes = (box_text([float(c) for c in match]) for text in texts for match in _BOX.findall(text))
    return next((box for box in boxes if box not in known), None)


def faithfulness(qa: RequestQA, reading: Reading, scene: Scene) -> tuple[bool, str]:
    """Whether question, answer, options and steps agree with the annotations, with the reason."""
    if not scene.labels:
        return True, reading.why
    if reading.value is None:
        return _plain_faithfulness(qa, reading)
    if not same_answer(reading, qa.answer):
        return False, f"executed, the answer is {reading.value}, not {qa.answer}"
    if qa.options and qa.answer not in qa.options:
        return False, "the answer is none of the options"
    if box := invented(qa, scene):
        return False, f"the box {box} is no object's"
    return True, f"executed, the answer is {reading.value}"


def _plain_faithfulness(qa: RequestQA, reading: Reading) -> tuple[bool, str]:
    """Of a text that cannot be executed: inside the grammar it asks about something that is not there."""
    return parse(qa.question) is None, reading.why


def named_groups(reading: Reading) -> int:
    """How many groups of objects a question names."""
    return len(groups(reading.question.program)) if reading.question else 0


def difficulty(qa: RequestQA, reading: Reading) -> float:
    """0 to 10: from depth, how many groups are named, and the format; 1 for what is not executable."""
    bonus = FORMAT_BONUS.get(qa.format, 0.5)
    return round(min(10.0, 1 + 1.2 * reading.depth + 0.3 * max(0, named_groups(reading) - 1) + bonus), 2)


def improvement(qa: RequestQA, old: RequestQA, reading: Reading, before: Reading, direction: str) -> tuple[bool, str]:
    """Whether a candidate is a step forward from what it is compared with, as its direction aims, with the reason."""
    if (normal(qa.question), sorted(qa.options)) == (normal(old.question), sorted(old.options)):
        return False, "a copy of the question it is compared with"
    if reading.question is None:
        return False, reading.why
    if reading.depth > before.depth:
        return True, f"depth {before.depth} became {reading.depth}"
    if reading.depth < before.depth:
        return False, f"depth {before.depth} fell to {reading.depth}"
    if direction not in ("reasoning", "interactive") and reading.salience < before.salience * 0.999:
        return True, "same depth, about a rarer or smaller object"
    if direction not in ("perceptual", "reasoning") and qa.format != old.format:
        return True, f"same depth, {old.format} became {qa.format}"
    return False, f"same depth {reading.depth}, no rarer object, and not the format that the direction asks for"


def given_away(reading: Reading) -> str | None:
    """The answer that the question's own words give away."""
    return leak(reading.question.program) if reading.question else None


def verdict(qa: RequestQA, old: RequestQA | None, scene: Scene, direction: str) -> dict[str, Any]:
    """The judge's verdict on one candidate, as `JudgeReply` has it."""
    reading = read(qa, scene)
    leaked = leak(parsed.program) if (parsed := parse(qa.question, scene.plurals)) else None
    improved, progress = False, "nothing to compare with"
    if old is not None:
        improved, progress = improvement(qa, old, reading, read(old, scene), direction)
    faithful, truth = faithfulness(qa, reading, scene)
    if leaked is not None:
        improved, progress = False, f"its own words give the answer {leaked} away"
    return {
        "id": qa.id,
        "improved": improved,
        "difficulty": 0.0 if leaked is not None else difficulty(qa, reading),
        "faithful": faithful,
        "image_needed": leaked is None,
        "reason": f"{progress}; {truth}",
    }


__all__ = ["One", "verdict"]
