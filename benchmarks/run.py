"""`make bench`: every section, one after the other, as a table and as ``benchmarks/results.json``.

Ratios say how good this code is on any machine; seconds and MB are this machine's. A section is a module here with a function
``measure`` that returns figures: add it to `SECTIONS`, and what it must reach to `GOALS`.
"""

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import contamination
import dag
import engine
import faults
import images
import memory
import scoring
from rich.console import Console
from rich.table import Table

SECTIONS = {
    "engine": engine,
    "images": images,
    "faults": faults,
    "memory": memory,
    "dag": dag,
    "contamination": contamination,
    "scoring": scoring,
}
GOALS = {
    "client_cpu_vs_floor": "≤ 2.0",
    "client_cpu_vs_openai_aiohttp": "≤ 0.25",
    "stage_cpu_vs_floor": "",
    "stage_peak_mb": "< 200",
    "requests_per_s_vs_floor_200ms": "≥ 0.9",
    "busy_share_at_1200": "≥ 0.95",
    "cold_image_vs_encode": "≤ 1.1",
    "throughput_under_faults": "≥ 0.8",
    "peak_rss_growth_mb_per_100k": "≤ 5",
    "plan_cpu_ms_a_job": "≤ 2",
    "listed_cpu_ms_a_job": "",
    "plan_mb_a_job": "≤ 0.2",
    "contamination_cpu_vs_floor": "≤ 3",
    "contamination_peak_growth_mb_per_100k": "≤ 20",
    "mmstar_s": "≤ 1.0",
    "pope_s": "≤ 1.4",
    "gqa_s": "seconds",
    "vqa_s": "seconds",
    "linear_in_rows": "≤ 1.2",
    "vqa_peak_mb": "",
    "scoring_imports_s": "≤ 1.0",
    "vs_kit": "≤ 0.1",
}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}


def show(results: dict[str, Any]) -> None:
    """The ratios as a table."""
    table = Table("figure", "measured", "goal", "rounds")
    for section in results["sections"].values():
        for name, value in section.items():
            if name in GOALS or name == "peak_rss_mb":
                said = ", ".join(f"{n}: {v}" for n, v in value.items()) if isinstance(value, dict) else str(value)
                table.add_row(name, said, GOALS.get(name, "< 200"), str(section["rounds"]))
    Console(width=120).print(table)


def main(out: Path) -> None:
    """Measure all sections, or those named on the command line (the others keep their last figures)."""
    results: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"sections": {}}
    for name in sys.argv[1:] or SECTIONS:
        began = time.monotonic()
        found = SECTIONS[name].measure()
        results["sections"][name] = found | {"seconds_to_measure": round(time.monotonic() - began, 1)} | machine()
        out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    show(results)


if __name__ == "__main__":
    main(Path(__file__).parent / "results.json")
