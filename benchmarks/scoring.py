"""CPU seconds and memory of scoring a benchmark at its real size, reading the files included, imports apart.

Each figure is a process of its own (``python benchmarks/scoring.py BENCHMARK FOLDER RULES``). The rows are like the benchmark's:
its columns, questions of a sentence, replies from a letter to a sentence; pictures by path, as in a table that was unpacked.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peak import peak_mb

KIT_SECONDS = {"MMStar": 10.1, "POPE": 6.84}
"""What VLMEvalKit takes for the same rows on a machine of two cores, in its faster copy."""

REPLIES = (
    *("A", "(B)", "The answer is C.", "Yes", "no.", "I think that it shows a red umbrella", "Yes, there is one."),
    "Looking closely at the picture, there is no such thing, so the answer must be: No",
)
NOUNS = ("umbrella", "car", "dog", "table", "window", "bridge", "horse", "street")
CHOICES = {name: NOUNS[at] for at, name in enumerate("ABCD")} | {"answer": "A", "category": "coarse perception"}
YES_NO = {"answer": "Yes", "category": "random,popular"}
MME_TASKS = (
    *("OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene"),
    *("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation"),
)
TABLES: dict[str, tuple[int, Callable[[int], dict[str, str]]]] = {
    "MMStar": (3_000, lambda at: CHOICES),
    "AI2D_TEST": (3_088, lambda at: CHOICES),
    "RealWorldQA": (765, lambda at: CHOICES),
    "BLINK": (1_901, lambda at: CHOICES | {"index": str(at + 1), "category": "Jigsaw"}),
    "MMMU_DEV_VAL": (1_050, lambda at: CHOICES | {"split": ("validation", "dev")[at % 2], "l2-category": "Science"}),
    "MME": (2_374, lambda at: YES_NO | {"category": MME_TASKS[at // 2 % 14], "image_path": f"{at // 2}.jpg"}),
    "POPE": (9_000, lambda at: YES_NO),
    "HallusionBench": (
        951,
        lambda at: YES_NO | {"index": f"HB_VD_map_{at}_1_0", "category": "VD", "l2-category": "map"},
    ),
    "MathVista_MINI": (
        1_000,
        lambda at: {
            **{
                "question_type": "free_form",
                "answer_type": "integer",
                "choices": "",
                "answer": "14",
                "answer_option": "",
            },
            **{"task": "geometry", "skills": "['arithmetic', 'statistics']"},
        },
    ),
}
VQA, GQA, MIA, SELF_INSTRUCT = 214_354, 12_578, 400, 1_000


def table(folder: Path, benchmark: str, rows: int, draw: random.Random) -> None:
    """A benchmark that comes as a table, without judge (MathVista: with recorded extractions)."""
    made = [
        {"index": str(at), "question": f"Is there a {draw.choice(NOUNS)} in the picture?"} | TABLES[benchmark][1](at)
        for at in range(rows)
    ]
    lines = ["\t".join(made[0]), *("\t".join(row.values()) for row in made)]
    (folder / "data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    said = ({"index": row["index"], "prediction": f"{draw.choice(REPLIES)} {at % 97}"} for at, row in enumerate(made))
    json_lines(folder / "predictions.jsonl", said)
    if benchmark == "MathVista_MINI":
        replies = {"kind": "mathvista_extract", "replies": {row["index"]: ["14"] for row in made}}
        (folder / "judge.json").write_text(json.dumps(replies), encoding="utf-8")


def json_lines(path: Path, rows: Any) -> None:
    """One object a line."""
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def vqa(folder: Path, rows: int, draw: random.Random) -> None:
    """Questions, ten references each, and predictions."""
    questions = [
        {"image_id": at // 5, "question": f"What is beside the {draw.choice(NOUNS)}?", "question_id": at}
        for at in range(rows)
    ]
    (folder / "questions.json").write_text(json.dumps({"questions": questions}), encoding="utf-8")
    with open(folder / "annotations.json", "w", encoding="utf-8") as file:
        file.write('{"annotations": [')
        for at in range(rows):
            answers = [{"answer": draw.choice(NOUNS), "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]
            row = {"question_type": f"what {at % 65}", "multiple_choice_answer": "car", "answers": answers}
            row |= {"image_id": at // 5, "answer_type": "other", "question_id": at}
            file.write((", " if at else "") + json.dumps(row))
        file.write("]}")
    json_lines(
        folder / "predictions.jsonl",
        ({"question_id": at, "text": f"The {draw.choice(NOUNS)}."} for at in range(rows)),
    )


def gqa(folder: Path, rows: int, draw: random.Random) -> None:
    """The balanced questions of testdev with their programs."""
    questions = {
        str(at): {
            **{
                "question": f"What is left of the {draw.choice(NOUNS)}?",
                "answer": draw.choice(NOUNS),
                "isBalanced": True,
            },
            **{"entailed": [str(at)], "types": {"structural": "query", "semantic": "rel", "detailed": "relO"}},
            **{"groups": {"global": draw.choice(NOUNS), "local": None}, "imageId": str(at // 30)},
            "semantic": [{"operation": "select", "argument": "x"}, {"operation": "query", "argument": "name"}],
        }
        for at in range(rows)
    }
    (folder / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    json_lines(
        folder / "predictions.jsonl",
        ({"question_id": str(at), "text": f"{draw.choice(NOUNS)}."} for at in range(rows)),
    )


def mia(folder: Path, rows: int, draw: random.Random) -> None:
    """Items of three components and the judge's recorded sentences."""
    item = {"instruction": "Describe it.", "components": ["c"] * 3, "component_weight": [3, 3, 4]}
    item |= {"type": "x", "component_type": ["describe", "length", "mention"], "num_of_component": 3}
    items = [{"image": f"https://example.org/{at}.jpg"} | item for at in range(rows)]
    (folder / "questions.json").write_text(json.dumps(items), encoding="utf-8")
    json_lines(folder / "predictions.jsonl", ({"question_id": each["image"], "text": "it"} for each in items))
    said = ["score of component 1: 2/3, score of component 2: 3/3, score of component 3: 1/4, total score: 6/10."]
    replies = {"kind": "mia_raw_score", "replies": said * rows}
    (folder / "judge.json").write_text(json.dumps(replies), encoding="utf-8")


