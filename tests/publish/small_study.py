"""A small study as the rooms before would leave it: seeds with pictures, two evolutions, scores, loss curves."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmevol.config import BENCHMARKS, Eliminate, EliminateSettings, Evolution, Prices
from mmevol.config.commands import DatasetSettings
from mmevol.config.publish import ResultsSettings, RoundsSettings
from mmevol.endpoint.usage import Usage
from mmevol.evolve.ask import seed_versions
from mmevol.evolve.dataset import dataset
from mmevol.evolve.eliminate import eliminate
from mmevol.records import (
    QA,
    Candidate,
    Frontier,
    Object,
    Outcome,
    Reason,
    SeedRecord,
    Step,
    Verdict,
    Version,
    fraction,
    qa_id,
)
from mmevol.store import read_rows, shard_of, write_json, write_rows, write_text
from PIL import Image, ImageDraw

SHARDS = 2
LABELS = ("circle", "square", "triangle", "star", "wine glass")
COLORS = ("red", "blue", "green", "purple")
FAULTS = ("", "", "", "", "", "invented_box", "wrong_count", "copy")
FATE = {"invented_box": Reason.INVENTED_BOX, "wrong_count": Reason.UNFAITHFUL, "copy": Reason.NOT_IMPROVED}


def pick(values: Any, *key: str | int) -> Any:
    return values[int(fraction("test", *key) * len(values))]


def scene(index: int) -> SeedRecord:
    objects = []
    for n in range(2 + int(fraction("objects", index) * 4)):
        x, y = 0.05 + 0.24 * (n % 4), 0.1 + 0.45 * (n // 4) + 0.1 * fraction("y", index, n)
        box = (round(x, 3), round(y, 3), round(x + 0.18, 3), round(y + 0.2, 3))
        objects.append(
            Object(label=pick(LABELS, "l", index, n), bbox=box, attributes={"color": pick(COLORS, "c", index, n)})
        )
    first = objects[0]
    qas = [QA(question=f"What color is the {first.label}?", answer=first.attributes["color"])]
    if index % 2:
        qas.append(QA(question="How many objects are there?", answer=str(len(objects))))
    named = ", ".join(f"a {o.attributes['color']} {o.label}" for o in objects)
    return SeedRecord(
        key=f"scene_{index:05d}",
        id=str(index),
        image=f"{index:05d}.png",
        image_digest=f"{index:064x}",
        width=80,
        height=80,
        caption=f"The picture shows {named}.",
        objects=objects,
        qas=qas,
        curated=index % 5 == 0,
        source="world" if index % 3 else "photos",
        licence="CC0-1.0" if index % 3 else "CC-BY-2.0",
        attribution="" if index % 3 else "A. Photographer",
    )


def paint(record: SeedRecord, path: Path) -> None:
    image = Image.new("RGB", (80, 80), "#f2f2ee")
    pen = ImageDraw.Draw(image)
    for thing in record.objects:
        box = [round(c * 80) for c in thing.bbox]
        shape = pen.ellipse if thing.label == "circle" else pen.rectangle
        shape(box, fill=thing.attributes["color"])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def grown(parent: Version, round_: int, direction: str, fault: str) -> QA:
    """A richer question: a step and now and then a skill more than its parent's; a faulty copy stays as it was."""
    qa = parent.qa
    if fault == "copy":
        return qa.model_copy(update={"format": "Norm"})
    object_ = pick(LABELS, parent.id, round_)
    more = {
        "perceptual": f"Among the smallest things, {round_} steps from the {object_}, {qa.question.lower()}",
        "reasoning": f"Find the {object_}, compare it with what stands left of it, then say: {qa.question} Think step by step.",
        "interactive": f"Choose the right answer about the {object_}, looking {round_} times: {qa.question}",
    }[direction]
    options = [qa.answer, "yellow", "none of these"] if direction == "interactive" else []
    skills = sorted({*qa.skills, "grounding", *(["relationship"] if direction == "reasoning" else [])})
    steps = [*qa.steps, Step(manipulation=f"Grounding({object_})->bbx_{round_}", description=f"Find the {object_}.")]
    return QA(
        question=more,
        answer=qa.answer,
        format="multiple choice" if options else "Norm",
        options=options,
        objects=sorted({*qa.objects, object_}),
        skills=skills,
        steps=steps,
    )


