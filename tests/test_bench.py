"""The benchmarks run, at sizes that measure nothing."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"
TINY = """
import sys, json
sys.path.insert(0, sys.argv[1])
import contamination, dag, engine, faults, images, memory, scoring
print(json.dumps({
    "engine": engine.measure(rounds=1, requests=16, sdk_requests=4, in_flight=4, latencies={"200ms": 0.01}),
    "images": images.measure(rounds=1, pictures=2, at_once=2),
    "faults": faults.measure(rounds=1, requests=16, latency=0.01, in_flight=4),
    "memory": memory.measure(counts=(8,), in_flight=4),
    "dag": dag.measure(rounds=1, shards=(1,)),
    "contamination": contamination.measure(rounds=1, counts=(8, 16), pictures=4),
    "scoring": scoring.measure(rounds=1, size=0.001),
}))
"""


def test_every_section_measures_something() -> None:
    done = subprocess.run([sys.executable, "-c", TINY, str(FOLDER)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["engine"]["client_cpu_vs_floor"] > 0
    assert found["engine"]["by_latency"]["200ms"]["engine"]["requests_per_s"] > 0
    assert found["images"]["cold_image_vs_encode"] > 0
    assert found["faults"]["throughput_under_faults"] > 0
    assert found["contamination"]["contamination_cpu_vs_floor"] > 0
    assert set(found["memory"]["peak_rss_mb"]) == {"8"}
    assert found["dag"]["by_shards"]["1"]["jobs"] > 30
    assert found["scoring"]["linear_in_rows"] > 0 and len(found["scoring"]["by_benchmark"]) == 17
