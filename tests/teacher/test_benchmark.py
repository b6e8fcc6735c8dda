from typing import Any

import pytest
from mmevol.teacher.benchmark import BadData, reply

OPTIONS = [["A", "red"], ["B", "dark red"], ["C", "two"], ["D", "the blue circle"]]


@pytest.mark.parametrize(
    ("prediction", "letter"),
    [
        ("B", "B"),
        ("(c)", "C"),
        ("The answer is B.", "B"),
        ("Option D: because it is blue", "D"),
        ("red", "A"),
        ("It is dark red, I think.", "B"),
        ("2", "C"),
        ("a blue circle", "D"),
        ("green", "Z"),
        ("either two or red", "Z"),
        ("", "Z"),
    ],
)
def test_match_option(prediction: str, letter: str) -> None:
    assert reply("match_option", {"options": OPTIONS, "prediction": prediction}) == letter
    right = reply("blink_yes_no", {"options": OPTIONS, "answer": letter, "prediction": prediction})
    assert right == "yes"
    assert reply("blink_yes_no", {"options": OPTIONS, "answer": "E", "prediction": prediction}) == "no"


@pytest.mark.parametrize(
    ("prediction", "said"),
    [
        ("Yes, it is.", "Yes"),
        ("There isn't one.", "No"),
        ("no", "No"),
        ("a circle", "Unknown"),
        ("yes and no", "Unknown"),
        ("", "Unknown"),
    ],
)
def test_match_yes_no(prediction: str, said: str) -> None:
    assert reply("match_yes_no", {"question": "Is it?", "prediction": prediction}) == said


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"prediction": "There are 14 in all, so the answer is 1,450."}, "1450"),
        ({"prediction": "three circles", "answer_type": "integer"}, "3"),
        ({"prediction": "none that I see", "answer_type": "integer"}, ""),
        ({"prediction": "from [1, 2] to [3, 4]", "answer_type": "list"}, "[3, 4]"),
        ({"prediction": "I say B", "options": [["A", "x"], ["B", "y"]]}, ""),
        ({"prediction": "B. y", "options": [["A", "x"], ["B", "y"]]}, "y"),
        ({"prediction": "Yes, they do."}, "Yes"),
        ({"prediction": "The shape is a star."}, "a star"),
    ],
)
def test_extract_answer(data: dict[str, Any], found: str) -> None:
    assert reply("extract_answer", data) == found


@pytest.mark.parametrize(
    ("prediction", "verdict"),
    [
        ("Yes", "correct"),
        ("No, it is not.", "incorrect"),
        ("", "unclear"),
        ("I cannot tell.", "unclear"),
        ("the red circle is larger", "correct"),
    ],
)
def test_judge_answer(prediction: str, verdict: str) -> None:
    data = {"answer": "Yes, the red circle is larger.", "prediction": prediction}
    assert reply("judge_answer", data) == verdict


def official_parse(sentence: str) -> tuple[list[float], float]:
    """MIA-Bench's own reading of a judge's reply: to the first stop, by commas, after the first colon, one character skipped."""
    pieces = sentence.split(".")[0].split(",")
    numbers = [piece.split(":")[1][1:].split("/") for piece in pieces]
    values = [int(a) / int(b) for a, b in numbers]
    return values[:-1], values[-1]


COMPONENTS = [
    'the reply gives the right answer, "RED"',
    "the reply is in capital letters",
    'the reply holds square brackets, "[" and "]"',
    "the reply has at most five words",
    'the reply does not hold the word "because"',
]


@pytest.mark.parametrize(
    ("prediction", "scores"),
    [
        ("[RED]", [1, 1, 1, 1, 1]),
        ("red", [1, 0, 0, 1, 1]),
        ("[BLUE], BECAUSE OF THE SKY AND THE SEA", [0, 1, 1, 0, 0]),
        ("", [0, 0, 0, 0, 0]),
    ],
)
def test_mia_score_is_read_by_the_official_parser(prediction: str, scores: list[int]) -> None:
    data = {"instruction": "…", "components": COMPONENTS, "weights": [3, 2, 2, 2, 1], "prediction": prediction}
    parts, total = official_parse(reply("mia_score", data))
    assert parts == scores
    assert total == sum(w * s for w, s in zip([3, 2, 2, 2, 1], scores, strict=True)) / 10


@pytest.mark.parametrize(
    ("component", "prediction", "met"),
    [
        ("the reply is exactly one word", "three", 1),
        ("the reply is exactly one word", "three stars", 0),
        ("uses at least 3 words", "one two three four", 1),
        ('starts with "The"', "The star", 1),
        ('ends with "star"', "A circle", 0),
        ("all in lower case", "a star", 1),
        ("answers yes or no", "No.", 1),
        ("states the number of stars", "I see two", 1),
        ("mentions the blue circle", "a blue square", 0.33),
    ],
)
def test_a_component_is_met_by_its_own_rule(component: str, prediction: str, met: float) -> None:
    (part,), _ = official_parse(
        reply("mia_score", {"components": [component], "weights": [100], "prediction": prediction})
    )
    assert part == pytest.approx(met, abs=0.01)


def test_missing_and_odd_fields_are_named() -> None:
    with pytest.raises(BadData, match="match_option needs options"):
        reply("match_option", {"prediction": "A"})
    with pytest.raises(BadData, match="mia_score"):
        reply("mia_score", {"components": ["a", "b"], "weights": [1], "prediction": "x"})
