"""Benchmark judges by symbolic rules: which option a prediction means, yes or no, whether it is right, and what it says.

Each takes the fields of the request's ``data`` (question, options as [letter, text] pairs, answer, prediction; for ``mia_score``
instruction, components, weights, prediction) and gives the text that the benchmark's own parser reads.
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
    wants_number = str(data.get("answer_type", "")) in ("integer", "float") or bool(_NUMBER.search(prediction))
    if wants_number:
        numbers = _NUMBER.findall(prediction) or [w for w in _words(prediction) if w.isdigit()]
        return str(numbers[-1]).replace(",", "") if numbers else ""
    said = match_yes_no(data)
    if said != "Unknown":
        return said
    return prediction.rstrip(".").rsplit(" is ", 1)[-1].strip()


def _meets(component: str, prediction: str) -> float:
    """How far, 0 to 1, a prediction meets a component of an instruction: by the rule that its words name, else by shared words."""
    text, said = component.lower(), prediction.strip()
    quoted = re.findall(r"[\"'“‘]([^\"'”’]+)[\"'”’]", component)
    if not said:
        return 0.0
    if quoted:
        start, end = said.lower().startswith(quoted[0].lower()), said.lower().rstrip(".").endswith(quoted[0].lower())
        inside = all(part.lower() in said.lower() for part in quoted)
        negated = re.search(r"\b(not|without|avoid|never)\b", text)
        met = start if re.search(r"\b(start|begin)", text) else end if re.search(r"\bend", text) else inside
        return float(met != bool(negated))
    if re.search(r"capital|upper-?\s?case", text):
        return float(said.isupper())
    if re.search(r"lower-?\s?case", text):
        return float(said.islower())
    if match := re.search(r"(one|two|three|four|five|six|seven|eight|nine|ten|\d+) words?", text):
        count = int(match[1]) if match[1].isdigit() else NUMBER_WORDS.index(match[1])
        have = len(said.split())
        limit = have <= count if re.search(r"at most|no more|up to|fewer|less", text) else have == count
        return float(have >= count if "at least" in text else limit)
    if re.search(r"\byes\b.*\bno\b", text):
        return float(match_yes_no({"prediction": said}) != "Unknown")
    if "number" in text or "how many" in text or "count" in text:
        return float(any(w.isdigit() for w in _words(said)))
    wanted = {w for w in _words(component) if len(w) > 3}
    return len(wanted & set(_words(said))) / len(wanted) if wanted else 1.0


def mia_score(data: dict[str, Any]) -> str:
    """One sentence with a score for each component and the total, as the benchmark's parser reads it (whole numbers)."""
    weights = [int(w) for w in data["weights"]]
    scores = [
        round(w * _meets(str(c), str(data["prediction"]))) for c, w in zip(data["components"], weights, strict=True)
    ]
    pieces = [f"The score of component {i}: {s}/{w}" for i, (s, w) in enumerate(zip(scores, weights, strict=True), 1)]
    return ", ".join([*pieces, f"total score: {sum(scores)}/{sum(weights)}"]) + "."


_JUDGES: dict[str, Callable[[dict[str, Any]], str]] = {
    "match_option": match_option,
    "match_yes_no": match_yes_no,
    "blink_yes_no": blink_yes_no,
    "extract_answer": extract_answer,
    "mia_score": mia_score,
}


def reply(task: str, data: dict[str, Any]) -> str:
    """The judge's text. Raises `KeyError` where a field that the task needs is missing from ``data``."""
    return _JUDGES[task](data)
