"""MathVista: what the kit settles by rule, and the authors' extraction and normalisation."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.mathvista_authors import edit_distance, nearest_choice, normalise, settle
from mmevol.evaluate.scoring.options import reference_letter
from mmevol.evaluate.scoring.score import score


def row(index: int, kind: str, answer: str, choices: str = "", letter: str = "") -> dict[str, str]:
    return {
        "index": str(index),
        "question": "q",
        "question_type": "multi_choice" if choices else "free_form",
        "answer_type": kind,
        "choices": choices,
        "answer": answer,
        "answer_option": letter,
        "task": "t",
        "skills": "['a', 'b']",
    }


def rows(cases: list[tuple[dict[str, str], str]], replies: dict[str, Any] | None = None) -> list[Any]:
    data = [case for case, _ in cases] + [row(99, "text", "never")]
    said = [{"index": int(case["index"]), "prediction": text} for case, text in cases]
    judge = {"kind": "mathvista_extract", "replies": {"99": ["x"]} | (replies or {})}
    inputs = Inputs(data=data, predictions=[*said, {"index": 99, "prediction": "-"}], judge_replies=judge)
    result = score("MathVista_MINI", "mmevol", inputs)
    assert isinstance(result.rows, list)
    return result.rows[:-1]


@pytest.mark.parametrize(
    ("kind", "answer", "said", "settled"),
    [
        ("integer", "5", " +5", 1),
        ("integer", "10", "1_0", 1),
        ("integer", "5", "５", 1),
        ("integer", "5", "5.0", 0),
        ("integer", "0", "0", 0),
        ("float", "1.5", "1.50", 1),
        ("float", "1.5", "15e-1", 1),
        ("float", "1.5", "1.5 cm", 0),
        ("text", "Paris", "Paris", 0),
        ("list", "[1]", "[1]", 0),
        ("text", "None", "None", 0),
    ],
)
def test_kit_settles_numbers_equal_to_the_answer_but_zero(kind: str, answer: str, said: str, settled: int) -> None:
    found = rows([(row(1, kind, answer), said)], {"1": ["no number"]})
    assert found[0][2] == settled and found[0][3] == settled


@pytest.mark.parametrize(
    ("kind", "answer", "reply", "hit"),
    [
        ("integer", "14", "14", 1),
        ("integer", "14", "14.0", 0),
        ("integer", "0", "0", 1),
        ("float", "1.5", " 1.5", 1),
        ("text", "Paris", "Paris", 0),
        ("integer", "14", "", 0),
        ("integer", "14", "N/A", 0),
    ],
)
def test_kit_compares_what_the_judge_extracts(kind: str, answer: str, reply: str, hit: int) -> None:
    assert rows([(row(1, kind, answer), "words")], {"1": [reply]})[0][3] == hit


def test_rows_of_one_index_share_what_was_stored_last() -> None:
    choices = '["red", "blue"]'
    twice = [(row(1, "integer", "5"), "B"), (row(1, "text", "blue", choices, "B"), "B")]
    assert rows(twice, {"1": ["5"]}) == [[1, "B", 1, 0], [1, "B", 1, 1]]


def test_any_letter_is_final_for_a_choice() -> None:
    choices = '["red", "blue"]'
    found = rows([(row(1, "text", "red", choices, "A"), "A"), (row(2, "text", "red", choices, "A"), "Z")])
    assert found == [[1, "A", 1, 1], [2, "Z", 1, 0]]


def test_without_judge_nothing_is_reported_and_says_so() -> None:
    inputs = Inputs(data=[row(1, "integer", "5"), row(2, "integer", "6")], predictions=[
        {"index": 1, "prediction": "5"}, {"index": 2, "prediction": "six"},
    ])  # fmt: skip
    for rules in ("mmevol", "vlmevalkit-head", "authors"):
        result = score("MathVista_MINI", rules, inputs)  # type: ignore[arg-type]
        assert result.reported is None and result.unjudged == 1 and "judge" in result.notes[0]


def test_authors_extraction_order() -> None:
    assert settle("", "multi_choice", "text", ["a"], False) == ""
    assert settle("a", "multi_choice", "text", ["a"], False) == "a"
    assert settle(" a", "multi_choice", "text", ["a"], False) is None
    assert settle("007", "free_form", "integer", [], False) == "7"
    assert settle("3.0", "free_form", "integer", [], False) is None
    assert settle("1e3", "free_form", "float", [], False) == "1000.0"
    assert settle("NaN", "free_form", "float", [], False) == "nan"
    stated = 'The answer is "4". The answer is "5". Or so'
    assert settle(stated, "free_form", "integer", [], False) is None
    assert settle(stated, "free_form", "integer", [], True) == '4". The answer is "5'


@pytest.mark.parametrize(
    ("extraction", "kind", "precision", "prediction"),
    [
        ("3.9", "integer", None, "3"),
        ("-0.5", "integer", None, "0"),
        ("1,000", "integer", None, None),
        ("inf", "integer", None, None),
        ("5", "float", "1", "5.0"),
        ("5", "float", "0", "5.0"),
        ("1.25", "float", "1", "1.2"),
        ("nan", "float", "2", "nan"),
        ("5", "float", None, None),
        (" [1]", "list", None, " [1]"),
        ("Paris", "text", None, None),
    ],
)
def test_authors_normalisation(extraction: str, kind: str, precision: str | None, prediction: str | None) -> None:
    assert normalise(extraction, "free_form", kind, [], precision) == prediction


@pytest.mark.parametrize(
    ("extraction", "choice"),
    [
        ("(b)", "blue sky"),
        ("B", "blue sky"),
        ("b", "red"),
        ("(F)", "red"),
        ("", "red"),
        ("blue ski", "blue sky"),
        (" C ", "green"),
    ],
)
def test_authors_always_find_a_choice(extraction: str, choice: str) -> None:
    assert nearest_choice(extraction, ["red", "blue sky", "green"]) == choice


KINDS = ["integer", "float", "list", "text"]
SAID = ["5", " 5 ", "5.0", "0", "1e1", "1_0", "５", "inf", "-3.9", "nan", "None", "N/A", ""]
SAID += ["A", "(b)", "C.", "Z", "red", "blue sky", "x"]


def number(kind: str, said: str) -> float | None:
    """What the text reads as, for the row's type."""
    try:
        return int(said) if kind == "integer" else float(said)
    except ValueError:
        return None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(KINDS), *[st.sampled_from(SAID)] * 3), min_size=1, max_size=6))
