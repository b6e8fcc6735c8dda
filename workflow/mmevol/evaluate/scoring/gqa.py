"""GQA: the authors' evaluation with LLaVA's conversion of answers.

Source: eval.py of GQA, with LLaVA's change that validity and plausibility are 0 where the choices file is not there.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.judge import Panel
from mmevol.evaluate.scoring.result import Result, answered_mean, mean

_NO_STEP = ("exist", "query: name", "choose name")
_COMMON = ("color", "material", "shape")


def converted(answer: str) -> str:
    """A model's answer as it is compared: all full stops at the end gone, lower case."""
    return answer.rstrip(".").lower()


def score_gqa(inputs: Inputs, panel: Panel) -> Result:
    """Percent, unrounded, over balanced questions: accuracy, also of binary and open ones and per type, and the rest.

    The rest: validity, plausibility, and the distance of the distributions of answers. Consistency only where
    ``inputs.consistency`` asks for it: it needs predictions for the unbalanced questions too.
    """
    questions: dict[str, dict[str, Any]] = inputs.questions
    said = {str(row["question_id"]): converted(row["text"]) for row in inputs.predictions}
    balanced = {key: question for key, question in questions.items() if question["isBalanced"]}
    for key in balanced:
        if key not in said:
            raise inputs.bad(
                "predictions",
                "question_id",
                f"no prediction for {key}",
                "one for every balanced question, as the official code does",
                "predict the rest",
            )
    right = {key: float(said[key] == question["answer"]) for key, question in balanced.items()}
    metrics = _accuracies(balanced, right)
    if inputs.consistency:
        metrics["consistency"] = _percent(_consistency(inputs, balanced, said))
    metrics["validity"] = _percent(_belonging(inputs, balanced, said, "valid"))
    metrics["plausibility"] = _percent(_belonging(inputs, balanced, said, "plausible"))
    metrics["distribution"] = _distribution(balanced, said)
    return Result(
        metrics=metrics,
        reported=metrics["accuracy"] if right else None,
        reported_name="accuracy",
        rows=[[key, said[key], int(value)] for key, value in right.items()],
        answered=answered_mean(
            list(right), list(right.values()), [str(question["imageId"]) for question in balanced.values()]
        ),
        n_missing=sum(key not in said for key in questions),
        extraction_failures=sum(not said[key] for key in balanced),
        notes=[] if right else ["no balanced question"],
    )


def _accuracies(balanced: Mapping[str, dict[str, Any]], right: Mapping[str, float]) -> dict[str, Any]:
    """Overall, of binary and open questions, and ``[percent, count]`` per type, number of steps and length in words."""
    groups: dict[str, dict[str, list[float]]] = {
        "accuracyPerStructuralType": defaultdict(list),
        "accuracyPerSemanticType": defaultdict(list),
        "accuracyPerSteps": defaultdict(list),
        "accuracyPerLength": defaultdict(list),
    }
    for key, question in balanced.items():
        types = question["types"]
        names = (types["structural"], types["semantic"], str(_steps(question)), str(len(question["question"].split())))
        for group, name in zip(groups.values(), names, strict=True):
            group[name].append(right[key])
    structural = groups["accuracyPerStructuralType"]
    binary = [value for name, values in structural.items() if name != "query" for value in values]
    metrics: dict[str, Any] = {
        "binary": _percent(binary),
        "open": _percent(structural.get("query", [])),
        "accuracy": _percent(list(right.values())),
    }
    return metrics | {
        name: {group: [_percent(values), len(values)] for group, values in found.items()}
        for name, found in groups.items()
    }


def _percent(values: list[float]) -> float:
    return (mean(values) or 0.0) * 100


def _steps(question: Mapping[str, Any]) -> int:
    steps = (f"{step['operation']}: {step['argument']}" for step in question["semantic"])
    return sum(not any(name in step for name in _NO_STEP) for step in steps)


def _consistency(inputs: Inputs, balanced: Mapping[str, dict[str, Any]], said: Mapping[str, str]) -> list[float]:
    """Of each rightly answered question, the share of the questions it entails that are right too."""
    shares = []
    for key, question in balanced.items():
        entailed = [other for other in question["entailed"] if other != key]
        if said[key] != question["answer"] or not entailed:
            continue
        for other in entailed:
            for part, known in (("questions", inputs.questions), ("predictions", said)):
                if other not in known:
                    raise inputs.bad(
                        part,
                        "question_id",
                        f"nothing for {other}, entailed by {key}",
                        "all questions, balanced or not, and their predictions",
                        "use the files with all questions, or leave consistency out",
                    )
        shares.append(sum(said[other] == inputs.questions[other]["answer"] for other in entailed) / len(entailed))
    return shares


def _belonging(
    inputs: Inputs, balanced: Mapping[str, dict[str, Any]], said: Mapping[str, str], which: str
) -> list[float]:
    """Whether each answer is in its question's list, or, where the detailed type holds ``Common``, in `_COMMON`."""
    if inputs.choices is None:
        return []
    found = []
    for key, question in balanced.items():
        if key not in inputs.choices:
            raise inputs.bad(
                "choices", key, "nothing", f"the {which} answers of every balanced question", "use files of one split"
            )
        group = _COMMON if "Common" in question["types"]["detailed"] else inputs.choices[key][which]
        found.append(float(said[key] in group))
    return found


def _distribution(balanced: Mapping[str, dict[str, Any]], said: Mapping[str, str]) -> float:
    """Chi-squared distance of predicted from gold answers in each global group, weighted by its size, over 100."""
    gold: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    predicted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, question in balanced.items():
        group = question["groups"]["global"]
        if group is not None:
            gold[group][question["answer"]] += 1
            predicted[group][said[key]] += 1
    weighted, total = 0.0, 0
    for group, answers in gold.items():
        size = sum(answers.values())
        distance = sum((predicted[group].get(answer, 0) - count) ** 2 / count for answer, count in answers.items())
        weighted, total = weighted + distance * size, total + size
    return weighted / total / 100 if total else 0.0