def self_instruct(folder: Path, rows: int, draw: random.Random) -> None:
    """The eight tasks over a closed vocabulary, so that no language tool is timed."""
    tasks = ("chart", "table", "dashboard", "flowchart", "org", "layout", "iq", "maze")
    json_lines(
        folder / "predictions.jsonl",
        (
            {
                **{
                    "question_id": at,
                    "text": f"The answer is {draw.randrange(99)} {draw.choice(NOUNS)}.",
                    "truth": "42",
                },
                **{"type": "DATA", "source": tasks[at % 8], "markers": ["A1"]},
            }
            for at in range(rows)
        ),
    )
    (folder / "nlp_map.json").write_text(json.dumps({"nouns": list(NOUNS)}), encoding="utf-8")


WRITERS = {"VQA_v2": (VQA, vqa), "GQA": (GQA, gqa), "MIA-Bench": (MIA, mia), "MMSInst": (SELF_INSTRUCT, self_instruct)}


def write(folder: Path, benchmark: str, rows: int) -> None:
    """The benchmark's files."""
    folder.mkdir(parents=True)
    draw = random.Random(5)
    if benchmark in TABLES:
        table(folder, benchmark, rows, draw)
    else:
        WRITERS[benchmark][1](folder, rows, draw)


def timed(benchmark: str, folder: Path, rules: str, rounds: int) -> dict[str, float]:
    """Medians over processes: CPU seconds of imports, of reading, scoring and writing, peak MB."""
    command = [sys.executable, __file__, benchmark, str(folder), rules]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(rounds)]
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


def measure(rounds: int = 3, size: float = 1.0) -> dict[str, Any]:
    """``size``: share of the real number of rows. ``linear_in_rows``: seconds a row of VQA_v2, whole against a quarter."""
    sizes = {name: rows for name, (rows, _) in (TABLES | WRITERS).items()}  # type: ignore[operator]
    with tempfile.TemporaryDirectory() as place:
        found: dict[str, dict[str, float]] = {}
        for name, whole in sizes.items():
            rows = max(8, round(whole * size))
            write(Path(place) / name, name, rows)
            found[name] = {"rows": rows, **timed(name, Path(place) / name, "mmevol", rounds)}
        for name in KIT_SECONDS:
            for rules in ("vlmevalkit-head", "authors"):
                found[f"{name} {rules}"] = {
                    "rows": found[name]["rows"],
                    **timed(name, Path(place) / name, rules, rounds),
                }
        quarter = max(8, round(VQA * size / 4))
        write(Path(place) / "quarter", "VQA_v2", quarter)
        small = timed("VQA_v2", Path(place) / "quarter", "mmevol", rounds)
    whole_vqa = found["VQA_v2"]
    return {
        "mmstar_s": found["MMStar"]["seconds"],
        "pope_s": found["POPE"]["seconds"],
        "vqa_s": whole_vqa["seconds"],
        "gqa_s": found["GQA"]["seconds"],
        "scoring_imports_s": max(figures["imports"] for figures in found.values()),
        "linear_in_rows": round(whole_vqa["seconds"] / whole_vqa["rows"] / (small["seconds"] / quarter), 3),
        "vqa_peak_mb": {str(quarter): small["peak_mb"], str(whole_vqa["rows"]): whole_vqa["peak_mb"]},
        "vs_kit": {name: round(found[name]["seconds"] / seconds, 3) for name, seconds in KIT_SECONDS.items()},
        "by_benchmark": found,
        "rounds": rounds,
    }


def main(benchmark: str, folder: Path, rules: Any) -> None:
    """Score once and print what it took."""
    began = time.process_time()
    from mmevol.evaluate.scoring.inputs import read_inputs
    from mmevol.evaluate.scoring.score import score
    from mmevol.store import write_json

    ready = time.process_time()
    result = score(benchmark, rules, read_inputs(benchmark, folder))
    write_json(folder / f"score.{rules}.json", dict(result))
    done = time.process_time()
    peak = peak_mb()
    print(json.dumps({"imports": ready - began, "seconds": done - ready, "peak_mb": peak}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
