"""MMSInst (multimodal self-instruct): accuracy of eight tasks, each in its own way lenient.

Source: the evaluator of the benchmark's authors. Two of its steps use language tools, a unit stripper and a synonym
test (`language`).
"""

import re
from collections import defaultdict
from typing import Any

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.language import Language
from mmevol.evaluate.scoring.result import Result, answered_mean, mean
from mmevol.evaluate.scoring.rouge import rouge_l

TASKS = ("chart", "table", "dashboard", "flowchart", "org", "layout", "iq", "maze")
TOLERANCE = 0.05
_STATED = re.compile(r"the answer is (.*?)(?:\.\s|$)")
_NUMBER = re.compile(r"\d[\d,]*\.?\d+")
_MARKER = re.compile(r"[A-Za-z]\d|\d[A-Za-z]")


def score_mmsinst(inputs: Inputs, panel: Panel) -> Result:
    """Accuracy per task in percent; summaries are left out and have ROUGE-L. Reported: the mean of the eight tasks."""
    markers = {row["question_id"]: row["markers"] for row in inputs.maze_data or []}
    language = Language(inputs.nlp_map, inputs.files.get("nlp_map", "nlp_map.json"))
    scores: dict[str, list[tuple[Any, float]]] = {task: [] for task in TASKS}
    summaries: dict[str, list[float]] = defaultdict(list)
    for row in inputs.predictions:
        task = row["source"]
        if task not in scores:
            raise inputs.bad(
                "predictions",
                f"source of {row['question_id']}",
                str(task),
                ", ".join(TASKS),
                "spell the task as listed",
            )
        if task == "maze":
            wanted = markers.get(row["question_id"], row.get("markers") or [])
            scores[task].append((row["question_id"], maze_score(row["text"], wanted)))
            continue
        said, truth = (language.without_units(_said(row["text"])), language.without_units(_truth(row["truth"])))
        if row["type"] == "SUMMARY":
            summaries[task].append(rouge_l(truth, said))
        else:
            scores[task].append((row["question_id"], float(agrees(said, truth, language))))
    accuracy = {
        task: None if not found else sum(v for _, v in found) / len(found) * 100 for task, found in scores.items()
    }
    absent = [task for task, value in accuracy.items() if value is None]
    overall = None if absent else mean([value for value in accuracy.values() if value is not None])
    answered = [
        question
        for found in scores.values()
        for question in answered_mean(
            [key for key, _ in found], [v for _, v in found], [str(key) for key, _ in found], weight=1 / len(TASKS)
        )
    ]
    return Result(
        metrics=accuracy,
        reported=overall,
        reported_name="mean of 8 tasks",
        rows=[[key, task, value] for task, found in scores.items() for key, value in found],
        answered=answered,
        extraction_failures=sum(not row["text"].strip() for row in inputs.predictions),
        notes=[f"no row of {', '.join(absent)}: the official code gives no number"] if absent else [],
        extra={"summary_rouge_l": {task: mean(values) for task, values in summaries.items()}},
    )


def _stated(text: str) -> str:
    text = text.strip().lower()
    found = _STATED.search(text)
    return found[1] if found else text


def _said(text: str) -> str:
    """The stated answer of a reply, without up to two final full stops, a percent sign and a degree sign."""
    text = _stated(text)
    return text.removesuffix(".").removesuffix(".").removesuffix("%").removesuffix("°c")


def _truth(text: str) -> str:
    return _stated(text).removesuffix(".").removesuffix("%").removesuffix("°c")


def agrees(said: str, truth: str, language: Language) -> bool:
    """Whether a prepared prediction is right; the first rule that applies decides."""
    wanted, number = _float(truth), _float(said)
    if wanted is not None:
        numbers = ([] if number is None else [number]) + [
            float(each.replace(",", "")) for each in _NUMBER.findall(said)
        ]
        return any(abs(each - wanted) <= TOLERANCE * abs(wanted) for each in numbers)
    if {said, truth} & set("abcd") or (truth.startswith("[") and truth.endswith("]")):
        return said == truth
    if truth.startswith("(") and truth.endswith(")"):
        return _NUMBER.findall(said) == [truth[1], truth[-2]]
    return truth in said or (said != "" and (said in truth or language.synonyms(said, truth)))


def maze_score(reply: str, markers: list[str]) -> float:
    """The share of the question's markers (letter and digit, either first) that the reply names; 0 of none."""
    if not markers:
        return 0.0
    return len(set(_MARKER.findall(reply)) & set(markers)) / len(markers)


def _float(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
