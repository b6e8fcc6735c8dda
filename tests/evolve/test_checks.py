import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.endpoint.ask import Rejected
from mmevol.evolve.checks import chosen_option, invented_box, normal_skills, read_candidate
from mmevol.evolve.direction import direction as named
from mmevol.records import LETTERS, QA, SKILLS, Object, Reason, turns
from scripted import candidate, record

RECORD = record("r", width=640, height=480)
CUP = "[0.1, 0.2, 0.3, 0.4]"


def read(direction: str = "perceptual", checks: bool = True, **changes: Any) -> QA | Rejected:
    return read_candidate(candidate("q", **changes), RECORD, named(direction), checks=checks)


def reason(direction: str = "perceptual", checks: bool = True, **changes: Any) -> Reason | None:
    result = read(direction, checks, **changes)
    return result.reason if isinstance(result, Rejected) else None


def test_a_good_candidate_is_read_as_it_is() -> None:
    qa = read(
        question="  Where?  ", answer=" There. ", format="", objects=["Cup ", "lamp", "cup"], skills=["OCR", "chess"]
    )
    assert qa == QA(
        question="Where?",
        answer="There.",
        objects=["cup", "lamp"],
        skills=["ocr"],
        steps=[{"manipulation": "Grounding(cup)->box", "description": "find the cup"}],
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"answer": "  "}, Reason.EMPTY_ANSWER),
        ({"answer": ""}, Reason.EMPTY_ANSWER),
        ({"question": " \n"}, Reason.EMPTY_ANSWER),
        ({"options": [""], "answer": ""}, Reason.EMPTY_ANSWER),
        ({"options": ["red", "blue"], "answer": "green"}, Reason.OPTIONS_WITHOUT_ANSWER),
        ({"options": ["red", "blue"], "answer": "C"}, Reason.OPTIONS_WITHOUT_ANSWER),
        ({"options": ["red", "blue"], "answer": "B. red"}, Reason.OPTIONS_WITHOUT_ANSWER),
        ({"options": [f"o{i}" for i in range(27)], "answer": "o26"}, Reason.SCHEMA),
        ({"steps": [{"description": 5}]}, Reason.SCHEMA),
        ({"objects": "cup"}, Reason.SCHEMA),
        ({"answer": None}, Reason.SCHEMA),
        ({"steps": None}, Reason.SCHEMA),
    ],
)
def test_what_cannot_be_used_has_its_reason_with_and_without_checks(changes: dict[str, Any], expected: Reason) -> None:
    assert reason(**changes) == reason(checks=False, **changes) == expected


@pytest.mark.parametrize("item", [None, 5, "text", [], {}, {"id": "q"}])
def test_what_is_no_candidate_is_a_schema_fault(item: Any) -> None:
    result = read_candidate(item, RECORD, named("reasoning"), checks=False)
    assert isinstance(result, Rejected)
    assert result.reason is Reason.SCHEMA


@pytest.mark.parametrize(
    "question",
    [
        "What does the given question ask?",
        "How does the rewritten Q&A differ?",
        "According to the original answer, what is red?",
        "What is named in the caption?",
        "Which object has the largest of all, by the bounding boxes?",
        "Rewrite the #Given Prompt#?",
    ],
)
def test_a_question_does_not_speak_of_its_own_making(question: str) -> None:
    expected = Reason.META_WORDS if "#Given" not in question else None
    assert reason(question=question) == expected
    assert reason(question=question, checks=False) is None


@pytest.mark.parametrize(
    "question",
    [
        "What is on the box?",
        "Which answer is painted on the wall?",
        "Is the cup given to her?",
        "What caption would fit?",
    ],
)
def test_words_that_pictures_have_too_are_allowed(question: str) -> None:
    assert reason(question=question) is None


@pytest.mark.parametrize(
    ("question", "good"),
    [
        ("What is left of the cup? Think step by step.", True),
        ("What is left of the cup, and how do you know?", True),
        ("Explain your reasoning: what is left of the cup?", True),
        ("Think of a cup. What is left of it?", False),
        ("What is left of the cup?", False),
    ],
)
def test_the_reasoning_direction_ends_with_a_cue(question: str, good: bool) -> None:
    assert reason("reasoning", question=question) == (None if good else Reason.NO_REASONING_CUE)
    assert reason("interactive", question=question) is None


