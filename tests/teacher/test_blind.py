import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.records import Object, RequestQA
from mmevol.teacher.blind import UNKNOWN, guess, leak
from mmevol.teacher.confirm import Unclear, solve
from mmevol.teacher.grammar import parse
from mmevol.teacher.scene import Scene

from .scenes import programs, scenes

LEAKS = {
    "What color is the red circle?": "red",
    "What color is the red circle above the star? Think step by step.": "red",
    "What shape is the largest star?": "star",
    "What size is the largest object?": "large",
    'What letters are printed on the circle with the letters "EF"?': "EF",
    "What is the traffic light?": "the traffic light",
    "Where is the object in the region [0.100, 0.200, 0.300, 0.400]?": "[0.100, 0.200, 0.300, 0.400]",
    "Does the red star have the same color as the blue circle?": "No",
    "Is the large star larger than the small circle?": "Yes",
    "Is it true that the color of the red star is blue?": "No",
    "Is it true that the color of the red star is red, or is there a star in the image?": "Yes",
}


@pytest.mark.parametrize("text", LEAKS)
def test_what_the_words_give_away_is_answered(text: str) -> None:
    assert guess("k", RequestQA(id="q", question=text)) == LEAKS[text]


def test_a_leak_finds_its_option() -> None:
    qa = RequestQA(id="q", question="Choose the right option: what color is the red circle?", options=["Blue", "Red"])
    assert guess("k", qa) == "Red"


@given(scenes(), st.data())
def test_a_leak_is_never_wrong(objects: list[Object], data: st.DataObject) -> None:
    program = data.draw(programs(objects)).program()
    said = leak(program)
    if said is None or "size" in repr(program).lower():  # what is annotated as large need not have the larger box
        return
    try:
        solved = solve(program, Scene(objects))
    except Unclear:
        return
    assert solved == said or solved.endswith(said.removeprefix("the")), "a name may add the color"


def test_open_questions_are_not_guessed() -> None:
    assert guess("k", RequestQA(id="q", question="What color is the circle?")) == UNKNOWN
    assert guess("k", RequestQA(id="q", question="What mood is it?")) == UNKNOWN


def test_guesses_among_options_differ_with_the_draw() -> None:
    options = ["red", "blue", "green", "black"]
    question = "Choose the right option: what color is the circle?"
    assert parse(question) is not None
    said = [guess(str(key), RequestQA(id="q", question=question, options=options)) for key in range(400)]
    assert all(60 < said.count(option) < 140 for option in options)
    shuffled = [guess("k", RequestQA(id="q", question=question, options=options[n:] + options[:n])) for n in range(4)]
    assert len(set(shuffled)) > 1


def test_yes_or_no_is_guessed_where_it_is_asked() -> None:
    said = [guess(str(key), RequestQA(id="q", question="Is there a star in the image?")) for key in range(200)]
    assert 60 < said.count("Yes") < 140 and set(said) == {"Yes", "No"}
