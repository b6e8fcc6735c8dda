"""From a request to the content of its reply, task by task. A function of the block, the key and the content attempt alone."""

from collections.abc import Iterator
from typing import Any

from mmevol.records import Request, RequestQA
from mmevol.teacher import benchmark, blind
from mmevol.teacher.compose import Composed, Composer, generator
from mmevol.teacher.curate import curate, fresh
from mmevol.teacher.judge import verdict
from mmevol.teacher.scene import Scene

REPLY_FIELDS = {"curate": "qas", "evolve": "candidates", "fresh": "candidates", "judge": "verdicts", "blind": "answers"}
"""The one field of each task's reply; benchmark judges answer in ``reply``."""


def answer(request: Request, key: str, attempt: int) -> dict[str, Any]:
    """The reply's content, as `Request` says for each task. Items for which nothing can be composed are left out."""
    match request.task:
        case "curate":
            return {"qas": curate(request, key, attempt)}
        case "evolve" | "fresh":
            return {"candidates": candidates(request, key, attempt)}
        case "judge":
            scene = Scene(request.objects)
            before = {qa.id: qa for qa in request.compare_with}
            return {"verdicts": [verdict(qa, before.get(qa.id), scene, request.aim) for qa in request.qas]}
        case "blind":
            return {"answers": [{"id": qa.id, "answer": blind.guess(key, qa)} for qa in request.qas]}
        case _:
            return {"reply": benchmark.reply(request.task, request.data)}


def candidates(request: Request, key: str, attempt: int) -> list[Composed]:
    """A rewrite, or a fresh Q&A, for each Q&A of the request; no two alike, none like a given one."""
    scene = Scene(request.objects)
    taken = {_look(qa.question, qa.options) for qa in request.qas} if request.task == "evolve" else set()
    found = []
    for qa in request.qas:
        for composed in _offers(request, scene, qa, key, attempt):
            look = _look(composed["question"], composed["options"])
            if look not in taken:
                taken.add(look)
                found.append({"id": qa.id} | composed)
                break
    return found


def _look(question: str, options: list[str]) -> tuple[str, tuple[str, ...]]:
    return question.casefold(), tuple(sorted(options))


def _offers(request: Request, scene: Scene, qa: RequestQA, key: str, attempt: int) -> Iterator[Composed]:
    if request.task == "fresh":
        return fresh(scene, key, attempt, qa.id)
    return Composer(scene, qa, generator("evolve", key, attempt, qa.id)).rewrites(request.aim)
