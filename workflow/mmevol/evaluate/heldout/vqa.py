"""VQA_v2 and GQA: open questions in the JSON files of their authors."""

import json
from collections.abc import Iterator
from typing import Any

from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.pool import Asks, Pool
from mmevol.evaluate.heldout.questions import Item, Words, a
from mmevol.evaluate.heldout.scene import SIDES, Scene, Thing
from mmevol.evaluate.heldout.table import Files

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
QUESTION_TYPES = (
    *(
        "how many more",
        "how many",
        "what color is the",
        "what shape is the",
        "what letters are",
        "what is",
        "is there a",
    ),
    *("is it true that", "are there more", "are there", "is the", "does the", "none of the above"),
)


def _shallow(asks: Asks) -> Asks:
    return lambda scene, words: (item for item in asks(scene, words) if not item.deep)


VQA: tuple[Asks, ...] = (
    *(ask.existence, ask.colors, ask.counts, ask.sides, ask.letters, ask.names),
    *(ask.same_color, ask.colors, ask.counts, ask.more, ask.shapes, ask.existence),
)
"""What is asked in turn; the yes/no kinds are balanced."""


def _short(answer: str) -> str:
    """An answer as annotators give it: small letters and no article, which the official comparison drops from replies."""
    return answer.lower().removeprefix("the ")


def _annotators(pool: Pool, item: Item, row: int) -> list[dict[str, Any]]:
    """Ten answers as people give them: eight or more agree, others write a number as a word or are mistaken."""
    answer = _short(item.answer)
    other = {"yes": "no", "no": "yes"}.get(answer)
    if other is None and answer.isdigit() and int(answer) < len(NUMBER_WORDS):
        other = NUMBER_WORDS[int(answer)]
    if other is None:
        other = _short(item.wrong[0]) if item.wrong else answer
    strays = int(pool.u("annotators", row) * 3)
    said = [answer] * (10 - strays) + [other] * strays
    return [
        {"answer": text, "answer_confidence": "yes" if text == answer else "maybe", "answer_id": number}
        for number, text in enumerate(said, 1)
    ]


def vqa(pool: Pool) -> Files:
    """Questions of all kinds, with the answers of ten annotators each."""
    files: Files = {}
    questions, annotations = [], []
    ids = {scene.key: number for number, scene in enumerate(pool.shuffled("image id"), 1)}
    asked = 0
    for row in range(pool.n):
        asks = VQA[row % len(VQA)]
        ((scene, item),) = pool.items(1, f"row {row}", asks, where=_alternating(asked))
        asked += item.answer in ("Yes", "No")
        image, key = ids[scene.key], 1000 * ids[scene.key] + row
        files[f"images/heldout_test-dev_{image:012d}.png"] = pool.picture(scene)
        questions.append({"image_id": image, "question": item.question, "question_id": key})
        kind = "yes/no" if item.answer in ("Yes", "No") else "number" if item.answer.isdigit() else "other"
        start = item.question.lower()
        annotations.append(
            {
                "question_type": next(t for t in QUESTION_TYPES if start.startswith(t) or t == QUESTION_TYPES[-1]),
                "multiple_choice_answer": _short(item.answer),
                "answers": _annotators(pool, item, row),
                "image_id": image,
                "answer_type": kind,
                "question_id": key,
            }
        )
    head = {"info": {}, "data_type": "heldout", "data_subtype": "test-dev", "license": {}}
    files["questions.json"] = json.dumps(head | {"task_type": "Open-Ended", "questions": questions})
    files["annotations.json"] = json.dumps(head | {"annotations": annotations})
    return files


def _alternating(asked: int) -> Any:
    """Yes and No in turn where the answer is one of them; everything else as it is."""
    unwanted = ("No", "Yes")[asked % 2]
    return lambda item: item.answer != unwanted


# ----------------------------------------------------------------------------------------------------------------------- GQA

Program = list[dict[str, Any]]


def _steps(*steps: tuple[str, str]) -> Program:
    """A functional program whose steps follow each other."""
    return [
        {"operation": operation, "argument": argument, "dependencies": [number - 1] if number else []}
        for number, (operation, argument) in enumerate(steps)
    ]


def _question(
    text: str, answer: str, program: Program, types: tuple[str, str, str], group: str | None
) -> dict[str, Any]:
    structural, semantic, detailed = types
    return {
        "semantic": program,
        "semanticStr": "->".join(f"{step['operation']}: {step['argument']}" for step in program),
        "entailed": [],
        "equivalent": [],
        "question": text,
        "isBalanced": True,
        "groups": {"global": group, "local": f"{len(program)}-{answer}"},
        "answer": answer,
        "fullAnswer": answer,
        "types": {"structural": structural, "semantic": semantic, "detailed": detailed},
        "annotations": {"question": {}, "answer": {}, "fullAnswer": {}},
    }


def _attribute(scene: Scene, words: Words) -> Iterator[list[dict[str, Any]]]:
    """The colour of a thing, and what follows from it."""
    for thing in scene.things:
        if not (thing.color and (phrase := scene.phrase(thing, without="color"))):
            continue
        program = _steps(("select", phrase), ("query", "color"))
        text = f"What color is the {phrase}?"
        what = _question(text, thing.color, program, ("query", "attr", "directWhich"), "color")
        for color in (thing.color, *(c for c in words.colors if c != thing.color)):
            program = _steps(("select", phrase), ("verify color", color))
            text = f"Is it true that the color of the {phrase} is {color}?"
            answer = "yes" if color == thing.color else "no"
            yield [what, _question(text, answer, program, ("verify", "attr", "verifyAttr"), None)]