def candidate(parent: Version, round_: int, direction: str) -> tuple[Candidate, str]:
    """What a round makes of a parent, and the fault planted in it; one in twelve faults goes unseen."""
    fault = pick(FAULTS, "fault", parent.id, round_)
    if fault == "invented_box" or pick(range(12), "fail", parent.id, round_) == 0:
        why = FATE.get(fault, Reason.TRUNCATED)
        return Candidate(parent=parent, round=round_, direction=direction, version=None, failed=why), fault
    qa = grown(parent, round_, direction, fault)
    id_ = qa_id(parent.record, parent.id, round_, direction, qa)
    version = Version(
        id=id_, line=parent.line, record=parent.record, parent=parent.id, round=round_, direction=direction, qa=qa
    )
    seen = pick(range(12), "seen", id_) > 0
    said = {
        "improved": float(fault != "copy" or not seen),
        "difficulty": round(1 + 1.4 * len(qa.steps) + fraction("d", id_), 2),
        "faithful": float(fault != "wrong_count" or not seen),
        "image_needed": float(pick(range(20), "needed", id_) > 0),
    }
    reason = "executed" if pick(range(9), "x", id_) else "not_executable: the question is outside the grammar"
    verdicts = [Verdict(judge="symbolic-v1", name=k, value=v, reason=reason) for k, v in said.items()]
    return (
        Candidate(
            parent=parent,
            round=round_,
            direction=direction,
            version=version,
            failed=None,
            verdicts=verdicts,
            model="symbolic-v1",
        ),
        fault,
    )


def parents(seeds: Path, frontier: Path | None) -> Iterator[Version]:
    if frontier:
        rows: Iterator[Frontier] = read_rows(frontier, "frontier")
        yield from (row.version for row in rows)
        return
    for record in read_rows(seeds, "seed"):
        yield from seed_versions(record)


def judged_seed(version: Version) -> Candidate:
    verdict = Verdict(
        judge="symbolic-v1", name="difficulty", value=round(1 + 2 * fraction(version.id), 1), reason="executed"
    )
    return Candidate(
        parent=version, round=0, direction="seed", version=version, failed=None, verdicts=[verdict], model="seed"
    )


def told(c: Candidate, fault: str, end: Outcome) -> dict[str, Any]:
    """What was planted in a candidate and what became of it."""
    ends = {"outcome": "rejected" if c.failed else end.outcome, "reason": end.reason}
    return {"round": c.round, "parent": c.parent.id, "direction": c.direction, "attempt": 0, "fault": fault, **ends}


def evolve(root: Path, name: str, rounds: int, thresholds: Eliminate | None) -> None:
    faults: list[dict[str, Any]] = []
    for shard in range(SHARDS):
        seeds, frontier = root / "seeds" / "shards" / f"{shard}.parquet", None
        write_rows(
            root / "evolve" / name / "round_0" / "candidates" / f"{shard}.parquet",
            "candidate",
            map(judged_seed, parents(seeds, None)),
        )
        for n in range(1, rounds + 1):
            folder = root / "evolve" / name / f"round_{n}"
            made = [
                candidate(p, n, pick(("perceptual", "reasoning", "interactive"), "direction", p.record, n))
                for p in parents(seeds, frontier)
            ]
            path = folder / "candidates" / f"{shard}.parquet"
            write_rows(path, "candidate", (c for c, _ in made))
            write_json(path.with_suffix(".json"), {"requests": {"evolve": len(made), "judge": len(made) - 1}})
            used = Usage(len(made), 5, 1000 * len(made), 100, 50 * len(made), errors=Counter({"429": 1}))
            spent = used.row("evolver", "symbolic-v1", Prices(input=1, cached_input=0, output=10))
            write_json(
                folder / "usage" / f"{shard}.json", {"endpoints": [spent], "seconds": 2.5, "runs": 1 + (shard == 1)}
            )
            outcomes = folder / "ledger" / f"{shard}.parquet"
            after = folder / "frontier" / f"{shard}.parquet"
            eliminate(
                EliminateSettings(thresholds=thresholds),
                candidates=path,
                before=frontier,
                requests=path.with_suffix(".json"),
                frontier=after,
                outcomes=outcomes,
                ledger=outcomes.with_suffix(".json"),
            )
            ends = {o.parent: o for o in read_rows(outcomes, "outcome")}
            faults += [told(c, fault, ends[c.parent.id]) for c, fault in made]
            frontier = after
    write_rows(root / "evolve" / name / "faults.parquet", "planted", faults)
    of = DatasetSettings(
        study="test",
        evolution=name,
        shards=SHARDS,
        rounds=list(range(1, rounds + 1)),
        curated=True,
        definition=Evolution(rounds=rounds, eliminate=thresholds),
        evolver="symbolic-v1",
        judge="symbolic-v1",
    )
    dataset(of, root=root, out=root / "evolve" / name / "dataset")


