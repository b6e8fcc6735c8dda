"""The option matcher against a second writing of its rules, over a grammar of odd replies."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmevol.evaluate.scoring.options import REFUSALS, head_letter, reference_letter

TEXTS = ["red", "dark red", "16", "16.0", "Point A", "a", "None", "cat", "Yes", "No", "İstanbul", "东京", "(A)"]
PIECES = [
    *"ABCDEZab",
    *TEXTS,
    *REFUSALS,
    "The answer is ",
    "answer is **",
    "ANSWER  IS ",
    "correct answer is\n",
    "Failed to obtain answer via API",
    "：",
    "$",
    *".()[],:;!*#{}\"'/-? \n\t",
    "A cat sits there",
    "I think that it must be one of these options",
]
replies = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=9).flatmap(
    lambda pieces: st.sampled_from(["", " "]).map(lambda glue: glue.join(pieces))
)
options = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5).map(
    lambda texts: dict(zip("ABCDE", texts, strict=False))
)


def expected(reply: str, choices: dict[str, str], head: bool) -> str | None:
    """The rules, step by step as the specification numbers them."""
    failed = "Failed to obtain answer via API" in reply
    if not failed:
        for refusal in (
            "Sorry, I can't help with images of people yet.",
            "I can't process this file.",
            "I'm sorry, but without the image provided",
            "Cannot determine the answer",
        ):
            if refusal in reply:
                return "Z"
        words = re.sub(r"[.()\[\],:;!*#{}]", " ", reply).split()
        seen = set(words) & set(choices)
        if len(seen) == 1:
            (letter,) = seen
            if not head or words.index(letter) >= len(words) - 4:
                return letter
        if not seen and words.count("Z"):
            return "Z"
        if head:
            stated = re.search(r"(?i)answer\s+is\s+[*]*([a-d])", reply)
            if stated and stated.group(1).upper() in choices:
                return stated.group(1).upper()
    low = reply.lower()
    if head and len(low) > 2 * sum(len(text) for text in choices.values()):
        return None
    found = {letter for letter, text in choices.items() if low.find(text.lower()) >= 0}
    return found.pop() if len(found) == 1 else None


@settings(max_examples=600)
@given(replies, options)
@example("A cat sits there", {"A": "dog", "B": "bird"})
@example("answer is a cat in the garden of the house", {"A": "dog", "B": "bird"})
@example("Z", {"A": "x", "B": "y"})
def test_matchers_follow_the_rules(reply: str, choices: dict[str, str]) -> None:
    assert reference_letter(reply, choices) == expected(reply, choices, head=False)
    assert head_letter(reply, choices) == expected(reply, choices, head=True)


@pytest.mark.parametrize(
    ("reply", "reference", "head"),
    [
        ("B", "B", "B"),
        ("(B)", "B", "B"),
        ("b", None, None),
        ("A or B", None, None),
        ("A cat sits there on the mat", "A", None),
        ("The answer is b", None, "B"),
        ("I'm sorry, but without the image provided I say A", "Z", "Z"),
        ("Failed to obtain answer via API A green", "B", None),
        ("It is GREEN", "B", "B"),
        ("It is green, as far as anyone could see from this picture", "B", None),
        ('"B"', None, None),
        ("Z", "Z", "Z"),
        ("", None, None),
    ],
)
def test_known_replies(reply: str, reference: str | None, head: str | None) -> None:
    choices = {"A": "dark red", "B": "green", "C": "red"}
    assert (reference_letter(reply, choices), head_letter(reply, choices)) == (reference, head)
