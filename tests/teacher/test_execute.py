import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.records import SKILLS, Object
from mmevol.teacher.confirm import Unclear, solve
from mmevol.teacher.execute import Run, Unanswerable
from mmevol.teacher.grammar import parse
from mmevol.teacher.language import Program, depth
from mmevol.teacher.scene import Scene

from .scenes import programs, scenes


def thing(label: str, x: float, y: float, side: float, **attributes: str) -> Object:
    return Object(label=label, bbox=(x, y, round(x + side, 3), round(y + side, 3)), attributes=attributes)


SCENE = [
    thing("circle", 0.05, 0.1, 0.2, color="red", size="large", text="EF"),
    thing("circle", 0.5, 0.1, 0.1, color="blue", size="small"),
    thing("star", 0.8, 0.6, 0.1, color="blue", size="small"),
    thing("traffic light", 0.42, 0.5, 0.3),
]

CASES = {
    "What color is the largest circle?": "red",
    "How many circles are there?": "2",
    "How many objects are there?": "4",
    "Is there a red star in the image?": "No",
    "What is to the left of the blue circle?": "the red circle",
    "What letters are printed on the red circle?": "EF",
    "Where is the star?": "[0.800, 0.600, 0.900, 0.700]",
    "What is the object in the region [0.420, 0.500, 0.720, 0.800]?": "the traffic light",
    "What is the number of circles plus the number of stars?": "3",
    "How many more circles than stars are there?": "1",
    "Are there fewer stars than traffic lights?": "No",
    "Is the traffic light larger than the star?": "Yes",
    "Does the star have the same color as the blue circle?": "Yes",
    "Is the star to the right of the red circle, and is there a square in the image?": "No",
    "Is it true that the number of blue objects is 2?": "Yes",
    "What shape is the object to the right of the traffic light?": "star",
}

NO_ANSWER = {
    "What color is the circle?": "not unique",
    "Where is the square?": "not there",
    "What letters are printed on the star?": "nothing is printed",
    "What color is the traffic light?": "not annotated",
    "How many more stars than circles are there?": "smaller",
    "What is the number of circles plus the number of red circles?": "share",
    "Is the star larger than the blue circle?": "too much alike",
    "What is to the right of the blue circle?": "too close",
    "Is the star above the star?": "same object",
}


def program(text: str, objects: list[Object]) -> Program:
    question = parse(text, Scene(objects).plurals)
    assert question is not None
    return question.program


@pytest.mark.parametrize("text", CASES)
def test_answers(text: str) -> None:
    assert Run(Scene(SCENE)).answer(program(text, SCENE)) == CASES[text]


@pytest.mark.parametrize("text", NO_ANSWER)
def test_no_answer_where_it_is_not_clear(text: str) -> None:
    with pytest.raises(Unanswerable) as error:
        Run(Scene(SCENE)).answer(program(text, SCENE))
    assert NO_ANSWER[text] in str(error.value)


def answer_or_none(program: Program, objects: list[Object]) -> str | None:
    try:
        return Run(Scene(objects)).answer(program)
    except Unanswerable as error:
        assert str(error)
        return None


@given(st.data())
def test_a_second_executor_agrees(data: st.DataObject) -> None:
    objects = data.draw(scenes())
    draw = data.draw(programs(objects))
    for asked in (draw.program() for _ in range(20)):
        try:
            expected = solve(asked, Scene(objects))
        except Unclear:
            expected = None
        assert answer_or_none(asked, objects) == expected


@given(st.data())
def test_the_trace_has_known_skills_and_only_boxes_of_objects(data: st.DataObject) -> None:
    objects = data.draw(scenes())
    run = Run(Scene(objects), trace=True)
    try:
        run.answer(data.draw(programs(objects)).program())
    except Unanswerable:
        return
    boxes = {"[{:.3f}, {:.3f}, {:.3f}, {:.3f}]".format(*o.bbox) for o in objects}
    assert run.steps
    for step in run.steps:
        assert step.skill in SKILLS and "->" in step.manipulation
        for part in step.description.split("[")[1:]:
            assert f"[{part.partition(']')[0]}]" in boxes


def test_depth_counts_the_longest_chain() -> None:
    assert [depth(program(t, SCENE)) for t in CASES] == [3, 2, 2, 3, 4, 3, 2, 2, 3, 3, 3, 3, 4, 4, 3, 3]


@pytest.mark.parametrize(("x", "answer"), [(0.2, "Yes"), (0.25, "Yes"), (0.3, None), (0.35, "No"), (0.4, "No")])
def test_beside_is_a_tenth_or_more(x: float, answer: str | None) -> None:
    objects = [thing("circle", x, 0.0, 0.1), thing("star", 0.35, 0.5, 0.1)]
    assert answer_or_none(program("Is the circle to the left of the star?", objects), objects) == answer


@pytest.mark.parametrize(("width", "answer"), [(0.61, "Yes"), (0.59, None), (0.42, None), (0.41, "No")])
def test_larger_is_a_fifth_or_more(width: float, answer: str | None) -> None:
    objects = [
        Object(label="circle", bbox=(0.0, 0.0, width, 0.1)),
        Object(label="star", bbox=(0.0, 0.5, 0.5, 0.6)),
    ]
    assert answer_or_none(program("Is the circle larger than the star?", objects), objects) == answer
