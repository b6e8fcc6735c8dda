"""Throughput under faults, after the delay that is the faults' own.

The server draws 5 % 429, 2 % 500, 2 % truncated, 0.5 % dropped, 0.5 % hung, 1 % wrong ids from each request's key and attempts.
Requests hold a slot; a fault keeps one for as long as the server makes it wait (the latency of a request that must be sent
again, the time-out of one that hangs). That delay, spread over the slots, is added to the time of the fault-free run. What remains
of the difference is what the engine makes of faults: back-off, lost concurrency, and at the end the wait for the last that hang.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from bench import client, middle, serving
from workload import IN_FLIGHT, Work

MIX = {"http_429": 0.05, "http_500": 0.02, "truncated": 0.02, "drop": 0.005, "hang": 0.005, "wrong_ids": 0.01}
TIMEOUT = 5.0
"""Seconds after which a request that hangs is given up."""


def measure(
    rounds: int = 2, requests: int = 40_000, latency: float = 0.2, in_flight: int = IN_FLIGHT
) -> dict[str, Any]:
    """``throughput_under_faults``: records per second over those of the fault-free run."""
    rows: dict[str, list[dict[str, Any]]] = {"fault-free": [], "faults": []}
    with tempfile.TemporaryDirectory() as folder:
        work = Work(base_url="", folder=Path(folder), requests=requests, in_flight=in_flight, timeout=TIMEOUT)
        with serving(latency=latency) as clean, serving(latency=latency, faults=MIX) as spoiled:
            client("prepare", work.model_copy(update={"base_url": clean}))
            for _ in range(rounds):
                rows["fault-free"].append(client("stage", work.model_copy(update={"base_url": clean})))
                rows["faults"].append(client("stage", work.model_copy(update={"base_url": spoiled})))
                usage = json.loads((Path(folder) / "usage.json").read_text())
    held = middle(rows["faults"], lambda row: delay(row["server"]["planted"], latency) / in_flight)
    clean_s, faults_s = (middle(done, lambda row: row["seconds"]) for done in rows.values())
    return {
        "throughput_under_faults": round((clean_s + held) / faults_s, 3),
        "rounds": rounds,
        "seconds": {"fault-free": clean_s, "faults": faults_s, "slots held": held},
        "planted": rows["faults"][-1]["server"]["planted"],
        "usage": usage["endpoints"],
    }


def delay(planted: dict[str, int], latency: float) -> float:
    """Seconds for which faults held slots."""
    return sum(n * (TIMEOUT if kind == "hang" else latency) for kind, n in planted.items())
