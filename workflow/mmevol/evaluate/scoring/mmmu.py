"""MMMU by its authors' rules: parsing choice replies to letters and open replies to sets of values.

Source: the evaluation code of MMMU's authors. Where they draw a letter at random, here the row is unparsed and wrong:
their draw depends on all draws before it.
"""

import json
import math
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.result import Result, answered_mean, mean
from mmevol.evaluate.scoring.spreadsheet import text
from mmevol.evaluate.scoring.table import Row, literal_table

DOMAINS = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture",
        "Architecture_and_Engineering",
        "Computer_Science",
        "Electronics",
        "Energy_and_Power",
        "Materials",
        "Mechanical_Engineering",
    ),
}
SUBJECTS = frozenset(subject for subjects in DOMAINS.values() for subject in subjects)

_OUTER_MARKS = ",.!?;:'"
_CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_BARE_MARKS = frozenset((":", ",", ".", "!", "?", ";", "'"))
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)

Value = float | str


def parse_choice(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter of a reply, None where there is none.

    A bracketed letter before one between blanks before, in replies of more than five words, an option's text; of
    several the one whose last place is latest, of equals the first option.
    """
    reply = reply.strip()
    for mark in _OUTER_MARKS:
        reply = reply.strip(mark)
    reply = f" {reply} "
    places = {letter: reply.rfind(f"({letter})") for letter in options}
    if max(places.values(), default=-1) < 0:
        places = {letter: reply.rfind(f" {letter} ") for letter in options}
    if max(places.values(), default=-1) < 0 and len(reply.split()) > 5:
        lowered = reply.lower()
        places = {letter: lowered.rfind(option.lower()) for letter, option in options.items()}
    latest = max(places.values(), default=-1)
    return next((letter for letter, place in places.items() if place == latest), None) if latest >= 0 else None


def parse_open(reply: str) -> list[Value]:
    """The values of a reply to an open question, each once: numbers ascending, then texts in code-point order."""
    keys = _key_texts(reply)
    values = {value for key in keys for found in (key, *_numbers(key)) for value in normalise(found)}
    return sorted_values(values)


def sorted_values(values: Iterable[Value]) -> list[Value]:
    """Numbers ascending, then texts."""
    values = list(values)
    numbers = sorted(value for value in values if not isinstance(value, str))
    return [*numbers, *sorted(value for value in values if isinstance(value, str))]


def _key_texts(reply: str) -> list[str]:
    """What follows a cue word in each line, the shortest of each line; the whole reply where no line has one."""
    whole = reply.strip().strip(".").lower()
    lines = whole.split("\n")
    keys = []
    for number, line in enumerate(lines):
        key = ""
        for cue in (*_CUES, "=") if number == len(lines) - 1 else _CUES:
            if cue in line:
                proposed = line.rsplit(cue, 1)[1].strip()
                if not key or len(proposed) < len(key):
                    key = proposed
        if key and key not in _BARE_MARKS:
            keys.append(key)
    return keys or [whole]


def _numbers(key: str) -> list[str]:
    return [found for pattern in _NUMBERS for found in pattern.findall(key)]


def normalise(value: str) -> list[Value]:
    """A number rounded to 2 decimals, else lower-cased text; a single character becomes two, a blank before or after."""
    value = value.strip()
    try:
        return [round(float(value.replace(",", "")), 2)]
    except ValueError:
        value = value.lower()
        return [f" {value}", f"{value} "] if len(value) == 1 else [value]


def open_is_right(values: Sequence[Value], answers: Sequence[str]) -> bool:
    """Whether a text value contains a gold text, or a number equals a gold number."""
    gold = [value for answer in answers for value in normalise(answer)]
    texts = [value for value in gold if isinstance(value, str)]
    numbers = [value for value in gold if not isinstance(value, str)]
    return any(
        any(each in value for each in texts) if isinstance(value, str) else any(value == each for each in numbers)
        for value in values
    )


def score_mmmu_authors(inputs: Inputs, panel: Panel) -> Result:
    """Fractions per split: Overall, ``Overall-<domain>``, subjects, pooled over rows. Reported: validation in percent.

    Rows of other than the 30 subjects are in ``rows`` and in no metric.
    """
    table = literal_table(inputs)
    parsed = [_parse(row) for row in table.rows]
    correct = [_is_right(row, value) for row, value in zip(table.rows, parsed, strict=True)]
    counted = [at for at, row in enumerate(table.rows) if _subject(row) in SUBJECTS]
    splits: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for at in counted:
        splits[_split(table.rows[at])][_subject(table.rows[at])].append(correct[at])
    validation = [at for at in counted if _split(table.rows[at]) == "validation"]
    overall = mean([correct[at] for at in validation])
    return Result(
        metrics={split: _pooled(subjects) for split, subjects in splits.items()},
        reported=None if overall is None else overall * 100,
        reported_name="validation Overall",
        rows=[[row.index, _finite(value), hit] for row, value, hit in zip(table.rows, parsed, correct, strict=True)],
        answered=answered_mean(
            [table.rows[at].key for at in validation],
            [float(correct[at]) for at in validation],
            [table.rows[at].image for at in validation],
        ),
        n_missing=table.missing,
        extraction_failures=sum(value is None for value in parsed),
        notes=[] if validation else ["no row of split validation"],
        extra={"num": {split: {name: len(hits) for name, hits in found.items()} for split, found in splits.items()}},
    )


def _pooled(subjects: Mapping[str, list[int]]) -> dict[str, float | None]:
    metrics = {"Overall": mean([hit for hits in subjects.values() for hit in hits])}
    for domain, members in DOMAINS.items():
        hits = [hit for subject in members for hit in subjects.get(subject, [])]
        if hits:
            metrics[f"Overall-{domain}"] = mean(hits)
    return metrics | {subject: mean(subjects[subject]) for subject in sorted(subjects)}


def _parse(row: Row) -> str | list[Value] | None:
    reply = "" if row.prediction is None else str(row.prediction)
    if not _is_choice(row):
        return parse_open(reply)
    options = {letter: str(row.cells[letter]) for letter in string.ascii_uppercase if row.cells.get(letter) is not None}
    return parse_choice(reply, options)


def _finite(parsed: str | list[Value] | None) -> str | list[Value] | None:
    """As JSON can hold it: infinities and nan as texts."""
    if not isinstance(parsed, list):
        return parsed
    return [value if isinstance(value, str) or math.isfinite(value) else str(value) for value in parsed]


def _is_right(row: Row, parsed: Any) -> int:
    answers = _answers(text(row.cells["answer"]))
    return int(parsed in answers if _is_choice(row) else open_is_right(parsed, answers))


def _is_choice(row: Row) -> bool:
    if "question_type" in row.cells:
        return row.cells["question_type"] == "multiple-choice"
    return row.cells["A"] is not None


def _answers(answer: str) -> list[str]:
    """One answer, or the list that a cell holds as JSON."""
    if answer.startswith("["):
        try:
            return [str(each) for each in json.loads(answer)]
        except json.JSONDecodeError:
            return [answer]
    return [answer]


def _subject(row: Row) -> str:
    """``validation_Art_Theory_3`` is of ``Art_Theory``; without ids the category."""
    if row.cells.get("id") is None:
        return text(row.cells.get("category"))
    return "_".join(str(row.cells["id"]).split("_")[1:-1])


def _split(row: Row) -> str:
    return text(row.cells.get("split"))
