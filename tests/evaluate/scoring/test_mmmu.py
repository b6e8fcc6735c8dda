"""MMMU: the authors' parser against a second writing of its rules, and the kit's treatment of open questions."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.mmmu import normalise, open_is_right, parse_choice, parse_open
from mmevol.evaluate.scoring.score import score

PIECES = [
    "(A)",
    "(B)",
    " A ",
    " C ",
    "B",
    "A.",
    "10",
    "100",
    "red",
    "RED",
    "dark red",
    *",.!?;:'",
    " ",
    "\n",
    "\t",
    "the answer is",
    "word ",
]
choice_replies = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=10).map("".join)
options = st.lists(st.sampled_from(["red", "10", "100", "dark red", "None", " x "]), min_size=1, max_size=5).map(
    lambda texts: dict(zip("ABCDE", texts, strict=False))
)


def expected_letter(reply: str, choices: dict[str, str]) -> str | None:
    reply = reply.strip()
    for mark in [",", ".", "!", "?", ";", ":", "'"]:
        while reply[:1] == mark:
            reply = reply[1:]
        while reply[-1:] == mark:
            reply = reply[:-1]
    reply = " " + reply + " "
    needles = [{x: f"({x})" for x in choices}, {x: f" {x} " for x in choices}]
    haystacks = [reply, reply]
    if len(reply.split()) > 5:
        needles.append({x: text.lower() for x, text in choices.items()})
        haystacks.append(reply.lower())
    for needle, haystack in zip(needles, haystacks, strict=True):
        candidates = [x for x in choices if needle[x] in haystack]
        if candidates:
            best = candidates[0]
            for x in candidates[1:]:
                if haystack.rindex(needle[x]) > haystack.rindex(needle[best]):
                    best = x
            return best
    return None


@settings(max_examples=500)
@given(choice_replies, options)
def test_choice_parser_follows_the_rules(reply: str, choices: dict[str, str]) -> None:
    assert parse_choice(reply, choices) == expected_letter(reply, choices)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("A,.", None),
        ("A.,", "A"),
        ("A cat", "A"),
        ("(A) or B", "A"),
        ("A\nB", None),
        ("(A) then (B)", "B"),
        ("**A**", None),
        ("", None),
    ],
)
def test_known_choice_replies(reply: str, letter: str | None) -> None:
    assert parse_choice(reply, {"A": "one", "B": "two"}) == letter


def test_equal_places_give_the_earlier_option() -> None:
    assert parse_choice("we find that it must be 100", {"A": "10", "B": "100"}) == "A"


OPEN = [
    "so ",
    "is ",
    "this ",
    "thus ",
    "Answer ",
    "=",
    "\n",
    ".",
    "-",
    "1,234",
    "12.34e5",
    "3.14159",
    ".5",
    "24/7",
    "x",
    "C",
    " ",
    "1e5",
    "nan",
    "inf",
    "１２",
]
open_replies = st.lists(st.sampled_from(OPEN) | st.text(max_size=3), max_size=9).map("".join)


def expected_values(reply: str) -> set[float | str]:
    whole = reply.strip().strip(".").lower()
    keys = []
    pieces = re.split("\n", whole)
    for at, piece in enumerate(pieces):
        cues = ["could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result "]
        if at == len(pieces) - 1:
            cues.append("=")
        held = None
        for cue in cues:
            if cue in piece:
                after = piece[piece.rindex(cue) + len(cue) :].strip()
                if not held or len(after) < len(held):
                    held = after
        if held and held not in (":", ",", ".", "!", "?", ";", "'"):
            keys.append(held)
    keys = keys or [whole]
    raw = list(keys)
    for key in keys:
        raw += [m.group() for m in re.finditer(r"-?\b[\d]{1,3}(,\d\d\d)+\b", key)]
        raw += [m.group() for m in re.finditer(r"[-]?\d+(\.\d+)?[eE][-+]?\d+", key)]
        raw += [m.group() for m in re.finditer(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?!(?:[eE][+-]?\d)|,|\d)", key)]
    values: set[float | str] = set()
    for text in raw:
        text = text.strip()
        try:
            values.add(round(float(text.replace(",", "")), 2))
        except ValueError:
            values |= {f" {text.lower()}", f"{text.lower()} "} if len(text) == 1 else {text.lower()}
    return values


@settings(max_examples=500)
@given(open_replies)
def test_open_parser_follows_the_rules(reply: str) -> None:
    found = parse_open(reply)
    numbers = [value for value in found if not isinstance(value, str)]
    texts = [value for value in found if isinstance(value, str)]
    assert found == [*numbers, *texts] and texts == sorted(texts)
    assert {repr(value) for value in found} == {repr(value) for value in expected_values(reply)}


@pytest.mark.parametrize(
    ("reply", "answers", "right"),
    [
        ("The answer is 3.14159", ["3.14"], True),
        ("So x = 1,234", ["1234"], True),
        ("24/7", ["24/7"], True),
        ("It is blue", ["blue", "red"], True),
        ("It is C", ["C"], True),
        ("maybe inf", ["inf"], False),
        ("inf", ["inf"], True),
        ("nan", ["nan"], False),
        ("12.34e5", ["5"], True),
        ("five", ["5"], False),
    ],
)
def test_open_answers(reply: str, answers: list[str], right: bool) -> None:
    assert open_is_right(parse_open(reply), answers) == right


def test_normalise() -> None:
    assert normalise(" 1,234.567 ") == [1234.57] and normalise("C") == [" c", "c "] and normalise("") == [""]


def kit(answer: str, said: str) -> int:
    row = {"index": "1", "question": "q", "A": "", "B": "", "answer": answer, "split": "validation", "category": "Art"}
    filler = row | {"index": "2", "A": "x", "B": "y", "answer": "A"}
    predictions = [{"index": 1, "prediction": said}, {"index": 2, "prediction": "B or A"}]
    return int(score("MMMU_DEV_VAL", "mmevol", Inputs(data=[row, filler], predictions=predictions)).rows[0][2])


@pytest.mark.parametrize(
    ("answer", "said", "hit"),
    [
        ("$6", "it costs $6", 1),
        ("$6", "A", 1),
        ("C", "C", 0),
        ("B", "other answers", 1),
        ("None", "A", 0),
        ("$6", "$6, other answers", 0),
    ],
)
def test_kit_makes_open_questions_choices(answer: str, said: str, hit: int) -> None:
    assert kit(answer, said) == hit


def test_splits_apart_and_foreign_subjects_in_no_metric() -> None:
    def row(index: int, name: str, split: str) -> dict[str, str]:
        return {
            "index": str(index), "id": name, "question": "", "A": "x", "B": "None", "answer": "B", "split": split,
            "question_type": "multiple-choice", "category": "c",
        }  # fmt: skip

    data = [
        row(1, "validation_Art_Theory_1", "validation"),
        row(2, "dev_Art_2", "dev"),
        row(3, "validation_Alchemy_1", "validation"),
    ]
    predictions = [
        {"index": 1, "prediction": "(B)"},
        {"index": 2, "prediction": "(A)"},
        {"index": 3, "prediction": "(A)"},
    ]
    result = score("MMMU_DEV_VAL", "authors", Inputs(data=data, predictions=predictions))
    assert result.metrics == {
        "validation": {"Overall": 1.0, "Overall-Art and Design": 1.0, "Art_Theory": 1.0},
        "dev": {"Overall": 0.0, "Overall-Art and Design": 0.0, "Art": 0.0},
    }
    assert result.reported == 100 and result.n == 1 and len(result.rows) == 3
