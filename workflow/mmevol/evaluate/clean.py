"""Scores without the rows that overlap with what an arm was trained on, by the same scorers as the whole scores."""

import json
from collections.abc import Set
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmevol.config import Run
from mmevol.config.commands import CleanSettings
from mmevol.evaluate.judging import live
from mmevol.evaluate.overlap import KINDS
from mmevol.evaluate.scoring.inputs import COLUMNS, Inputs, read_inputs
from mmevol.evaluate.scoring.score import score
from mmevol.progress import Heartbeat
from mmevol.store import write_json


def clean(settings: CleanSettings, *, run: Run, overlaps: Path, evaluate: Path, data: Path, out: Path) -> None:
    """Write into `out` (JSON) for every arm and benchmark the reported number over the rows without overlap, and how many they
    are, of each training run; nothing where no row overlaps.

    `overlaps`: what `contamination` wrote; `evaluate`: folder of ``<arm>/seed_<k>/<benchmark>/predictions.jsonl``. A live judge was
    asked of the whole before, so its answers come from the reply store; but a column of answers that is all numbers without the
    rows reads otherwise in the kit's spreadsheet (2 as 2.0), and then it is asked anew. ``usage.json`` beside `out` says so.
    """
    found = json.loads(overlaps.read_text(encoding="utf-8"))["overlaps"]
    usage = out.with_name("usage.json")
    scores: dict[str, dict[str, Any]] = {arm: {} for arm in settings.arms}
    with Heartbeat(run, job="evaluate/clean", total=len(settings.benchmarks) * len(settings.arms)) as beat:
        for name in settings.benchmarks:
            judge = settings.judges.get(name)
            with live(judge, run, name, data / name, usage) if judge else nullcontext(None) as judges:
                for arm, (mixture, seeds) in settings.arms.items():
                    over = {key for kind in KINDS for key in found[mixture][name][kind]}
                    reported, left = [], []
                    for seed in seeds if over else ():
                        path = evaluate / arm / f"seed_{seed}" / name / "predictions.jsonl"
                        kept = without(name, read_inputs(name, data / name, {"predictions": path}), over)
                        left.append(len(kept.predictions))
                        reported.append(score(name, settings.rules, kept, judges).reported if left[-1] else None)
                    scores[arm][name] = {"reported": reported, "n": left}
                    beat.advance()
    write_json(out, scores)


def without(benchmark: str, inputs: Inputs, keys: Set[str]) -> Inputs:
    """The inputs without the rows of these keys (`benchmarks.Row.key`). Of MME both questions about a picture go together; those
    of BLINK are numbered anew, since the reference's copy of the kit wants them numbered 1 to n."""
    if benchmark in COLUMNS:
        if benchmark == "MME":
            left_out = {row["image_path"] for row in inputs.data if row["index"] in keys}
            keys = {row["index"] for row in inputs.data if row["image_path"] in left_out}
        data = [row for row in inputs.data if row["index"] not in keys]
        predictions = [row for row in inputs.predictions if str(row["index"]) not in keys]
        if benchmark == "BLINK":
            number = {row["index"]: str(n) for n, row in enumerate(data, 1)}
            data = [row | {"index": number[row["index"]]} for row in data]
            predictions = [row | {"index": int(number[str(row["index"])])} for row in predictions]
        return replace(inputs, data=data, predictions=predictions)
    if benchmark == "MIA-Bench":
        kept = [at for at in range(len(inputs.questions)) if str(at) not in keys]
        return replace(
            inputs,
            questions=[inputs.questions[at] for at in kept],
            predictions=[inputs.predictions[at] for at in kept],
        )
    if benchmark == "MMSInst":
        rows = [row for row in inputs.predictions if f"{row['source']}/{row['question_id']}" not in keys]
        return replace(inputs, predictions=rows)
    predictions = [row for row in inputs.predictions if str(row["question_id"]) not in keys]
    if benchmark == "GQA":
        asked = {key: question for key, question in inputs.questions.items() if key not in keys}
        return replace(inputs, questions=asked, predictions=predictions)
    return replace(
        inputs,
        questions=inputs.questions | {"questions": _others(inputs.questions["questions"], keys)},
        annotations=inputs.annotations and {"annotations": _others(inputs.annotations["annotations"], keys)},
        predictions=predictions,
    )


def _others(rows: Any, keys: Set[str]) -> list[dict[str, Any]]:
    return [row for row in rows if str(row["question_id"]) not in keys]