@pytest.mark.parametrize("where", ["question", "answer", "options", "manipulation", "description"])
def test_a_box_that_is_no_objects_is_seen_wherever_it_stands(where: str) -> None:
    def put(box: str) -> dict[str, Any]:
        if where == "options":
            return {"options": [box, "nowhere"], "answer": "nowhere"}
        if where in ("question", "answer"):
            return {where: f"It is at {box}, explain why."}
        return {"steps": [{"manipulation": None, "description": "look", where: f"Grounding(cup)->{box}"}]}

    assert reason(**put(CUP)) is None
    assert reason(**put("[0.1, 0.2, 0.3, 0.41]")) == Reason.INVENTED_BOX
    assert reason(**put("[0.1, 0.2, 0.3, 0.41]"), checks=False) is None


@given(st.tuples(*[st.integers(32, 3000)] * 2), st.randoms(use_true_random=False))
def test_an_objects_box_in_whole_pixels_is_not_invented(size: tuple[int, int], chance: random.Random) -> None:
    w, h = size
    x1, y1 = chance.uniform(0, 0.5), chance.uniform(0, 0.5)
    box = (x1, y1, chance.uniform(x1 + 0.1, 1), chance.uniform(y1 + 0.1, 1))
    pixels = [round(round(c * side) / side, 3) for c, side in zip(box, (w, h, w, h), strict=True)]
    assert invented_box([f"at {pixels}"], [Object(label="x", bbox=box)], size) is None


@given(st.integers(0, 3), st.floats(0.02, 0.3))
def test_a_box_elsewhere_is_invented(place: int, shift: float) -> None:
    box = [0.3, 0.3, 0.6, 0.6]
    moved = [c + shift * (i == place) for i, c in enumerate(box)]
    things = [Object(label="x", bbox=tuple(box)), Object(label="y", bbox=(0.0, 0.0, 0.1, 0.1))]
    assert invented_box([f"{moved}"], things, (640, 480))
    assert invented_box([f"{moved}"], things)
    assert invented_box([f"{box}"], things) is None
    assert invented_box([f"{box}"], [])


@given(
    st.lists(
        st.text(alphabet="abcXYZ .", min_size=1).filter(str.strip),
        min_size=1,
        max_size=26,
        unique_by=lambda x: x.strip(" .").casefold(),
    ),
    st.data(),
)
def test_an_option_is_named_by_text_letter_or_both(options: list[str], data: st.DataObject) -> None:
    if any(len(o.strip(" .")) <= 1 for o in options):
        return  # an option that is a letter names itself
    place = data.draw(st.integers(0, len(options) - 1))
    option, letter = options[place], LETTERS[place]
    for said in (
        option,
        option.upper(),
        f" {option}.",
        letter,
        f"{letter}.",
        f"({letter})",
        f"{letter}) {option}",
        f"{letter}. {option}",
    ):
        assert chosen_option(said, options) == option


@pytest.mark.parametrize("said", ["", "the", "Apple", "B. red", "green", "Both", "A and B", "Z"])
def test_what_names_no_option_is_none(said: str) -> None:
    assert chosen_option(said, ["red", "blue"]) is None


@given(
    st.lists(st.text(alphabet="ab", min_size=1, max_size=2), min_size=1, max_size=26),
    st.text(alphabet="abAB.()", max_size=3),
)
def test_a_candidate_that_is_read_can_be_rendered(options: list[str], answer: str) -> None:
    result = read(options=options, answer=answer)
    if isinstance(result, QA):
        assert result.answer in options
        human, assistant = turns(result)
        assert f"\n{assistant}. {result.answer}\n" in human


@given(
    st.lists(
        st.sampled_from(
            [*SKILLS, "Grounding", "object_localization", "OCR", "counting", "behavior prediction", "chess", ""]
        )
    )
)
def test_skills_are_of_the_vocabulary_in_its_order(skills: list[str]) -> None:
    normal = normal_skills(skills)
    assert normal == [s for s in SKILLS if s in normal]
    assert normal_skills(normal) == normal
    assert normal_skills(skills[::-1]) == normal
    assert set(skills) & set(SKILLS) <= set(normal)
