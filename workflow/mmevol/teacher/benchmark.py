"""Benchmark judges by symbolic rules: which option a prediction means, yes or no, whether it is right, and what it says.

Each takes the fields of the request's ``data`` (question, options as [letter, text] pairs, answer, prediction, answer_type; for
``mia_score`` components, weights, prediction) and gives the text that the benchmark's own parser reads.
"""

import re
from collections.abc import Callable
from typing import Any

from mmevol.teacher.nouns import NUMBER_WORDS

_NUMBER = re.compile(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?")
_LETTER = re.compile(
    r"(?:^|\b(?:option|answer(?: is)?|choice|choose)\s*:?\s*)\(?([A-Z])\)?(?:[.:),]|\s*$)", re.IGNORECASE
)


def _words(text: str) -> list[str]:
    """Lower-case words, numbers as digits, no articles."""
    found = re.findall(r"\d+(?:\.\d+)?|[^\W\d_]+", text.lower())
    return [str(NUMBER_WORDS.index(w)) if w in NUMBER_WORDS else w for w in found if w not in ("a", "an", "the")]


def _holds(text: str, part: str) -> bool:
    """Whether the words of ``part`` stand in ``text`` in a row."""
    said, wanted = _words(text), _words(part)
    return bool(wanted) and any(said[i : i + len(wanted)] == wanted for i in range(len(said) - len(wanted) + 1))


def match_option(data: dict[str, Any]) -> str:
    """The letter of the option that the prediction means, ``Z`` if none or more than one."""
    options: list[tuple[str, str]] = [(str(letter), str(text)) for letter, text in data["options"]]
    prediction = str(data["prediction"]).strip()
    exact = [letter for letter, text in options if _words(text) == _words(prediction) and _words(text)]
    if len(exact) == 1:
        return exact[0]
    if (match := _LETTER.search(prediction)) and match[1].upper() in dict(options):
        return match[1].upper()
    held = [(letter, text) for letter, text in options if _holds(prediction, text)]
    longest = [letter for letter, text in held if not any(t != text and _holds(t, text) for _, t in held)]
    return longest[0] if len(longest) == 1 else "Z"


def match_yes_no(data: dict[str, Any]) -> str:
    """``Yes``, ``No`` or ``Unknown``: what the prediction says, negations counted as no."""
    words = re.findall(r"[a-z']+", str(data["prediction"]).lower())
    yes = any(w in ("yes", "yeah", "true", "correct") for w in words)
    no = any(w in ("no", "not", "nope", "false", "incorrect", "cannot") or w.endswith("n't") for w in words)
    return "Unknown" if yes == no else "Yes" if yes else "No"


def blink_yes_no(data: dict[str, Any]) -> str:
    """``yes`` if the prediction means the right option (``answer``: its letter), else ``no``."""
    return "yes" if match_option(data) == str(data["answer"]).strip("() .") else "no"


def extract_answer(data: dict[str, Any]) -> str:
    """The short answer in a prediction: an option's text, the last number, yes or no, or the words after the last ``is``."""
    prediction = str(data["prediction"]).strip()
    options = data.get("options") or []
    if options:
        letter = match_option(data)
        return next((str(text) for name, text in options if name == letter), "")
    if data.get("answer_type") == "list":
        lists = re.findall(r"\[[^\[\]]*\]", prediction)
        return str(lists[-1]) if lists else ""
    numbers = _NUMBER.findall(prediction) or [word for word in _words(prediction) if word.isdigit()]
    if numbers or data.get("answer_type") in ("integer", "float"):
        return str(numbers[-1]).replace(",", "") if numbers else ""
    said = match_yes_no(data)
    if said != "Unknown":
        return said
    return prediction.rstrip(".").rsplit(" is ", 1)[-1].strip()


def judge_answer(data: dict[str, Any]) -> str:
    """``correct``, ``incorrect`` or ``unclear``: whether the prediction says what the reference (``answer``) says."""
    prediction, answer = str(data["prediction"]), str(data["answer"])
    said, right = match_yes_no(data), match_yes_no({"prediction": answer})
    if not _words(prediction) or re.search(r"\b(cannot|can't|unclear|unknown|not sure)\b", prediction.lower()):
        return "unclear"
    if _holds(prediction, answer) or (_holds(answer, prediction) and said == "Unknown"):
        return "correct"
    if "Unknown" not in (said, right):
        return "correct" if said == right else "incorrect"
    wanted = {word for word in _words(answer) if len(word) > 2}
    return "correct" if len(wanted & set(_words(prediction))) > len(wanted) / 2 else "incorrect"


def judge_same(data: dict[str, Any]) -> str:
    """``same`` or ``different``: whether the prediction and an earlier answer (``original``) can both be meant."""
    said, before = match_yes_no(data), match_yes_no({"prediction": data["original"]})
    if "Unknown" not in (said, before):
        return "same" if said == before else "different"
    return "same" if _words(str(data["prediction"])) == _words(str(data["original"])) else "different"


def _meets(component: str, prediction: str) -> float:
    """How far, 0 to 1, a prediction meets a component of an instruction: by the rule that its words name, else by shared words."""
    text, said = component.lower(), prediction.strip()
    if not said:
        return 0.0
    if quoted := re.findall(r'["“]([^"”]+)["”]', component):
        return float(_quotes_met(text, quoted, said))
    if re.search(r"capital|upper-?\s?case", text):
        return float(said.isupper())
    if re.search(r"lower-?\s?case", text):
        return float(said.islower())
    if match := re.search(rf"({'|'.join(NUMBER_WORDS)}|\d+) words?\b", text):
        return float(_length_met(text, _number(match[1]), len(said.split())))
    if re.search(r"\byes\b.*\bno\b", text):
        return float(match_yes_no({"prediction": said}) != "Unknown")
    if re.search(r"\b(number|count|how many)\b", text):
        return float(any(word.isdigit() for word in _words(said)))
    wanted = {word for word in _words(component) if len(word) > 3}
    return len(wanted & set(_words(said))) / len(wanted) if wanted else 1.0


def _number(word: str) -> int:
    return int(word) if word.isdigit() else NUMBER_WORDS.index(word)


def _quotes_met(text: str, quoted: list[str], said: str) -> bool:
    """Whether a prediction starts with, ends with, holds or avoids what a component quotes."""
    first, lower = quoted[0].lower(), said.lower()
    if re.search(r"\b(start|begin)", text):
        return lower.startswith(first)
    if re.search(r"\bends?\b", text):
        return lower.rstrip(".").endswith(first)
    held = [_holds(said, part) if _words(part) else part in said for part in quoted]
    return not any(held) if re.search(r"\b(not|without|avoid|avoids|never)\b", text) else all(held)


def _length_met(text: str, limit: int, have: int) -> bool:
    if "at least" in text:
        return have >= limit
    return have <= limit if re.search(r"at most|no more|up to|fewer|less", text) else have == limit


def mia_score(data: dict[str, Any]) -> str:
    """One sentence with a score for each component and the total, as the benchmark's parser reads it (whole numbers)."""
    weights = [int(w) for w in data["weights"]]
    scores = [
        round(w * _meets(str(c), str(data["prediction"]))) for c, w in zip(data["components"], weights, strict=True)
    ]
    pieces = [f"The score of component {i}: {s}/{w}" for i, (s, w) in enumerate(zip(scores, weights, strict=True), 1)]
    return ", ".join([*pieces, f"total score: {sum(scores)}/{sum(weights)}"]) + "."


_JUDGES: dict[str, tuple[Callable[[dict[str, Any]], str], tuple[str, ...]]] = {
    "match_option": (match_option, ("options", "prediction")),
    "match_yes_no": (match_yes_no, ("prediction",)),
    "blink_yes_no": (blink_yes_no, ("options", "answer", "prediction")),
    "extract_answer": (extract_answer, ("prediction",)),
    "mia_score": (mia_score, ("components", "weights", "prediction")),
    "judge_answer": (judge_answer, ("answer", "prediction")),
    "judge_same": (judge_same, ("original", "prediction")),
}
"""Each task's judge, and the fields of ``data`` that it reads."""


class BadData(ValueError):
    """A field of a request's ``data`` is missing or not of the form that the task needs."""


def reply(task: str, data: dict[str, Any]) -> str:
    """The judge's text. Raises `BadData`."""
    judge, fields = _JUDGES[task]
    if missing := [field for field in fields if field not in data]:
        raise BadData(f"{task} needs {', '.join(missing)}")
    try:
        return judge(data)
    except (TypeError, ValueError) as error:
        raise BadData(f"{task}: {error}") from error
