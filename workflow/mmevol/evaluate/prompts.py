"""From a benchmark's row to the text that a model is asked.

``plain``: the question as the file has it, options as in training (`mmevol.records.turns`), nothing else. ``reference``:
what the reference's own inference code asks (a hint, ``Question:`` and ``Options:``, and after everything the demand of a
single word or phrase), without system messages of its own, which in the reference never reach the model for one picture.
Source: the reference's model wrappers and LLaVA's question files.
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
STATED = "The answer format (do not generate any other content): The answer is <answer>."


def options_of(row: Mapping[str, Any]) -> dict[str, str]:
    """The options of a table's row, letter to text; an empty cell is no option."""
    return {letter: row[letter] for letter in LETTERS if row.get(letter)}


def prompt(benchmark: str, row: Mapping[str, Any], style: Style) -> str:
    """The text for one row, without any mark for the picture.

    `row`: a row of ``data.tsv``, or a question of the benchmark's JSON file (``question`` or, for MIA-Bench, ``instruction``).
    """
    if benchmark == "MIA-Bench":
        return str(row["instruction"])
    question = str(row["question"])
    return _plain(benchmark, question, row) if style == "plain" else _reference(benchmark, question, row)


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


def _reference(benchmark: str, question: str, row: Mapping[str, Any]) -> str:
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
        text = f"{SELECT if options else DIRECT}\n{_numbered(text)}"
    return _checked(text.rstrip("\n"))


def _numbered(text: str) -> str:
    """``<image 2>`` as ``image 2``: the pictures themselves come first."""
    for number in range(1, 8):
        text = text.replace(f"<image {number}>", f"image {number}")
    return text


def _checked(text: str) -> str:
    """The demand of a short answer in the place of the benchmark's own sentence, or at the end."""
    return text.replace(YES_NO, CHECK) if YES_NO in text else f"{text}\n{CHECK}"
