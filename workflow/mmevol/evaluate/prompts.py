"""From a benchmark's row to what a model is asked.

``plain``: the question as the file has it, options as in training (`mmevol.records.turns`), nothing else. ``reference``: what
the reference's own inference code asks: a hint, ``Question:`` and ``Options:``, after everything the demand of a single word or
phrase, and its limits. Its system messages reach the model only where several pictures go with a question (`system`); the slip by
which MMMU's first picture is lost among several is not copied. Source: the reference's model wrappers and LLaVA's question files.
"""

from collections.abc import Mapping
from typing import Any, Literal

from mmevol.records import LETTERS, QA, turns

Style = Literal["plain", "reference"]

YES_NO = "Please answer yes or no."
SHORT = "Answer the question using a single word or phrase."
CHECK = SHORT + " Check carefully to make sure your answer is correct."
SELECT = (
    "Read the question and its options, and select the letter of the right option. Do not give an explanation."
    "\nPlease just indicate your choice."
)
DIRECT = "Answer the question directly."
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
"""How the reference's Qwen2 wrapper names the pictures of MMMU."""

CHOICES = ("MMStar", "AI2D_TEST", "BLINK", "RealWorldQA", "MMMU_DEV_VAL")
TOKENS = dict.fromkeys(CHOICES, 1224) | dict.fromkeys(("MME", "POPE", "HallusionBench"), 1027)
"""Tokens of an answer, at most, in the reference; `OTHERS` for the other benchmarks."""
OTHERS = 1024

STATED = "The answer format (do not generate any other content): The answer is <answer>."


def options_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The options of a table's row, letter to text; an empty cell is no option."""
    return {letter: row[letter] for letter in LETTERS if row.get(letter)}


def prompt(benchmark: str, row: Mapping[str, Any], style: Style, chat: str = "") -> str:
    """The text for one row, without any mark for the picture.

    `row`: a row of ``data.tsv``, or a question of the benchmark's JSON file (``question`` or, for MIA-Bench, ``instruction``).
    `chat`: the model's chat layout; the reference words MMMU otherwise for ``qwen2``.
    """
    if benchmark == "MIA-Bench":
        return str(row["instruction"])
    question = str(row["question"])
    return _plain(benchmark, question, row) if style == "plain" else _reference(benchmark, question, row, chat)


def system(benchmark: str, row: Mapping[str, Any], pictures: int, style: Style) -> str:
    """What the system message says beyond the model's own words: the reference's instruction, where it reaches the model."""
    if style == "plain" or pictures < 2 or benchmark not in CHOICES or benchmark == "MMMU_DEV_VAL":
        return ""
    return SELECT if options_of(row) else DIRECT


def tokens(benchmark: str) -> int:
    """How long an answer may be in the reference."""
    return TOKENS.get(benchmark, OTHERS)


def _plain(benchmark: str, question: str, row: Mapping[str, Any]) -> str:
    if benchmark == "MMMU_DEV_VAL":
        question = question.replace("<image 1>", "").strip() if "<image 2>" not in question else _numbered(question)
    question = question.replace(YES_NO, "").strip()
    if hint := row.get("hint"):
        question = f"{hint}\n{question}"
    options = list(options_of(row).values())
    if not options:
        return question
    return turns(QA(question=question, answer=options[0], options=options))[0]


def _reference(benchmark: str, question: str, row: Mapping[str, Any], chat: str) -> str:
    match benchmark:
        case "VQA_v2" | "GQA":
            return f"{question}\n{SHORT}"
        case "MMSInst":
            return question + STATED
        case "HallusionBench":
            return _checked(f"{question} Yes or No?")
        case "MME" | "POPE" | "MathVista_MINI":
            return _checked(question)
    options = options_of(row)
    text = f"Hint: {row['hint']}\n" if row.get("hint") else ""
    text += f"Question: {question}\n"
    if options:
        text += "Options:\n" + "".join(f"{letter}. {option}\n" for letter, option in options.items())
    if benchmark == "MMMU_DEV_VAL":
        text = f"{SELECT if options else DIRECT}\n{_numbered(text, ordinal=chat == 'qwen2')}"
    return _checked(text.rstrip("\n"))


def _numbered(text: str, *, ordinal: bool = False) -> str:
    """``<image 2>`` as ``image 2``, or ``the second image``: the pictures themselves come first."""
    for number, name in enumerate(ORDINALS, 1):
        text = text.replace(f"<image {number}>", f"the {name} image" if ordinal else f"image {number}")
    return text


def _checked(text: str) -> str:
    """The demand of a short answer in the place of the benchmark's own sentence, or at the end."""
    return text.replace(YES_NO, CHECK) if YES_NO in text else f"{text}\n{CHECK}"
