"""Client CPU and throughput: floor, engine, stage and the `openai` SDK, interleaved, at 200 ms and 20 ms latency.

``floor``   a bare aiohttp loop over bodies that were encoded beforehand
``engine``  the client as production uses it: `Asker.items` over ready prompts of records whose pictures the reply store holds, with
            keys, look-ups, limits, retries, bodies, replies checked by the stage's own readers, answers kept with group commit,
            usage, heartbeat; taking the buckets at the beginning and finishing them at the end counts too
``stage``   `evolve ask` whole: all of that, and records read from Parquet, prompts made, verdicts joined, candidates written
``openai``  the SDK's loop, without store or limits
"""

import tempfile
from pathlib import Path
from typing import Any

from bench import client, cpu, middle, rate, serving
from workload import IN_FLIGHT, Work

LATENCIES = {"200ms": 0.2, "20ms": 0.02}
"""Seconds, by name."""
CAPACITY = 1200
"""Requests per second that the server with a hard limit can answer."""


def measure(
    rounds: int = 3,
    requests: int = 6000,
    sdk_requests: int = 1200,
    in_flight: int = IN_FLIGHT,
    latencies: dict[str, float] = LATENCIES,
) -> dict[str, Any]:
    """Ratios at the top, what they rest on below."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Work(base_url="", folder=Path(folder), requests=requests, in_flight=in_flight)
        sdk = work.model_copy(update={"requests": sdk_requests})
        prepared = False
        for name, latency in latencies.items():
            rows: dict[str, list[dict[str, Any]]] = {"floor": [], "engine": [], "stage": [], "openai": []}
            with serving(latency=latency) as url:
                if not prepared:
                    client("prepare", work.model_copy(update={"base_url": url}))
                    prepared = True
                for _ in range(rounds):
                    for which, done in rows.items():
                        asked = (sdk if which == "openai" else work).model_copy(update={"base_url": url})
                        done.append(client(which, asked))
            found[name] = {which: summary(done) for which, done in rows.items()}
        with serving(latency=0.1, capacity=CAPACITY) as url:
            busy = [client("engine", work.model_copy(update={"base_url": url})) for _ in range(rounds)]
    slow = found["200ms"]
    return {
        "client_cpu_vs_floor": ratio(slow, "cpu_s_per_1000", "engine", "floor"),
        "client_cpu_vs_openai_aiohttp": ratio(slow, "cpu_s_per_1000", "engine", "openai"),
        "stage_cpu_vs_floor": ratio(slow, "cpu_s_per_1000", "stage", "floor"),
        "stage_peak_mb": slow["stage"]["peak_mb"],
        "requests_per_s_vs_floor_200ms": ratio(slow, "requests_per_s", "engine", "floor"),
        "busy_share_at_1200": middle(busy, lambda row: row["server"]["served"] / CAPACITY / row["server"]["seconds"]),
        "rounds": rounds,
        "in_flight": in_flight,
        "requests_a_round": {"floor": requests, "engine": requests, "stage": requests, "openai": sdk_requests},
        "by_latency": found,
        "at_1200": summary(busy),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of one client's rounds. ``server_cpu_share``: of the server's core, so that it was not what held the client up."""
    return {
        "cpu_s_per_1000": middle(rows, cpu, 4),
        "requests_per_s": middle(rows, rate, 1),
        "peak_mb": middle(rows, lambda row: row["peak_mb"], 1),
        "server_cpu_share": middle(rows, lambda row: row["server"]["cpu"] / max(row["server"]["seconds"], 1e-9)),
    }


def ratio(found: dict[str, dict[str, float]], figure: str, one: str, other: str) -> float:
    """One client's figure over another's."""
    return round(found[one][figure] / found[other][figure], 3)