def test_kit_follows_the_rules(drawn: list[tuple[bool, str, str, str, str]]) -> None:
    gone = {"nan", "None", "N/A", ""}
    cases, replies, wanted = [], {}, []
    for index, (choice, kind, answer, said, reply) in enumerate(drawn, 1):
        letter = "AB"[index % 2]
        cases.append(
            (row(index, kind, answer, "['red', 'blue sky']" if choice else "", letter if choice else ""), said)
        )
        replies[str(index)] = [reply]
        said, reply = ("nan" if text in gone else text for text in (said, reply))
        if choice:
            options = {"A": "red", "B": "blue sky"}
            found = reference_letter(said, options)
            hit = (found or reference_letter(reply, options)) == letter
            if found:
                hit = reference_letter(found, options) == letter
            settled = bool(found)
        else:
            value = None if answer in gone or kind in ("list", "text") else number(kind, answer)
            settled = value is not None and number(kind, said) == value and value != 0
            hit = settled or (value is not None and number(kind, reply) == value)
        wanted.append([index, int(settled), int(hit)])
    assert [[index, settled, hit] for index, _, settled, hit in rows(cases, replies)] == wanted


@given(st.sampled_from(KINDS), st.sampled_from(SAID) | st.text(max_size=4), st.sampled_from([None, "0", "1", "2"]))
def test_authors_normalisation_follows_the_rules(kind: str, extraction: str, precision: str | None) -> None:
    value = number("float", extraction)
    finite = value is not None and abs(value) < float("inf")
    wanted = None
    if kind == "integer" and finite and value is not None:
        wanted = str(math.trunc(value))
    elif kind == "float" and value is not None and precision is not None:
        wanted = str(round(value, int(precision)))
    elif kind == "list":
        wanted = extraction
    assert normalise(extraction, "free_form", kind, [], precision) == wanted


def slow_distance(left: str, right: str) -> int:
    if not left or not right:
        return len(left) + len(right)
    return min(
        slow_distance(left[1:], right) + 1,
        slow_distance(left, right[1:]) + 1,
        slow_distance(left[1:], right[1:]) + (left[0] != right[0]),
    )


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_edit_distance(left: str, right: str) -> None:
    assert edit_distance(left, right) == slow_distance(left, right)
