"""The benchmarks run, at sizes that measure nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.bench

FOLDER = Path(__file__).parents[1] / "benchmarks"
TINY = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
print(json.dumps(importlib.import_module(sys.argv[2]).measure(**json.loads(sys.argv[3]))))
"""


def measured(section: str, **sizes: Any) -> Any:
    command = [sys.executable, "-c", TINY, str(FOLDER), section, json.dumps(sizes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_engine() -> None:
    found = measured("engine", rounds=1, requests=16, sdk_requests=4, in_flight=4, latencies={"200ms": 0.01})
    assert found["client_cpu_vs_floor"] > 0
    assert found["by_latency"]["200ms"]["engine"]["requests_per_s"] > 0


def test_images() -> None:
    assert measured("images", rounds=1, pictures=2, at_once=2)["cold_image_vs_encode"] > 0


def test_faults() -> None:
    assert measured("faults", rounds=1, requests=16, latency=0.01, in_flight=4)["throughput_under_faults"] > 0


def test_memory() -> None:
    assert set(measured("memory", counts=(8,), in_flight=4)["peak_rss_mb"]) == {"8"}


def test_dag() -> None:
    assert measured("dag", rounds=1, shards=(1,))["by_shards"]["1"]["jobs"] > 30


def test_contamination() -> None:
    assert measured("contamination", rounds=1, counts=(8, 16), pictures=4)["contamination_cpu_vs_floor"] > 0


def test_scoring() -> None:
    found = measured("scoring", rounds=1, size=0.001)
    assert found["linear_in_rows"] > 0 and len(found["by_benchmark"]) == 17
