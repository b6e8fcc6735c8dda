"""The structural gate: what can be seen of a candidate without a judge. Each fault has its reason; the model is told it."""

import re
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from mmevol.endpoint.ask import Rejected
from mmevol.endpoint.dialect import BOX
from mmevol.evolve.direction import Direction
from mmevol.records import LETTERS, QA, SKILLS, CandidateReply, Object, Reason, SeedRecord

META = re.compile(
    r"\b(?:(?:given|original|previous|rewritten|created|provided|source|seed|above) (?:q ?& ?a|question|problem|answer|caption)s?"
    r"|(?:in|by|from|to) the (?:caption|annotations?|bounding boxes)|the #\w+#)"
)
"""Words by which a question, in lower case, speaks of its own making: half the time of a search that ignores case."""

BOX_TOLERANCE = 0.0015
"""Coordinates are written with three decimals, some models cut instead of rounding; or they are whole pixels."""

SKILL_WORDS = {
    "ground": "grounding",
    "locali": "grounding",
    "refer": "referencing",
    "calculat": "calculating",
    "count": "calculating",
    "ocr": "ocr",
    "text": "ocr",
    "exist": "existence",
    "relation": "relationship",
    "context": "context",
    "behavio": "behaviour",
    "predict": "behaviour",
    "knowledge": "knowledge",
}


def normal_skills(skills: list[str]) -> list[str]:
    """Free skill names brought to the vocabulary, each once, in its order; unknown ones are left out."""
    known = {
        name if name in SKILLS else next((v for k, v in SKILL_WORDS.items() if k in name), "")
        for name in (skill.strip().lower().replace("_", " ") for skill in skills)
    }
    return [skill for skill in SKILLS if skill in known]


def chosen_option(answer: str, options: list[str]) -> str | None:
    """Which option an answer names: by its text, its letter, or both; None if none."""
    said, by_text = bare(answer), {bare(option): option for option in reversed(options)}
    if said in by_text:
        return by_text[said]
    match = re.fullmatch(r"\(?([A-Z])\)?[.:)]?(?:\s+(.*))?", answer.strip(), re.DOTALL)
    if (
        match
        and (place := LETTERS.index(match[1])) < len(options)
        and bare(match[2] or "") in ("", bare(options[place]))
    ):
        return options[place]
    return None


def bare(text: str) -> str:
    """A text without what does not tell options apart: case, space around it, full stops at its end."""
    return re.sub(r"[\s.]+\Z", "", text.strip()).casefold()


def invented_box(texts: list[str], objects: list[Object], size: tuple[int, int] | None = None) -> str | None:
    """The first box in the texts that is no object's. `size`: width and height in px, where known."""
    width, height = (max(BOX_TOLERANCE, 0.5 / side + 0.0006) for side in size or (1000, 1000))
    near = (width, height, width, height)
    for text in texts:
        for match in BOX.finditer(text):
            box = [float(g) for g in match.groups()]
            if not any(all(abs(a - b) <= n for a, b, n in zip(box, o.bbox, near, strict=True)) for o in objects):
                return match[0]
    return None


def read_candidates(
    reply: dict[str, Any],
    ids: Collection[str],
    *,
    record: SeedRecord,
    direction: Direction,
    checks: bool,
    size: tuple[int, int] | None = None,
) -> tuple[dict[str, QA], dict[str, Rejected]]:
    """The candidates of a reply by the id of their parent, and what is wrong with others. Of two with one id the first counts."""
    good: dict[str, QA] = {}
    bad: dict[str, Rejected] = {}
    items = reply.get("candidates")
    for item in items if isinstance(items, list) else []:
        id_ = item.get("id") if isinstance(item, dict) else None
        if id_ in ids and id_ not in good:
            result = read_candidate(item, record, direction, checks=checks, size=size)
            (bad if isinstance(result, Rejected) else good)[id_] = result  # type: ignore[assignment,index]
    return good, bad


def read_candidate(
    item: Any, record: SeedRecord, direction: Direction, *, checks: bool, size: tuple[int, int] | None = None
) -> QA | Rejected:
    """A reply item as a Q&A, or the fault that it has. Without `checks`, only what cannot be read is a fault.

    `size`: width and height in px of the picture as the model sees it, which is how fine a box can be.
    """
    try:
        reply = CandidateReply.model_validate(item)
        answer = reply.answer
        if reply.options and (chosen := chosen_option(answer, reply.options)) is not None:
            answer = chosen
        elif reply.options:
            return Rejected(Reason.OPTIONS_WITHOUT_ANSWER, f"the answer {answer[:60]!r} is none of the options")
        if len(reply.options) > len(LETTERS):
            return Rejected(Reason.SCHEMA, f"field options: {len(reply.options)} options, at most {len(LETTERS)}")
        if not answer.strip() or not reply.question.strip():
            return Rejected(Reason.EMPTY_ANSWER, "question and answer must not be empty")
        qa = QA(
            question=reply.question.strip(),
            answer=answer.strip() if not reply.options else answer,
            format=reply.format.strip() or "Norm",
            options=reply.options,
            objects=sorted({name.strip().lower() for name in reply.objects if name.strip()}),
            skills=normal_skills(reply.skills),
            steps=reply.steps,
        )
    except ValidationError as error:
        first = error.errors()[0]
        return Rejected(Reason.SCHEMA, f"field {'.'.join(str(p) for p in first['loc'])}: {first['msg']}")
    return (direction.unfit(item) or structural_fault(qa, record, direction, size) if checks else None) or qa


def structural_fault(
    qa: QA, record: SeedRecord, direction: Direction, size: tuple[int, int] | None = None
) -> Rejected | None:
    """Meta words, what the direction's validators say, boxes that are not the record's."""
    if match := META.search(qa.question.lower()):
        return Rejected(Reason.META_WORDS, f"the question speaks of {match[0]!r}; ask about the picture only")
    if fault := direction.fault(qa, record):
        return fault
    texts = [
        qa.question,
        qa.answer,
        *qa.options,
        *(s.description for s in qa.steps),
        *(s.manipulation or "" for s in qa.steps),
    ]
    if box := invented_box(texts, record.objects, size):
        return Rejected(Reason.INVENTED_BOX, f"the box {box} is not among the annotations")
    return None
