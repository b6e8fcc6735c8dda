"""What planning costs: a dry run of the paper's study at several numbers of shards, with a placeholder for its seeds.

Figures are of the whole Snakemake process, its start included, divided by the jobs that it plans.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from mmevol.config.resolve import resolve

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "planning.png"


def measure(rounds: int = 3, shards: Sequence[int] = (16, 64, 256)) -> dict[str, Any]:
    """CPU, memory and jobs by shards; the goals are of the most, the paper's 256."""
    rows = {n: [planned(n) for _ in range(rounds)] for n in shards}
    middle = {n: {k: statistics.median(run[k] for run in runs) for k in runs[0]} for n, runs in rows.items()}
    most = middle[max(shards)]
    by_shards = {str(n): {k: round(v, 2) for k, v in row.items()} for n, row in middle.items()}
    if len(shards) > 1:
        draw(middle)
    return {
        "plan_cpu_ms_a_job": round(most["cpu_s"] / most["jobs"] * 1000, 2),
        "listed_cpu_ms_a_job": round(most["listed_cpu_s"] / most["jobs"] * 1000, 2),
        "plan_mb_a_job": round(most["peak_mb"] / most["jobs"], 3),
        "by_shards": by_shards,
        "rounds": rounds,
    }


def planned(shards: int) -> dict[str, float]:
    """Two dry runs, one of which lists every job: CPU seconds, peak MB, jobs."""
    raw = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    raw["evolve"]["shards"] = shards
    with tempfile.TemporaryDirectory(prefix="mmevol-dag-") as folder:
        placeholder = Path(folder, resolve(raw, "paper.yaml").records)
        placeholder.parent.mkdir(parents=True)
        placeholder.touch()
        Path(folder, "study.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        plan, listing = dry_run(folder, "--quiet"), dry_run(folder)
    (jobs,) = {int(line.split()[1]) for line in listing[2].splitlines() if line.startswith("total ")}
    return {"cpu_s": plan[0], "listed_cpu_s": listing[0], "peak_mb": listing[1], "jobs": jobs}


def dry_run(folder: str, *options: str) -> tuple[float, float, str]:
    """CPU seconds, peak MB and output of one `snakemake -n`."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", folder, "-n", *options]
    with open(Path(folder, "out"), "w+") as out:
        process = subprocess.Popen([*command, "--configfile", f"{folder}/study.yaml"], stdout=out, stderr=out)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    assert process.returncode == 0, text[-3000:]
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, text


def draw(rows: dict[int, dict[str, float]]) -> None:
    """CPU seconds and memory against shards, with the limits a job, as ``docs/planning.png``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    shards, jobs = list(rows), [row["jobs"] for row in rows.values()]
    panels = (("cpu_s", 0.002, "2 ms a job", "CPU seconds"), ("peak_mb", 0.2, "0.2 MB a job", "peak memory, MB"))
    for axes, (name, limit, limited, label) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(shards, [row[name] for row in rows.values()], "o-", color="#1b6ca8", label="planned")
        if name == "cpu_s":
            axes.plot(shards, [row["listed_cpu_s"] for row in rows.values()], "o:", color="#1b6ca8", label="and listed")
        axes.plot(shards, [limit * n for n in jobs], "--", color="#888888", label=limited)
        axes.set(xlabel="shards", ylabel=label, xticks=shards, ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.suptitle(f"Planning the paper's study: {jobs[0]:,.0f} to {jobs[-1]:,.0f} jobs", fontsize=10)
    figure.savefig(PICTURE, dpi=110)
