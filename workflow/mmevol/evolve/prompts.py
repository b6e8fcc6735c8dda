"""The prompts of the evolution: a template a direction or role, and the request block that ends each."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jinja2

from mmevol.endpoint.prompt import Picture, Prompt
from mmevol.endpoint.schemas import ANSWERS, CANDIDATES, VERDICTS
from mmevol.records import QA, Request, RequestQA, SeedRecord, Version, canonical, digest


@cache
def instructions(name: str) -> str:
    """The rendered text of ``prompts/<name>.jinja``: the same for every record, so that it is a cached prefix."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "prompts")
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template(f"{name}.jinja").render().strip() + "\n"


@cache
def prompt_digest(name: str) -> str:
    """12 hex digits over instructions and reply schema: which prompt made a candidate, for its lineage."""
    return digest(instructions(name), canonical(CANDIDATES))[:12]


def request_qa(id_: str, qa: QA) -> RequestQA:
    """A Q&A as a request carries it."""
    return RequestQA(id=id_, **qa.model_dump(exclude={"image_position"}))


def evolve(
    record: SeedRecord, picture: Picture | None, parents: Sequence[Version], direction: str, errors: tuple[str, ...]
) -> Prompt:
    """Rewrite the parents in a direction (or write fresh Q&A into their places)."""
    request = Request(
        task="fresh" if direction == "fresh" else "evolve",
        direction=direction,
        caption=record.caption,
        objects=record.objects,
        qas=[request_qa(p.id, p.qa) for p in parents],
    )
    return Prompt(instructions(direction), request, CANDIDATES, picture, errors)


def judge(
    record: SeedRecord | None,
    picture: Picture | None,
    direction: str,
    pairs: Sequence[tuple[str, QA, QA]],
    errors: tuple[str, ...],
) -> Prompt:
    """Judge candidates: pairs of id, candidate, and what it is compared with. `record` None: annotations are not shown."""
    request = Request(
        task="judge",
        direction=direction,
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
