"""Prompts as a provider's prefix cache sees them: what stays the same stands before what changes."""

from itertools import takewhile

import orjson
import pytest
from mmevol.config import Identity
from mmevol.endpoint.prompt import Picture, Prompt
from mmevol.evolve import direction as directions
from mmevol.evolve import prompts
from mmevol.evolve.ask import seed_versions
from mmevol.records import DIRECTIONS, QA, SeedRecord
from scripted import record

WHO = Identity(provider="p", model="m")


def sent(prompt: Prompt) -> str:
    """All that is sent, in its order; the picture as its digest."""
    (system, user) = prompt.messages(WHO, None)
    texts = [part["text"] for part in user["content"]]
    return "".join([system["content"], texts[0], f"<{prompt.picture.digest if prompt.picture else ''}>", *texts[1:]])


def evolve(of: SeedRecord, direction: str, question: str) -> str:
    (parent,) = seed_versions(of.model_copy(update={"qas": [QA(question=question, answer="red")]}))
    return sent(prompts.evolve(of, Picture("a.png", of.key), [parent], directions.direction(direction), {}, ()))


def judge(of: SeedRecord, question: str) -> str:
    qa = QA(question=question, answer="red")
    return sent(prompts.judge(of, Picture("a.png", of.key), "reasoning", "reasoning", [("i", qa, qa)], ()))


def common(a: str, b: str) -> str:
    return "".join(x for x, _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_two_records_share_all_but_picture_and_block(direction: str) -> None:
    shared = common(evolve(record("a"), direction, "What?"), evolve(record("b"), direction, "What?"))
    assert directions.direction(direction).instructions in shared
    assert shared.endswith("<")


def test_two_requests_about_a_record_share_picture_caption_and_boxes_too() -> None:
    of = record("a")
    boxes = orjson.dumps([o.model_dump(exclude_defaults=True) for o in of.objects]).decode()
    for one, two in [
        (evolve(of, "reasoning", "First?"), evolve(of, "reasoning", "Second?")),
        (judge(of, "First?"), judge(of, "Second?")),
    ]:
        shared = common(one, two)
        assert "<a>" in shared
        assert of.caption in shared
        assert boxes[1:-1] in shared


def test_all_roles_begin_alike() -> None:
    texts = [evolve(record("a"), "reasoning", "?"), judge(record("a"), "?"), sent(prompts.blind("i", "?", [], ()))]
    first = prompts.evolve(record("a"), None, [], directions.direction("reasoning"), {}, ()).messages(WHO, None)[0][
        "content"
    ]
    assert all(text.startswith(first) for text in texts)
