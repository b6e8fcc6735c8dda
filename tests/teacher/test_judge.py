import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.records import JudgeReply, Object, RequestQA
from mmevol.teacher.judge import verdict
from mmevol.teacher.render import render
from mmevol.teacher.scene import Scene

from .scenes import programs, scenes
from .test_execute import SCENE

CUE = " Think step by step."


def qa(question: str, answer: str = "red", **more: object) -> RequestQA:
    return RequestQA(id="q", question=question, answer=answer, **more)  # type: ignore[arg-type]


OLD = qa("What color is the largest circle?")


def judge(new: RequestQA, direction: str = "", old: RequestQA = OLD) -> JudgeReply:
    return JudgeReply.model_validate(verdict(new, old, Scene(SCENE), direction))


def test_deeper_is_improved_in_every_direction() -> None:
    new = qa("What color is the largest circle above the traffic light?")
    for direction in ("perceptual", "reasoning", "interactive", ""):
        found = judge(new, direction)
        assert found.improved and found.faithful and found.image_needed
        assert found.difficulty > judge(OLD).difficulty


@pytest.mark.parametrize(
    ("new", "direction", "improved"),
    [
        (qa("What color is the blue star?", "blue"), "", False),  # gives itself away
        (qa("What size is the blue star?", "small"), "perceptual", True),  # as deep, smaller
        (qa("What size is the blue star?", "small"), "reasoning", False),
        (qa("What size is the blue star?", "small"), "interactive", False),
        (
            qa("Choose the right option: what color is the largest circle?", options=["red", "blue"]),
            "interactive",
            True,
        ),
        (qa("Choose the right option: what color is the largest circle?", options=["red", "blue"]), "reasoning", False),
        (
            qa("What color is the largest circle?", format="multiple choice", options=["red", "blue"]),
            "interactive",
            False,
        ),
        (qa("What color is the largest circle?" + CUE, format="complex reasoning"), "reasoning", False),
        (qa("What size is the red circle?", "large"), "perceptual", False),  # as deep, the same object
        (qa("What is the largest object?", "the traffic light"), "perceptual", False),
        (qa("How many stars are there?", "1"), "perceptual", False),  # less deep
        (OLD, "perceptual", False),
        (qa("What mood does the star evoke?", "calm"), "", False),  # not executable
    ],
)
def test_improved_is_what_the_direction_aims_at(new: RequestQA, direction: str, improved: bool) -> None:
    assert judge(new, direction).improved is improved


def test_anything_executable_improves_on_what_is_not() -> None:
    old = qa("What mood does the picture evoke?", "calm")
    assert judge(qa("How many stars are there?", "1"), "reasoning", old).improved


def test_not_executable_is_said_and_has_depth_zero() -> None:
    found = judge(qa("What mood does the star evoke?", "calm"))
    assert "not_executable" in found.reason and not found.improved and found.difficulty == 1.0


@pytest.mark.parametrize(
    ("new", "faithful"),
    [
        (qa("How many circles are there?", "2"), True),
        (qa("How many circles are there?", "two."), True),
        (qa("How many circles are there?", "3"), False),
        (qa("How many squares are there?", "1"), False),
        (qa("What color is the square?", "red"), False),
        (qa("What is to the left of the blue circle?", "the red circle"), True),
        (qa("What is to the left of the blue circle?", "circle"), True),
        (qa("What is to the left of the blue circle?", "the blue circle"), False),
        (qa("What color is the largest circle? Answer in capital letters.", "RED"), True),
        (qa("What color is the largest circle? Answer in capital letters.", "red"), False),
        (qa("Where is the star?", "[0.800, 0.600, 0.900, 0.700]"), True),
        (qa("Where is the star?", "[0.800, 0.600, 0.900, 0.800]"), False),
        (qa("Choose the right option: how many circles are there?", "2", options=["1", "2"]), True),
        (qa("Choose the right option: how many circles are there?", "2", options=["1", "3"]), False),
        (
            qa(
                "How many stars are there?",
                "1",
                steps=[{"manipulation": None, "description": "[0.100, 0.100, 0.200, 0.200]"}],
            ),
            False,
        ),
        (
            qa(
                "How many stars are there?",
                "1",
                steps=[{"manipulation": None, "description": "[0.800, 0.600, 0.900, 0.700]"}],
            ),
            True,
        ),
    ],
)
def test_faithful_is_what_execution_confirms(new: RequestQA, faithful: bool) -> None:
    assert judge(new).faithful is faithful


def test_a_question_that_gives_itself_away_needs_no_image() -> None:
    found = judge(qa("What color is the red circle above the traffic light?"))
    assert (found.image_needed, found.improved, found.difficulty) == (False, False, 0.0)


def test_without_annotations_depth_is_still_read() -> None:
    found = JudgeReply.model_validate(
        verdict(qa("What color is the largest circle above the star?", "green"), OLD, Scene([]), "reasoning")
    )
    assert found.improved and found.faithful and "no annotations" in found.reason


def test_without_a_comparison_nothing_is_improved() -> None:
    assert not verdict(OLD, None, Scene(SCENE), "")["improved"]


def test_difficulty_grows_with_depth_and_stays_within_ten() -> None:
    texts = [
        "Where is the star?",
        "Where is the blue star?",
        "Where is the blue star below the red circle?",
        "Where is the blue star below the red circle above the traffic light?",
    ]
    scores = [judge(qa(text)).difficulty for text in texts]
    assert scores == sorted(set(scores))
    chain = " above the star to the left of the circle" * 20
    assert verdict(qa(f"Where is the star{chain}?"), OLD, Scene([]), "")["difficulty"] == 10


@given(scenes(), st.data(), st.text(max_size=20))
def test_any_question_and_answer_is_judged(objects: list[Object], data: st.DataObject, answer: str) -> None:
    draw = data.draw(programs(objects))
    for new, old in ((draw.question(), draw.question()) for _ in range(10)):
        found = verdict(qa(render(new), answer), qa(render(old), answer), Scene(objects), "")
        assert JudgeReply.model_validate(found).reason
