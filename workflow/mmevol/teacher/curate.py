"""Q&A without a parent: simple ones for a picture that has only a caption, and fresh ones for the slots of a request."""

from collections.abc import Iterator
from typing import Any

from mmevol.records import Request
from mmevol.teacher.compose import Composed, formats, generator, in_format, plain, realise
from mmevol.teacher.language import Question
from mmevol.teacher.phrases import shuffled
from mmevol.teacher.programs import Finder
from mmevol.teacher.scene import Scene

CURATED = 3
"""A curated record gets one to this many Q&A."""


def curate(request: Request, key: str, attempt: int) -> list[Composed]:
    """Short simple Q&A in the manner of LLaVA-Instruct; of a picture without annotations, its caption's first sentence."""
    scene = Scene(request.objects)
    rng = generator("curate", key, attempt)
    wanted = rng.randint(1, CURATED)
    found: dict[str, Composed] = {}
    if scene.labels:
        finder = Finder(scene, rng)
        for program in finder.simple():
            composed = realise(Question(program), finder)
            if composed:
                found.setdefault(composed["question"], composed)
            if len(found) == wanted:
                break
    elif sentence := request.caption.strip().partition(". ")[0]:
        found[""] = _described(sentence)
    return list(found.values())


def _described(sentence: str) -> dict[str, Any]:
    question = "What does the image show?"
    answer = sentence.rstrip(".") + "."
    return {
        "question": question,
        "answer": answer,
        "format": "Norm",
        "options": [],
        "objects": [],
        "skills": ["context"],
        "steps": [],
    }


def fresh(scene: Scene, key: str, attempt: int, slot: str) -> Iterator[Composed]:
    """Q&A from scratch for one slot, drawn from key and slot: depth 2 to 4, any format."""
    rng = generator("fresh", key, attempt, slot)
    if not scene.labels:
        return
    finder = Finder(scene, rng)
    for goal in (rng.randint(2, 4), 3, 2, 4):
        for program in finder.at_depth(goal):
            question = plain(program)
            if rng.random() < 0.5 and (ways := formats(program)):
                name, demand = shuffled(rng, ways)[0]
                question = in_format(program, name, demand, finder) or question
            if composed := realise(question, finder):
                yield composed
