"""The teacher's replies, pinned: a change that is meant to be faster only, or plainer only, leaves every byte as it was."""

import hashlib
from collections import defaultdict
from random import Random
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from mmevol.records import DIRECTIONS, Object, Request, RequestQA
from mmevol.teacher.answer import answer
from mmevol.teacher.nouns import COLORS, SHAPES, SIZES, THINGS
from mmevol.teacher.phrases import shuffled

PHOTO_QUESTIONS = (
    "What is the main focus of the image?",
    "How many {}s are there in the image?",
    "What is the {} doing?",
    "Where is the {}?",
    "Is there a {} in the image?",
)
DRAWN_QUESTIONS = ("How many objects are there?", "What color is the largest {}?", "Is there a red {} in the image?")

PINNED = {
    "drawn": {
        "curate": (53, "4d530f45c3c2a4c1"),
        "fresh": (60, "4aed3f43c21f78f7"),
        "evolve": (180, "4e936aa035c0bf35"),
        "judge": (180, "17129e20638e00b7"),
        "blind": (180, "8acc371747b07956"),
    },
    "photographed": {
        "curate": (53, "f77056cd7fe3372e"),
        "fresh": (60, "0d5194d13b2056c3"),
        "evolve": (176, "936b43823fbed991"),
        "judge": (176, "7a31577a67e27933"),
        "blind": (176, "c7858da1e527319b"),
    },
}
"""Items and digest of each task's replies. New values go with a new name of the model: kept replies stay what they were."""


def box(rng: Random) -> tuple[float, float, float, float]:
    x, y, side = rng.uniform(0, 0.8), rng.uniform(0, 0.8), rng.uniform(0.03, 0.6)
    return round(x, 3), round(y, 3), round(min(1, x + side), 3), round(min(1, y + side * rng.uniform(0.5, 2)), 3)


def drawn(rng: Random) -> tuple[list[Object], list[str]]:
    things = []
    for _ in range(rng.randint(3, 8)):
        attributes = {"color": rng.choice(COLORS[:6]), "size": rng.choice(SIZES)}
        attributes |= {"text": "KX"} if rng.random() < 0.2 else {}
        things.append(Object(label=rng.choice(SHAPES[:4]), bbox=box(rng), attributes=attributes))
    return things, [text.format(rng.choice(things).label) for text in rng.sample(DRAWN_QUESTIONS, 2)]


def photographed(rng: Random) -> tuple[list[Object], list[str]]:
    labels = rng.sample(THINGS, 5)
    things = [Object(label=rng.choice(labels), bbox=box(rng)) for _ in range(rng.randint(1, 15))]
    return things, [text.format(rng.choice(things).label) for text in rng.sample(PHOTO_QUESTIONS, 2)]


def replies(kind: str, records: int) -> dict[str, tuple[int, str]]:
    """How many items the replies of each task hold, and a digest of all their bytes, over records evolved for three rounds."""
    digests: Any = defaultdict(hashlib.sha256)
    items: dict[str, int] = defaultdict(int)

    def ask(key: str, **request: Any) -> list[dict[str, Any]]:
        reply = answer(Request(**request), key, 0)
        digests[request["task"]].update(orjson.dumps(reply))
        found: list[dict[str, Any]] = next(iter(reply.values()))
        items[request["task"]] += len(found)
        return found

    for number in range(records):
        rng = Random(f"{kind} {number}")
        objects, texts = (drawn if kind == "drawn" else photographed)(rng)
        line = {str(i): RequestQA(id=str(i), question=text) for i, text in enumerate(texts)}
        ask(f"{number}", task="curate", objects=objects, caption="A picture. It has things.")
        ask(f"{number}", task="fresh", direction="fresh", objects=objects, qas=list(line.values()))
        for round_ in range(3):
            direction, key = rng.choice(DIRECTIONS), f"{number}-{round_}"
            found = ask(key, task="evolve", direction=direction, objects=objects, qas=list(line.values()))
            new = {item["id"]: RequestQA(**item) for item in found}
            before = [line[i] for i in new]
            ask(key, task="judge", direction=direction, objects=objects, qas=list(new.values()), compare_with=before)
            for qa in new.values():
                ask(key, task="blind", qas=[RequestQA(id=qa.id, question=qa.question, options=qa.options)])
            line |= new
    return {task: (items[task], digests[task].hexdigest()[:16]) for task in digests}


def test_replies_are_what_they_were() -> None:
    assert {kind: replies(kind, 30) for kind in PINNED} == PINNED


@given(st.integers(), st.integers(0, 300))
def test_an_order_is_drawn_as_the_library_draws_it(seed: int, size: int) -> None:
    ours, theirs = Random(seed), Random(seed)
    assert shuffled(ours, range(size)) == theirs.sample(range(size), size)
    assert ours.getstate() == theirs.getstate()
