"""Processes of the benchmarks: a server on one core, a client on another, and medians over interleaved rounds."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from workload import Work

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
CLIENT_CORE, SERVER_CORE = CORES[0], CORES[-1]


def python(script: str, *arguments: str) -> list[str]:
    """The command line of one of the scripts here."""
    return [sys.executable, str(HERE / script), *arguments]


@contextmanager
def serving(**options: Any) -> Iterator[str]:
    """A server process on a core of its own; yields its base URL."""
    given = [f"--{name.replace('_', '-')}={json.dumps(value)}" for name, value in options.items()]
    command = python("server.py", f"--core={SERVER_CORE}", *given)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}/v1"
        finally:
            process.stdin.close()


def client(name: str, work: Work) -> dict[str, Any]:
    """Run a client process: ``cpu`` and ``seconds`` of the work, ``peak_mb``, and the server's own account of it."""
    stats = work.base_url.removesuffix("/v1") + "/stats"
    urlopen(stats).close()
    command = python("workload.py", name, f"--core={CLIENT_CORE}", "--work", work.model_dump_json())
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    with urlopen(stats) as answer:
        server = json.load(answer)
    return {**json.loads(done.stdout.splitlines()[-1]), "server": server, "requests": server["served"] or work.requests}


def middle(rows: list[dict[str, Any]], value: Callable[[dict[str, Any]], float], digits: int = 3) -> float:
    """The median of a figure over rounds."""
    return round(statistics.median(value(row) for row in rows), digits)


def cpu(row: dict[str, Any]) -> float:
    """Client CPU, seconds for 1,000 requests."""
    return float(row["cpu"] / row["requests"] * 1000)


def rate(row: dict[str, Any]) -> float:
    """Requests per second."""
    return float(row["requests"] / row["seconds"])
