import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.records import (
    LETTERS,
    QA,
    BadInput,
    JudgeReply,
    Object,
    Request,
    Version,
    canonical,
    digest,
    fraction,
    qa_id,
    turns,
)
from pydantic import ValidationError

texts = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_digests_are_equal_just_when_the_parts_are(a: list[str], b: list[str]) -> None:
    assert (digest(*a) == digest(*b)) == (a == b)


def test_a_digest_stays_what_it_is() -> None:
    """Ids, draws and reply keys of data that people hold rest on it."""
    assert digest("ab", "c") != digest("a", "bc")
    assert digest() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_fractions_are_in_range_even_and_the_same_every_time() -> None:
    draws = [fraction(7, f"key{i}", "direction") for i in range(4000)]
    assert draws == [fraction(7, f"key{i}", "direction") for i in range(4000)]
    assert all(0 <= x < 1 for x in draws)
    bins = Counter(int(x * 10) for x in draws)
    assert sum((n - 400) ** 2 / 400 for n in bins.values()) < 27.9  # chi-square, 9 degrees of freedom, p = 0.001


@given(json_values)
def test_canonical_json_says_the_same_and_has_one_form(value: Any) -> None:
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.dictionaries(texts, st.integers(), min_size=2, max_size=5))
def test_canonical_json_does_not_see_the_order_of_keys(value: dict[str, int]) -> None:
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@given(st.tuples(*[st.floats(-0.5, 1.5)] * 4))
def test_a_box_lies_inside_and_stands_upright(box: tuple[float, float, float, float]) -> None:
    x1, y1, x2, y2 = box
    if 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1:
        assert Object(label="cup", bbox=box).bbox == box
    else:
        with pytest.raises(ValidationError):
            Object(label="cup", bbox=box)


def test_the_id_of_a_qa_depends_on_every_part_of_it() -> None:
    qa = QA(question="What?", answer="That.")
    ids = {
        qa_id("r", "p", 1, "reasoning", qa),
        qa_id("s", "p", 1, "reasoning", qa),
        qa_id("r", "q", 1, "reasoning", qa),
        qa_id("r", "p", 2, "reasoning", qa),
        qa_id("r", "p", 1, "perceptual", qa),
        qa_id("r", "p", 1, "reasoning", qa.model_copy(update={"skills": ["ocr"]})),
    }
    assert len(ids) == 6
    assert all(len(i) == 24 for i in ids)
    assert qa_id("r", "p", 1, "reasoning", QA(question="What?", answer="That.")) in ids


def test_records_are_closed_and_frozen() -> None:
    qa = QA(question="What?", answer="That.")
    with pytest.raises(ValidationError):
        qa.answer = "This."  # type: ignore[misc]
    with pytest.raises(ValidationError):
        QA(question="What?", answer="That.", anwser="typo")  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        QA(question="", answer="That.")
    with pytest.raises(ValidationError):
        Version.model_validate({"id": "a"})


def test_a_judges_difficulty_is_0_to_10() -> None:
    reply = {"id": "a", "improved": True, "difficulty": 10, "faithful": True, "image_needed": False, "more": 1}
    assert JudgeReply.model_validate(reply).difficulty == 10
    for wrong in (10.5, -1, "hard", None):
        with pytest.raises(ValidationError):
            JudgeReply.model_validate(reply | {"difficulty": wrong})


def test_a_request_carries_its_schema_by_name() -> None:
    block = Request(task="judge").model_dump(by_alias=True)
    assert block["schema"] == "mmevol-request/1"
    assert Request.model_validate(block) == Request(task="judge")
    with pytest.raises(ValidationError):
        Request.model_validate(block | {"schema": "mmevol-request/2"})


def test_an_open_question_is_said_as_it_is() -> None:
    assert turns(QA(question="What?", answer="That.")) == ("What?", "That.")


@given(st.integers(1, 26), st.data())
def test_options_are_lettered_and_the_answer_is_its_letter(n: int, data: st.DataObject) -> None:
    options = [f"option {i}" for i in range(n)]
    place = data.draw(st.integers(0, n - 1))
    human, assistant = turns(QA(question="Which?", answer=options[place], options=options))
    assert assistant == LETTERS[place]
    assert f"\n{assistant}. {options[place]}\n" in human
    assert human.startswith("Which?\nA. option 0\n")
    assert human.endswith("\nAnswer with the option's letter from the given choices directly.")


def test_bad_input_says_where_what_and_what_to_do() -> None:
    message = str(BadInput(file="a.json:3", field="bbox", found="[2]", expected="four numbers", remedy="mend it"))
    assert all(part in message for part in ("a.json:3", "bbox", "[2]", "four numbers", "mend it"))
