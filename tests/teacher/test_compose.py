"""Rewrites, curated and fresh Q&A: right, new, in the aim of their direction, and a function of the request alone."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.records import DIRECTIONS, FORMATS, SKILLS, CandidateReply, Object, Request, RequestQA
from mmevol.teacher.answer import answer
from mmevol.teacher.blind import leak
from mmevol.teacher.compose import DEPTH_CAP, demanded
from mmevol.teacher.confirm import solve
from mmevol.teacher.grammar import parse
from mmevol.teacher.judge import verdict
from mmevol.teacher.language import Locate, Question, depth
from mmevol.teacher.phrases import Phrases
from mmevol.teacher.render import box_text, noun_phrase
from mmevol.teacher.scene import Scene

from .scenes import scenes
from .test_execute import SCENE

SEEDS = (
    "How many objects are there?",
    "Is there a circle in the image?",
    "What is the main focus of the image?",
    "Where is the star?",
    "How many traffic lights are there?",
)


def question_of(item: dict[str, Any], objects: list[Object]) -> Question:
    question = parse(item["question"], Scene(objects).plurals)
    assert question is not None, item["question"]
    return question


def right_answer(item: dict[str, Any], objects: list[Object]) -> str:
    question = question_of(item, objects)
    return demanded(solve(question.program, Scene(objects)), question.demand)


def check_item(item: dict[str, Any], objects: list[Object]) -> None:
    """What holds of every Q&A that the teacher writes."""
    assert item["answer"] == right_answer(item, objects)
    assert leak(question_of(item, objects).program) is None
    assert item["format"] == question_of(item, objects).format and item["format"] in FORMATS
    assert set(item["skills"]) <= set(SKILLS) and item["steps"]
    boxes = {box_text(o.bbox) for o in objects}
    if item["options"]:
        assert item["answer"] in item["options"] and 2 <= len(item["options"]) == len(set(item["options"])) <= 4
    if item["format"] == "region selection":
        assert set(item["options"]) <= boxes


def evolve(objects: list[Object], qas: list[RequestQA], direction: str, key: str) -> list[dict[str, Any]]:
    request = Request(task="evolve", direction=direction, objects=objects, qas=qas)
    found: list[dict[str, Any]] = answer(request, key, 0)["candidates"]
    return found


@given(scenes(), st.lists(st.sampled_from(DIRECTIONS), min_size=3, max_size=3), st.integers(0, 2**32))
def test_lines_stay_right_through_the_rounds(objects: list[Object], directions: list[str], seed: int) -> None:
    line = [RequestQA(id=str(n), question=text) for n, text in enumerate(SEEDS)]
    for round_, direction in enumerate(directions):
        found = evolve(objects, line, direction, f"{seed}-{round_}")
        ids = [item["id"] for item in found]
        assert len(set(ids)) == len(ids) and set(ids) <= {qa.id for qa in line}
        looks = [(i["question"], tuple(i["options"])) for i in found] + [
            (qa.question, tuple(qa.options)) for qa in line
        ]
        assert len(set(looks)) == len(looks), "two alike, or one like a parent"
        for item in found:
            check_item(item, objects)
            assert CandidateReply.model_validate(item)
            judged = verdict(RequestQA(**item), line[int(item["id"])], Scene(objects), direction)
            assert judged["faithful"] and judged["image_needed"], judged
        line = [RequestQA(**next((i for i in found if i["id"] == qa.id), qa.model_dump())) for qa in line]


@given(scenes(), st.integers(0, 2**32))
def test_fresh_and_curated_are_right(objects: list[Object], seed: int) -> None:
    slots = [RequestQA(id=str(n), question="") for n in range(4)]
    found = answer(Request(task="fresh", direction="fresh", objects=objects, qas=slots), f"{seed}", 0)["candidates"]
    curated = answer(Request(task="curate", objects=objects), f"{seed}", 0)["qas"]
    assert curated
    for item in [*found, *curated]:
        check_item(item, objects)
    assert all(item["format"] == "Norm" for item in curated)
    assert len({item["question"] for item in curated}) == len(curated)


def parent(text: str = "What color is the largest circle?", reply: str = "red") -> RequestQA:
    return RequestQA(id="p", question=text, answer=reply)


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_reasoning_goes_one_deeper_and_ends_with_a_cue(key: str) -> None:
    (item,) = evolve(SCENE, [parent()], "reasoning", key)
    assert depth(question_of(item, SCENE).program) == depth(question_of(parent().model_dump(), SCENE).program) + 1
    assert item["question"].endswith("step by step.") and item["format"] == "complex reasoning"


@pytest.mark.parametrize("key", ["a", "b", "c", "d"])
def test_perceptual_keeps_the_depth_and_turns_to_something_rarer(key: str) -> None:
    (item,) = evolve(SCENE, [parent()], "perceptual", key)
    assert depth(question_of(item, SCENE).program) == depth(question_of(parent().model_dump(), SCENE).program)
    judged = verdict(RequestQA(**item), parent(), Scene(SCENE), "perceptual")
    assert judged["improved"] and "rarer" in judged["reason"]


def test_interactive_takes_other_formats_and_every_draw_may_differ() -> None:
    items = [evolve(SCENE, [parent()], "interactive", str(key))[0] for key in range(40)]
    assert {item["format"] for item in items} == {
        *("multiple choice", "fill in the blank", "yes/no", "instruction following"),
    }
    assert {item["answer"] for item in items if item["format"] == "yes/no"} == {"Yes", "No"}
    assert len({item["question"] for item in items}) > 4


def test_regions_are_selected_and_matched() -> None:
    where = [evolve(SCENE, [parent("Where is the star?")], "interactive", str(key))[0] for key in range(20)]
    assert "region selection" in {item["format"] for item in where}
    text = "What is the object in the region [0.050, 0.100, 0.250, 0.300]?"
    what = [evolve(SCENE, [parent(text)], "interactive", str(key))[0] for key in range(30)]
    assert "object-region matching" in {item["format"] for item in what}


def test_a_line_grows_to_the_cap_and_then_varies() -> None:
    qa, deepest = parent(), 0
    for round_ in range(12):
        found = evolve(SCENE, [qa], "reasoning", str(round_))
        assert found, "a program that cannot grow is varied"
        deepest = depth(question_of(found[0], SCENE).program)
        assert deepest <= DEPTH_CAP
        qa = RequestQA(**found[0])
    assert deepest >= 4


def test_a_question_outside_the_language_gives_way_to_what_it_names() -> None:
    qa = parent("Why might the traffic lights stand beside the road?")
    named = ["traffic light" in evolve(SCENE, [qa], "perceptual", str(key))[0]["objects"] for key in range(10)]
    assert all(named)


def test_people_s_words_for_things_are_understood() -> None:
    objects = [Object(label="person", bbox=(0.1, 0.1, 0.3, 0.9)), *SCENE]
    found = [evolve(objects, [parent("What is the man thinking?")], "perceptual", str(k))[0] for k in range(10)]
    assert all("person" in item["objects"] for item in found)


def test_a_crowd_of_one_kind_still_grows() -> None:
    crowd = [
        Object(label="donut", bbox=(x / 10, y / 4, x / 10 + 0.08, y / 4 + 0.2)) for x in range(9) for y in range(3)
    ]
    qa = parent("What is the object in the region [0.200, 0.250, 0.280, 0.450]?", "the donut")
    for key in map(str, range(10)):
        (item,) = evolve(crowd, [qa], "reasoning", key)
        check_item(item, crowd)
        assert depth(question_of(item, crowd).program) == 3


def test_without_objects_nothing_is_composed_and_the_caption_is_quoted() -> None:
    assert evolve([], [parent()], "reasoning", "k") == []
    reply = answer(Request(task="curate", caption="A cat sleeps. It is night."), "k", 0)
    assert [item["answer"] for item in reply["qas"]] == ["A cat sleeps."]
    assert answer(Request(task="curate"), "k", 0) == {"qas": []}


def test_a_reply_is_a_function_of_block_key_and_attempt() -> None:
    request = Request(task="evolve", direction="reasoning", objects=SCENE, qas=[parent()])
    assert answer(request, "k", 0) == answer(request, "k", 0)
    assert len({str(answer(request, "k", attempt)) for attempt in range(5)}) > 1
    assert len({str(answer(request, key, 0)) for key in "abcde"}) > 1


def test_a_phrase_does_not_come_back_to_its_own_object() -> None:
    objects = [
        Object(label="circle", bbox=(0.1, 0.1, 0.3, 0.3)),
        Object(label="star", bbox=(0.5, 0.5, 0.6, 0.6)),
        Object(label="square", bbox=(0.8, 0.8, 0.9, 0.9)),
    ]
    question = parse("Where is the circle above the star?")
    assert question is not None and isinstance(question.program, Locate)
    finer = [noun_phrase(one) for one in Phrases(Scene(objects), Random(0)).finer(question.program.one)]
    assert finer and all(phrase.count("circle") == 1 for phrase in finer)


def test_a_number_without_a_word_is_not_asked_for_in_words() -> None:
    crowd = [Object(label="donut", bbox=(x / 20, 0.1, x / 20 + 0.04, 0.3)) for x in range(15)]
    found = [
        evolve(crowd, [parent("How many donuts are there?", "15")], "interactive", str(key))[0] for key in range(20)
    ]
    assert all("number word" not in item["question"] for item in found)
    text = "How many donuts are there? Answer with a number word."
    assert verdict(RequestQA(id="p", question=text, answer="15"), None, Scene(crowd), "")["faithful"]
