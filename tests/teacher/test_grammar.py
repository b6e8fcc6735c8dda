import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.teacher.grammar import parse
from mmevol.teacher.language import Count, Group, Question
from mmevol.teacher.nouns import SHAPES, SYNONYMS, THINGS, plural, singular, singulars
from mmevol.teacher.render import render

from .scenes import programs, scenes

WORLD = [
    "What color is the circle?",
    "How many stars are there?",
    "Is there a red square in the image?",
    "What is to the left of the blue star?",
    "What letters are printed on the large square?",
    "Where is the red circle?",
    "How many objects are there?",
    "What shape is the largest object?",
]

FREE = [
    "What is the main focus of the image?",
    "What's happening in the scene?",
    "What is the man doing?",
    "What is the weather like?",
    "Where is the?",
    "Is there a man and a dog in the image?",
    "Describe the following image.",
    "",
    "How many are there?",
    "What color is the circle",
]


@given(st.data())
def test_parse_is_the_inverse_of_render(data: st.DataObject) -> None:
    objects = data.draw(scenes())
    draw, plurals = data.draw(programs(objects)), singulars(o.label for o in objects)
    for question in (draw.question() for _ in range(20)):
        assert parse(render(question), plurals) == question, render(question)


@pytest.mark.parametrize("text", WORLD)
def test_the_world_s_seed_questions_are_in_the_language(text: str) -> None:
    question = parse(text)
    assert question is not None and render(question) == text


@pytest.mark.parametrize("text", FREE)
def test_free_english_is_not(text: str) -> None:
    assert parse(text) is None


def test_plurals_are_english() -> None:
    nouns = ["person", "bus", "knife", "traffic light", "skis", "baby", "toothbrush", "wine glass", "computer mouse"]
    assert [plural(noun) for noun in nouns] == [
        *("people", "buses", "knives", "traffic lights", "skis", "babies", "toothbrushes", "wine glasses"),
        "computer mice",
    ]


def test_known_nouns_survive_their_plural() -> None:
    nouns = [*THINGS, *SHAPES, *SYNONYMS]
    assert [singular(plural(noun), {}) for noun in nouns] == nouns


def test_a_count_may_name_the_image() -> None:
    assert parse("How many wine glasses are there in the image?") == Question(Count(Group("wine glass")))


@given(st.text())
def test_any_text_parses_or_does_not(text: str) -> None:
    question = parse(text)
    assert question is None or parse(render(question)) == question
