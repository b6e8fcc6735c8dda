"""Two studies on two nodes, one reply store: one writer at a time, and a dead one's place is taken."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import Slurm
from place import Place, wait_until
from shipped import FAST, QUICK, SLOW

pytestmark = pytest.mark.cluster

Start = Callable[..., subprocess.Popen[bytes]]


def on(node: str) -> tuple[str, ...]:
    """Arguments that put the asking jobs on a node."""
    return (*QUICK, "--retries", "0", "--set-resources", f"evolve_ask:slurm_extra='-w {node}'")


def owners(replies: Path) -> list[dict[str, Any]]:
    """Who holds buckets now."""
    found = []
    for path in (replies / "requests").glob("*/owner"):
        try:
            found.append(json.loads(path.read_text()))
        except FileNotFoundError:  # given back meanwhile
            continue
    return found


def held_on(replies: Path, node: str, job: str) -> dict[str, Any] | None:
    """An owner on a node whose job's name begins so."""
    return next((o for o in owners(replies) if o["host"] == node and o["job"].startswith(job)), None)


def test_two_studies_meet_in_a_bucket(
    slurm: Slurm, seeded: Place, undisturbed: dict[str, bytes], start: Start, tmp_path: Path
) -> None:
    replies = tmp_path / "replies"
    one, two = (seeded.copy(tmp_path / name) for name in ("one", "two"))
    for place, shards in ((one, 1), (two, 2)):
        place.study["evolve"]["shards"] = shards
        place.environment["MMEVOL_REPLIES"] = str(replies)
        place.study["endpoints"]["evolver"] |= FAST
        place.run("evolve", "--until", "evolve_judge_seeds")
    one.study["endpoints"]["evolver"] |= SLOW | {"limits": {"requests_per_minute": 30}}  # it will not end by itself
    first = start(one, "dataset", *on("node0"))
    owner = wait_until(lambda: held_on(replies, "node0", "evolve/full/round_1"), 90, "the first study's job")
    second = start(two, "dataset", *on("node1"))
    log = two.results / "logs" / "evolve_ask" / "full.1.0.log"
    wait_until(lambda: log.exists() and "on node0" in log.read_text(), 90, "a job of the second study that waits")
    assert len(one.requests()) > 0
    before = [r for r in two.requests() if r["task"] == "evolve"]
    assert before == [] and not held_on(replies, "node1", "evolve/full/round_1/0")
    os.kill(owner["pid"], signal.SIGKILL)  # its node is gone: nothing gives the bucket back
    assert first.wait(timeout=90) == 1
    assert second.wait(timeout=240) == 0, (two.folder / "snakemake.out").read_text()[-3000:]
    assert owners(replies) == []
    for name in ("evolved.parquet", "sft.json"):
        file = f"evolve/full/dataset/{name}"
        assert two.data_files("evolve")[file] == undisturbed[file]
    answered = [r["key"] for place in (one, two) for r in place.requests() if r["outcome"] == "answered"]
    assert len(answered) - len(set(answered)) <= 2 * SLOW["concurrency"]
