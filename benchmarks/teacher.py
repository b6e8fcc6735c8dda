"""Evolving anyone's boxes for free: CPU of the whole path, from the audit to the dataset, with the embedded teacher on two cores.

    .venv/bin/python benchmarks/teacher.py --records 5000

Writes box-annotated records of its own making in the reference format (no pictures), then runs the very commands of the workflow,
one chain a shard, two shards at once: audit, three rounds of ask (evolve, judge, blind check) and eliminate, dataset, verify. It
prints CPU-ms a record and round by part, and what that makes of 163,000 records; two sizes show whether it is linear.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from mmevol.config.resolve import resolve
from mmevol.config.study import Study
from mmevol.records import Request
from mmevol.segments import frames
from mmevol.teacher.answer import answer
from mmevol.teacher.nouns import THINGS, plural

FULL = 163_000
"""Records of the paper's seed set."""
ROUNDS, SHARDS = 3, 2
SCENES = ("in a kitchen", "on a street", "in a park", "at a market", "beside a window", "on a beach")
ASKED = (
    ("What is the main focus of the image?", "The image shows mainly {a}."),
    ("What is the {a} next to?", "It stands near {b}."),
    ("Why might the {a} be there?", "Somebody has probably put it there for a while, close to {b}."),
    ("Describe the image.", "There is {a} and, a little further away, {b}; the light is soft and the place is quiet."),
    ("How many {as} are there in the image?", "{n}"),
)
"""Questions and answers in the manner of LLaVA-Instruct; only the last can be executed."""


def records(count: int) -> Iterator[dict[str, Any]]:
    """Records like those of photographs: 3 to 15 boxes, few labels that repeat, one to three Q&A."""
    for number in range(count):
        rng = Random(number)
        labels = rng.choices(THINGS, [1 / (rank + 2) for rank in range(len(THINGS))], k=rng.randint(2, 5))
        things = [{"label": rng.choice(labels), "bbox": box(rng)} for _ in range(rng.randint(3, 15))]
        a, b = things[0]["label"], things[-1]["label"]
        n = sum(thing["label"] == a for thing in things)
        words = {"a": a, "b": b, "as": plural(a), "n": n}
        chosen = rng.sample(ASKED, rng.randint(1, 3))
        qas = [{"question": q.format(**words), "answer": reply.format(**words)} for q, reply in chosen]
        caption = f"{a.capitalize()} and {b} {rng.choice(SCENES)}."
        yield {"id": f"made-{number}", "caption": caption, "det": things, "conversations_v0": qas}


def box(rng: Random) -> list[float]:
    """A box anywhere, mostly a small one."""
    width, height = (min(0.9, rng.lognormvariate(-1.8, 0.8)) for _ in range(2))
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return [round(x, 3), round(y, 3), round(x + max(width, 0.01), 3), round(y + max(height, 0.01), 3)]


def study(source: Path) -> Study:
    """Three rounds with judge and blind check by the embedded teacher, faults off."""
    endpoints = {"evolver": {"launch": "embedded"}, "judge": {"same_as": "evolver", "temperature": 0}}
    evolve = {"shards": SHARDS, "evolutions": {"full": {"rounds": ROUNDS, "judge": {"seeds": False}}}}
    value = {"study": "bench", "seed": 7, "endpoints": endpoints, "seeds": {"source": str(source)}, "evolve": evolve}
    return resolve(value, "benchmarks/teacher.py")


