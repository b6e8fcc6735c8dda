"""The prompts of the evolution: a direction's or a role's instructions, and the request block that ends each."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from mmevol.endpoint.prompt import Picture, Prompt
from mmevol.endpoint.schemas import ANSWERS, VERDICTS
from mmevol.evolve.direction import SHARED, Direction, environment
from mmevol.records import QA, Request, RequestQA, SeedRecord, Version


@cache
def instructions(role: str) -> str:
    """The rendered text of ``prompts/<role>.jinja``: the same for every record, so that it is a cached prefix."""
    return environment(SHARED).get_template(f"{role}.jinja").render().strip() + "\n"


def request_qa(id_: str, qa: QA) -> RequestQA:
    """A Q&A as a request carries it."""
    return RequestQA(id=id_, **{name: value for name, value in vars(qa).items() if name != "image_position"})


def evolve(
    record: SeedRecord,
    picture: Picture | None,
    parents: Sequence[Version],
    direction: Direction,
    data: dict[str, Any],
    errors: tuple[str, ...],
) -> Prompt:
    """Rewrite the parents in a direction (or write fresh Q&A into their places). `data`: what was drawn for the record."""
    request = Request(
        task="fresh" if direction.name == "fresh" else "evolve",
        direction=direction.name,
        family=direction.base,
        caption=record.caption,
        objects=record.objects,
        qas=[request_qa(p.id, p.qa) for p in parents],
        data=data,
    )
    return Prompt(direction.instructions, request, direction.schema, picture, errors)


def judge(
    record: SeedRecord | None,
    picture: Picture | None,
    direction: str,
    family: str,
    pairs: Sequence[tuple[str, QA, QA]],
    errors: tuple[str, ...],
) -> Prompt:
    """Judge candidates: pairs of id, candidate, and what it is compared with. `record` None: annotations are not shown."""
    request = Request(
        task="judge",
        direction=direction,
        family=family,
        caption=record.caption if record else "",
        objects=record.objects if record else [],
        qas=[request_qa(i, candidate) for i, candidate, _ in pairs],
        compare_with=[request_qa(i, other) for i, _, other in pairs],
    )
    return Prompt(instructions("judge"), request, VERDICTS, picture, errors)


def blind(id_: str, question: str, options: list[str], errors: tuple[str, ...]) -> Prompt:
    """Put a question without image and annotations."""
    request = Request(task="blind", qas=[RequestQA(id=id_, question=question, options=options)])
    return Prompt(instructions("blind"), request, ANSWERS, None, errors)