def _relation(scene: Scene, words: Words) -> Iterator[list[dict[str, Any]]]:
    """The shape of the thing beside another."""
    for item in ask.shapes(scene, words):
        if item.deep:
            color, side, anchor = _parts(item.question)
            program = _steps(("select", anchor), ("relate", f"{color} object,{side},s"), ("query", "name"))
            yield [_question(item.question, item.answer, program, ("query", "rel", "relS"), "shape")]


def _parts(question: str) -> tuple[str, str, str]:
    """Colour, side and anchor of ``What shape is the red object above the star?``."""
    text = question.removeprefix("What shape is the ").removesuffix("?")
    side = next(side for side in SIDES if f" object {side} the " in text)
    color, anchor = text.split(f" object {side} the ")
    return color, side, anchor


def _verify(scene: Scene, words: Words) -> Iterator[list[dict[str, Any]]]:
    """Whether a thing lies on a side of another; the opposite side follows."""
    opposite = dict(zip(SIDES, ("to the right of", "to the left of", "below", "above"), strict=True))

    def one(thing: Thing, side: str, anchor: Thing) -> dict[str, Any]:
        first, second = scene.phrase(thing), scene.phrase(anchor)
        answer = "yes" if scene.beside(thing, side, anchor) else "no"
        program = _steps(("select", str(second)), ("verify rel", f"{first},{side},s"))
        return _question(f"Is the {first} {side} the {second}?", answer, program, ("verify", "rel", "relVerify"), None)

    told = [t for t in scene.things if scene.phrase(t)]
    for thing in told:
        for anchor in told:
            for side in SIDES:
                told_apart = None not in (scene.beside(thing, s, anchor) for s in (side, opposite[side]))
                if thing is not anchor and told_apart:
                    yield [one(thing, side, anchor), one(anchor, opposite[side], thing)]


def _compare(scene: Scene, words: Words) -> Iterator[list[dict[str, Any]]]:
    """Whether two things have one colour."""
    for item in ask.same_color(scene, words):
        pair = item.question.removeprefix("Does the ").removesuffix("?")
        first, _, second = pair.partition(" have the same color as the ")
        program = _steps(("select", first), ("select", second), ("same color", "color"))
        yield [_question(item.question, item.answer.lower(), program, ("compare", "attr", "twoSame"), None)]


def _choose(scene: Scene, words: Words) -> Iterator[list[dict[str, Any]]]:
    """Which of two colours a thing has."""
    for item in ask.colors(scene, words):
        if not item.deep:
            phrase = item.question.removeprefix("What color is the ").removesuffix("?")
            for pair in ((item.answer, item.wrong[0]), (item.wrong[0], item.answer)):
                program = _steps(("select", phrase), ("choose color", "|".join(pair)))
                text = f"Is the {phrase} {pair[0]} or {pair[1]}?"
                yield [_question(text, item.answer, program, ("choose", "attr", "chooseAttr"), "color")]


def _logical(scene: Scene, words: Words) -> Iterator[list[dict[str, Any]]]:
    """Whether two things are both there, or at least one."""
    present = {(t.color, t.label) for t in scene.things}
    pairs = [(c, label) for c in words.colors for label in words.labels if c in scene.colors()]
    for number, one in enumerate(pairs):
        other = pairs[(number + 5) % len(pairs)]
        first, second = " ".join(one), " ".join(other)
        for word, truth in (
            ("and", one in present and other in present),
            ("or", one in present or other in present),
        ):
            text = f"Is there {a(first)} in the image, {word} is there {a(second)} in the image?"
            program = _steps(("select", first), ("exist", "?"), ("select", second), ("exist", "?"), (word, ""))
            yield [_question(text, "yes" if truth else "no", program, ("logical", "obj", f"exist{word.title()}"), None)]


GQA = (_attribute, _verify, _relation, _choose, _compare, _logical)


def gqa(pool: Pool) -> Files:
    """All five structural types in turn; a question that follows from another one comes right after it."""
    files: Files = {}
    questions: dict[str, dict[str, Any]] = {}
    names = {scene.key: f"n{number}" for number, scene in enumerate(pool.shuffled("image id"), 100000)}
    turn = asked = 0
    while len(questions) < pool.n:
        maker = GQA[turn % len(GQA)]

        unwanted = ("no", "yes")[(asked + turn // len(GQA)) % 2]

        def offers(scene: Scene, _: int, maker: Any = maker, unwanted: str = unwanted) -> list[list[dict[str, Any]]]:
            return [group for group in maker(scene, pool.words) if unwanted not in (q["answer"] for q in group)]

        ((scene, group),) = pool.take(1, f"turn {turn}", offers, lambda group: str(group[0]["question"]))
        group = group[: pool.n - len(questions)]
        asked += any(question["answer"] in ("yes", "no") for question in group)
        ids = [str(20000000 + len(questions) + number) for number in range(len(group))]
        files[f"images/{names[scene.key]}.png"] = pool.picture(scene)
        for key, question in zip(ids, group, strict=True):
            questions[key] = question | {"imageId": names[scene.key], "equivalent": [key], "entailed": ids}
        turn += 1
    files["questions.json"] = json.dumps(questions)
    files["choices.json"] = json.dumps({key: _choices(pool.words, question) for key, question in questions.items()})
    return files


def _choices(words: Words, question: dict[str, Any]) -> dict[str, list[str]]:
    """Which answers are of the right kind, and which are to be expected: in this world the same."""
    if question["types"]["structural"] in ("verify", "compare", "logical"):
        valid = ["yes", "no"]
    else:
        valid = list(words.labels if question["groups"]["global"] == "shape" else words.colors)
    return {"valid": valid, "plausible": valid}