class Run:
    """The commands of one study in a folder, with the CPU that each took."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.study = folder, study(source)
        self.root = folder / self.study.results
        self.cpu: dict[str, float] = defaultdict(float)
        self.teacher = 0.0
        self.env = os.environ | {"MMEVOL_REPLIES": str(folder / "replies"), "MMEVOL_RUN": self.study.run().dump()}

    def command(self, part: str, *words: object) -> None:
        """Run one command; its CPU, and that of the teacher which it started, is added up."""
        process = subprocess.Popen([sys.executable, "-m", "mmevol", *map(str, words)], env=self.env, cwd=self.folder)
        teacher = 0.0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            teacher = max(teacher, cpu_of_children(process.pid))
            time.sleep(0.2)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"mmevol {words[0]} {words[1]} ended with {process.returncode}")
        self.cpu[part] += usage.ru_utime + usage.ru_stime - teacher
        self.teacher += teacher

    def shard(self, shard: int) -> None:
        """All rounds of one shard, each after the one before."""
        folder = self.root / "evolve" / "full"
        seeds, before = self.root / "seeds" / "audited" / f"{shard}.parquet", None
        for n in range(1, ROUNDS + 1):
            at = folder / f"round_{n}"
            made, kept = at / "candidates" / f"{shard}.parquet", at / "frontier" / f"{shard}.parquet"
            ask, eliminate = self.study.ask_settings("full", n), self.study.eliminate_settings("full", n)
            given = ("--frontier", before) if before else ()
            usage = at / "usage" / f"{shard}.json"
            common = ("--shard", shard, "--seeds", seeds, "--out", made, "--usage", usage)
            self.command("ask", "evolve", "ask", "--settings", ask.dump(), *given, *common)
            given = ("--before", before) if before else ()
            out = (
                "--frontier",
                kept,
                "--outcomes",
                at / "ledger" / made.name,
                "--ledger",
                at / "ledger" / f"{shard}.json",
            )
            self.command(
                "eliminate", "evolve", "eliminate", "--settings", eliminate.dump(), "--candidates", made, *given, *out
            )
            before = kept

    def everything(self, source: Path) -> float:
        """The whole study; the wall-clock seconds that it took."""
        began = time.monotonic()
        seeds, s = self.root / "seeds", self.study
        self.command(
            "audit", "seeds", "audit", "--settings", s.audit_settings().dump(), "--records", source, "--out", seeds
        )
        with ThreadPoolExecutor(SHARDS) as pool:
            list(pool.map(self.shard, range(SHARDS)))
        dataset = self.root / "evolve" / "full" / "dataset"
        words = ("--settings", s.dataset_settings("full").dump(), "--study-root", self.root, "--out", dataset)
        self.command("dataset", "evolve", "dataset", *words)
        self.command("verify", "teacher", "verify", dataset)
        return time.monotonic() - began


def cpu_of_children(pid: int) -> float:
    """CPU seconds of the processes that a process has started and that still run."""
    seconds = 0.0
    try:
        for child in " ".join(p.read_text() for p in Path(f"/proc/{pid}/task").glob("*/children")).split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended between the two looks
    return seconds


def replayed(replies: Path, most: int) -> tuple[Counter[str], dict[str, float]]:
    """Requests by task, and CPU-ms of composing one reply of each, over some of the kept requests asked again in this process."""
    asked: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    for number, path in enumerate(sorted((replies / "requests").glob("*/*.log"))):
        for key, _, payload in frames(path):
            kept = json.loads(payload)
            asked[kept["request"]["task"]] += 1
            if number < most:
                request = Request.model_validate(kept["request"])
                began = time.process_time()
                answer(request, key.hex(), kept["attempt"])
                seconds[request.task] += time.process_time() - began
                seconds[f"n {request.task}"] += 1
    return asked, {task: 1000 * seconds[task] / seconds[f"n {task}"] for task in asked}


def measure(count: int) -> dict[str, float]:
    """CPU seconds by part, at one size."""
    with TemporaryDirectory(prefix="mmevol-bench-") as name:
        folder = Path(name)
        source = folder / "records.jsonl"
        source.write_text("".join(json.dumps(record) + "\n" for record in records(count)))
        run = Run(folder, source)
        wall = run.everything(source)
        asked, each = replayed(folder / "replies", 16)
        ledgers = [json.loads(p.read_text()) for p in sorted(run.root.glob("evolve/full/round_*/ledger/*.json"))]
    parts = {f"client: {part}": seconds for part, seconds in run.cpu.items()}
    composing = {f"teacher: {task}": each[task] * asked[task] / 1000 for task in asked}
    parts |= composing | {"teacher: server": run.teacher - sum(composing.values())}
    total = sum(parts.values())
    sent, survived = (sum(ledger[name] for ledger in ledgers) for name in ("sent", "survived"))
    print(f"{count} records, {sent} Q&A sent, {survived} survived; requests: {dict(asked)}")
    print(f"wall {wall:.1f} s, CPU {total:.1f} s", flush=True)
    return parts | {"all": total}


def result(count: int) -> dict[str, Any]:
    """Measured at a third of the records and at all of them.

    ``cpu_ms``: CPU-ms a record and round by part, at the two sizes and as what one more costs, in which the start of processes is
    not. ``minutes``: what that makes of the full set on two cores that do nothing else.
    """
    small, large = count // 3, count
    few, many = measure(small), measure(large)
    cpu_ms = {
        part: [
            1000 * few[part] / (small * ROUNDS),
            1000 * many[part] / (large * ROUNDS),
            1000 * (many[part] - few[part]) / ((large - small) * ROUNDS),
        ]
        for part in many
    }
    return {"records": [small, large], "cpu_ms": cpu_ms, "minutes": cpu_ms["all"][2] * FULL * ROUNDS / 1000 / 2 / 60}


def main() -> None:
    """Measure and print; ``--json`` keeps the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = result(given.records)
    print(f"\n{'CPU-ms a record and round':<26}" + "".join(f"{n:>8}" for n in found["records"]) + f"{'one more':>10}")
    for part, (small, large, more) in found["cpu_ms"].items():
        print(f"{part:<26}{small:8.2f}{large:8.2f}{more:10.2f}")
    print(f"\n{FULL:,} records × {ROUNDS} rounds on 2 cores: {found['minutes']:.0f} minutes")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