def score(benchmark: str, correct: dict[str, float], image: dict[str, str]) -> dict[str, Any]:
    """A score file of a benchmark whose number is the mean of its rows in percent."""
    n = len(correct)
    middle = sum(correct.values()) / n
    return {
        "benchmark": benchmark,
        "rules": "mmevol",
        "reported": 100 * middle,
        "reported_name": "accuracy",
        "standard_error": None,
        "n": n,
        "n_missing": 0,
        "extraction_failures": 1,
        "unjudged": 0,
        "correct": correct,
        "influence": {key: 100 * (value - middle) / n for key, value in correct.items()},
        "image": image,
    }


ARMS = {"seed": 0.42, "seed_matched": 0.46, "evolved": 0.62, "evolved.blind": 0.25}


def write_scores(root: Path, arms: dict[str, float], runs: int = 1, n: int = 120) -> None:
    for arm, skill in arms.items():
        for run in range(runs):
            for benchmark in BENCHMARKS:
                image = {str(i): f"scene_{i // 2}" for i in range(n)}
                level = skill + 0.1 * math.sin(BENCHMARKS.index(benchmark))
                correct = {
                    key: float(0.7 * fraction(benchmark, key) + 0.3 * fraction(benchmark, key, arm, run) < level)
                    for key in image
                }
                path = root / "evaluate" / arm / f"seed_{run}" / benchmark / "score.mmevol.json"
                write_json(path, score(benchmark, correct, image))


def write_losses(root: Path) -> None:
    for arm, floor in {"seed": 0.5, "seed_matched": 0.42, "evolved": 0.7}.items():
        steps = 60 if arm == "seed" else 120
        lines = ["step,epoch,loss,lr,tokens"]
        for step in range(1, steps + 1):
            loss = floor + 3 * math.exp(-step / 25) + 0.2 * fraction(arm, step)
            lines.append(f"{step},{step / 10},{loss:.6f},0.001,{step * 9000}")
        write_text(root / "train" / "finetune" / arm / "seed_0" / "loss.csv", "\n".join(lines) + "\n")


@dataclass(frozen=True)
class Study:
    root: Path
    results: ResultsSettings
    rounds: RoundsSettings

    @property
    def shards(self) -> list[Path]:
        return [self.root / "seeds" / "shards" / f"{i}.parquet" for i in range(SHARDS)]

    @property
    def dataset(self) -> Path:
        return self.root / "evolve" / "full" / "dataset" / "evolved.parquet"

    @property
    def judged(self) -> list[Path]:
        return [self.root / "evolve" / "full" / "round_0" / "candidates" / f"{i}.parquet" for i in range(SHARDS)]


def make_study(root: Path, records: int = 120, rounds: int = 3) -> Study:
    scenes = [scene(i) for i in range(records)]
    for shard in range(SHARDS):
        mine = sorted((s for s in scenes if shard_of(s.key, SHARDS) == shard), key=lambda s: s.key)
        write_rows(root / "seeds" / "shards" / f"{shard}.parquet", "seed", mine)
    for record in scenes:
        assert record.image
        paint(record, root / "seeds" / "images" / record.image)
    write_json(root / "seeds" / "audit.json", {"heldout": 30})
    evolve(root, "full", rounds, Eliminate())
    evolve(root, "no_elimination", rounds, None)
    write_scores(root, ARMS)
    write_losses(root)
    numbers = list(range(rounds + 1))
    return Study(
        root,
        ResultsSettings(benchmarks=list(BENCHMARKS), arms=[(arm, [0]) for arm in ARMS], baseline="seed_matched"),
        RoundsSettings(shards=SHARDS, evolutions={"full": numbers, "no_elimination": numbers}),
    )
