"""VQA_v2: the answer processor of the submission, and the accuracy of the VQA evaluation code.

Source: the EvalAI answer processor that LLaVA's submission script uses; vqaEval of the VQA authors. On test-dev the
annotations are held by the server: there `submission` is the end of the way.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.result import Result, answered_mean
from mmevol.evaluate.scoring.yes_no import PERIODS_DELETED, PUNCTUATION

_PERIOD = re.compile(r"\.(?!\d)")
_COMMA = re.compile(r"\d,\d")
_COMMAS = re.compile(r"(?<=\d),+(?=\d)")
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_WORDS)}
_ARTICLES = frozenset(("a", "an", "the"))


@cache
def _contractions() -> dict[str, str]:
    table: dict[str, str] = json.loads(Path(__file__).with_name("vqa_contractions.json").read_text(encoding="utf-8"))
    return table


def _punctuation(answer: str, comma: re.Pattern[str]) -> str:
    decimal = comma.search(answer) is not None
    out = answer
    for mark in PUNCTUATION:
        if mark in answer:
            out = out.replace(mark, "" if decimal or mark + " " in answer or " " + mark in answer else " ")
    return _PERIOD.sub("", out, count=PERIODS_DELETED)


def _digits_and_articles(answer: str) -> str:
    words = (_NUMBERS.get(word, word) for word in answer.lower().split())
    contractions = _contractions()
    return " ".join(contractions.get(word, word) for word in words if word not in _ARTICLES)


@lru_cache(maxsize=65536)
def processed(answer: str) -> str:
    """A model's answer as it is submitted: lower case, without punctuation and articles, numbers as digits."""
    answer = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    return _digits_and_articles(_punctuation(answer, _COMMAS))


@lru_cache(maxsize=65536)
def _normal(answer: str) -> str:
    return _digits_and_articles(_punctuation(answer, _COMMA))


def _trimmed(answer: str) -> str:
    return answer.replace("\n", " ").replace("\t", " ").strip()


def submission(questions: Iterable[dict[str, Any]], predictions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The file that EvalAI takes: one processed answer a question, in the questions' order; a missing one is ''."""
    return [{"question_id": key, "answer": answer} for key, answer in _answers(questions, predictions)]


def _answers(
    questions: Iterable[dict[str, Any]], predictions: Iterable[dict[str, Any]]
) -> Iterator[tuple[int | str, str]]:
    said = {row["question_id"]: row["text"] for row in predictions}
    for question in questions:
        key = question["question_id"]
        yield key, processed(said.get(key, ""))


def submitted(inputs: Inputs) -> list[dict[str, Any]]:
    """The submission of all questions that the server wants answered: for test-dev those of test, nearly all of them with ''."""
    return submission(inputs.submitted or inputs.questions["questions"], inputs.predictions)


def accuracy(answer: str, references: list[dict[str, Any]]) -> float:
    """Mean over references of min(1, how many of the others agree with the answer / 3), 0 to 1.

    Where the references differ among themselves, they and the answer are normalised first; else they are compared as
    they are. "Others" are those that differ from the reference in any field.
    """
    answer = _trimmed(answer)
    texts = [_trimmed(reference["answer"]) for reference in references]
    if len(set(texts)) > 1:
        answer, texts = _normal(answer), [_normal(each) for each in texts]
    agreeing = texts.count(answer)
    if not agreeing:
        return 0.0
    total = 0.0  # added up one by one, as the official code does: the sum is rounded later
    for text, reference in zip(texts, references, strict=True):
        others = agreeing - _copies(text, reference, texts, references) if text == answer else agreeing
        total += min(1.0, others / 3)
    return total / len(references)


def _copies(text: str, reference: dict[str, Any], texts: list[str], references: list[dict[str, Any]]) -> int:
    """How many references are this one in all fields, itself included."""
    copies = 0
    for other_text, other in zip(texts, references, strict=True):
        if other_text == text and other.get("answer_id") == reference.get("answer_id"):
            copies += (other | {"answer": ""}) == (reference | {"answer": ""})
    return copies


def score_vqa(inputs: Inputs, panel: Panel) -> Result:
    """Accuracy of the processed submission in percent, rounded to 2 decimals: overall, per question and answer type.

    Of test-dev there is no number here: the answers are the server's.
    """
    questions = inputs.questions["questions"]
    answers = dict(_answers(questions, inputs.predictions))
    said = {row["question_id"] for row in inputs.predictions}
    if said and said.isdisjoint(answers):
        raise inputs.bad(
            "predictions",
            "question_id",
            f"{inputs.predictions[0]['question_id']!r} and others, none of them a question",
            "ids of the questions file, in its type",
            "give the predictions of this split",
        )
    if inputs.annotations is None:
        return _unscored(inputs, answers, said)
    keys, correct, images, failures, missing = [], [], [], 0, 0
    types: dict[str, dict[str, list[float]]] = {
        "perQuestionType": defaultdict(list),
        "perAnswerType": defaultdict(list),
    }
    for annotation in inputs.annotations["annotations"]:
        key = annotation["question_id"]
        if key not in answers:
            raise inputs.bad(
                "annotations", "question_id", str(key), "a question of the questions file", "use files of one split"
            )
        try:
            value = accuracy(answers[key], annotation["answers"])
        except (TypeError, KeyError, AttributeError, ZeroDivisionError) as error:
            found, expected = str(annotation["answers"])[:80], 'a list of {"answer": text, …}'
            remedy = "use the benchmark's official file"
            raise inputs.bad("annotations", f"{key}: answers", found, expected, remedy) from error
        keys.append(str(key))
        correct.append(value)
        failures += not answers[key]
        missing += key not in said
        images.append(intern(str(annotation["image_id"])))
        types["perQuestionType"][annotation["question_type"]].append(value)
        types["perAnswerType"][annotation["answer_type"]].append(value)
    metrics: dict[str, Any] = {"overall": round(100 * sum(correct) / len(correct), 2) if correct else None}
    for name, groups in types.items():
        metrics[name] = {group: round(100 * sum(values) / len(values), 2) for group, values in groups.items()}
    return Result(
        metrics=metrics,
        reported=metrics["overall"],
        reported_name="overall",
        rows={key: round(100 * value, 2) for key, value in zip(keys, correct, strict=True)},
        answered=answered_mean(keys, correct, images),
        n_missing=missing,
        extraction_failures=failures,
    )


def _unscored(inputs: Inputs, answers: dict[Any, str], said: set[Any]) -> Result:
    """What there is of a split whose annotations are not published."""
    split = str(inputs.questions.get("data_subtype", ""))
    if not split.startswith("test"):
        raise inputs.bad(
            "annotations",
            "annotations",
            "no such file",
            f"the annotations of {split or 'this split'}",
            "put it there or give its path with --annotations",
        )
    return Result(
        metrics={"overall": None},
        reported=None,
        reported_name="overall",
        rows={str(key): answer for key, answer in answers.items()},
        answered=[],
        n_missing=sum(key not in said for key in answers),
        extraction_failures=sum(not answer for answer in answers.values()),
        notes=[
            f"{split}: only EvalAI has the answers; upload submission.json there, or use the split val for a number"
        ],
    )
