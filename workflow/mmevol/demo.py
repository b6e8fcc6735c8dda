"""``mmevol demo``: run a study from beginning to report, then say where everything lies, what it took and what came out."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

from mmevol.config.resolve import load
from mmevol.config.study import Study
from mmevol.owner import process_start

BUDGETS = {
    "world": (10, ("seeds_draw", "seeds_audit")),
    "evolve": (170, ("seeds_curate", "evolve_judge_seeds", "evolve_ask", "evolve_eliminate", "evolve_dataset")),
    "tokenizer and tower": (50, ("train_base", "train_warm_tower")),
    "pretrain": (100, ("train_pretrain",)),
    "finetune": (320, ("train_mixture", "train_finetune")),
    "predict": (140, ("evaluate_heldout", "evaluate_predict")),
    "score, tables, figures": (160, ("evaluate_score", "evolve_faults", "evolve_planted", "publish_")),
}
"""Seconds that the jobs of each stage of the demo study may take, added up: 940 s on two cores are under 8 minutes."""

WALL = 480
"""Seconds that the whole demo may take."""

NOTE = Path(".snakemake/mmevol-demo.json")
"""Which process started Snakemake here last, so that a lock that a dead one left is opened."""


def unlock(snakemake: list[str]) -> None:
    """Open the lock of a run of this command that is dead; a live one keeps it, and Snakemake will say so."""
    if not NOTE.exists() or not any(Path(".snakemake/locks").glob("*")):
        return
    note = json.loads(NOTE.read_text())
    if note["host"] == socket.gethostname() and process_start(note["pid"]) != note["start"]:
        subprocess.run([*snakemake, "--unlock"], check=True)


def took(study: Study) -> list[tuple[str, float, int]]:
    """Stage, seconds of its jobs (summed, so parallel jobs count twice; from Snakemake's benchmark files), and budget."""
    rows = []
    for stage, (budget, rules) in BUDGETS.items():
        seconds = 0.0
        for path in Path(study.results, "timings").rglob("*.tsv"):
            rule = path.relative_to(Path(study.results, "timings")).parts[0].removesuffix(".tsv")
            if rule.startswith(rules):
                with open(path) as file:
                    seconds += sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
        rows.append((stage, seconds, budget))
    return rows


def report_is_new(study: Study, report: Path) -> bool:
    """Whether the report was made after every table and figure."""
    shown = [p for folder in ("tables", "figures") for p in Path(study.results, folder).glob("*")]
    return report.exists() and all(p.stat().st_mtime <= report.stat().st_mtime for p in shown)


def make_report(study: Study, snakemake: list[str]) -> int:
    """Write Snakemake's report as ``report.zip`` and unpacked below the study's results, if a table or figure is newer.

    Returns the exit code.
    """
    report = Path(study.results, "report.zip")
    if report_is_new(study, report):
        return 0
    code = subprocess.run([*snakemake, "--report", str(report)]).returncode
    if code == 0:
        with zipfile.ZipFile(report) as archive:
            archive.extractall(study.results)
    return code


def command(path: Path) -> list[str]:
    """Snakemake on a study."""
    return [sys.executable, "-m", "snakemake", "--configfile", str(path)]


def demo(path: Path) -> int:
    """Run the study to its report and print the summary. Returns the exit code."""
    study, snakemake = load(path), command(path)
    unlock(snakemake)
    NOTE.parent.mkdir(exist_ok=True)
    me = os.getpid()
    NOTE.write_text(json.dumps({"host": socket.gethostname(), "pid": me, "start": process_start(me)}))
    began = time.monotonic()
    if code := subprocess.run(snakemake).returncode:
        return code
    wall = time.monotonic() - began
    if code := make_report(study, snakemake):
        return code
    print(summary(study, wall))
    return 0


def report(path: Path) -> int:
    """Make the report of a study that has run. Returns the exit code."""
    return make_report(load(path), command(path))


def summary(study: Study, wall: float) -> str:
    """What `demo` prints at the end."""
    lines = ["", f"{'stage':<24}{'seconds of its jobs':>20}{'budget':>8}"]
    lines += [f"{stage:<24}{seconds:>20.1f}{budget:>8}" for stage, seconds, budget in took(study)]
    results = study.results
    lines += [
        f"{'this run, wall time':<24}{wall:>20.1f}{WALL:>8}",
        "",
        f"report   {results}/report/report.html   (all in one: {results}/report.zip)",
        f"tables   {results}/tables/",
        *(f"dataset  {results}/evolve/{name}/dataset/" for name in study.evolve.evolutions),
        "",
        Path(results, "tables", "findings.txt").read_text().rstrip(),
    ]
    return "\n".join(lines)
