"""Two nodes: one is drained, two studies on them share a reply store, one study is spread over them."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import NODES
from place import Place, spread, wait_until
from shipped import FAST, QUICK, SLOW, at_site
from view import Slurm, accounted, asks, printed, rule_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

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


def test_drained_node_and_restarted_controller(drained: Place, undisturbed: dict[str, bytes]) -> None:
    facts = json.loads((drained.folder / "facts.json").read_text())
    assert facts["exit"] == 0, printed(drained)[-3000:]
    after = [job["node"] for job in facts["jobs"] if not asks(job)]
    assert after and set(after) == set(NODES) - {facts["node"]}
    assert {job["state"] for job in facts["jobs"]} == {"COMPLETED"}
    assert drained.data_files("evolve") == undisturbed


def test_two_studies_meet_in_a_bucket(
    seeded: Place, undisturbed: dict[str, bytes], slurm: Slurm, start: Start, tmp_path: Path
) -> None:
    replies = tmp_path / "replies"
    one, two = (seeded.copy(tmp_path / name) for name in ("one", "two"))
    for place, shards in ((one, 1), (two, 2)):
        place.study["evolve"]["shards"] = shards
        place.environment["MMEVOL_REPLIES"] = str(replies)
        place.study["endpoints"]["evolver"] |= FAST
        place.run("evolve", "--until", "evolve_judge_seeds")
    one.study["endpoints"]["evolver"] |= SLOW | {"limits": {"requests_per_minute": 10}}  # it will not end by itself
    first = start(one, "dataset", *on("node0"))
    owner = wait_until(lambda: held_on(replies, "node0", "evolve/full/round_1"), 300, "the first study's job")
    second = start(two, "dataset", *on("node1"))
    log = two.results / "logs" / "evolve_ask" / "full.1.0.log"
    wait_until(lambda: log.exists() and "on node0" in log.read_text(), 300, "a job of the second study that waits")
    assert len(one.requests()) > 0
    before = [r for r in two.requests() if r["task"] == "evolve"]
    assert before == [] and not held_on(replies, "node1", "evolve/full/round_1/0")
    os.kill(owner["pid"], signal.SIGKILL)  # its node is gone: nothing gives the bucket back
    assert first.wait(timeout=300) == 1
    assert second.wait(timeout=600) == 0, printed(two)[-3000:]
    assert owners(replies) == []
    for name in ("evolved.parquet", "sft.json"):
        file = f"evolve/full/dataset/{name}"
        assert two.data_files("evolve")[file] == undisturbed[file]
    answered = [r["key"] for place in (one, two) for r in place.requests() if r["outcome"] == "answered"]
    assert len(answered) - len(set(answered)) <= 2 * SLOW["concurrency"]


def test_a_spread_study_is_the_same_study(slurm: Slurm, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    place = at_site(spread(tmp_path / "spread"), accounting="true", account="lab")
    output = place.run("evaluate", *QUICK)
    done = request.getfixturevalue("done")  # made meanwhile, where the test run has more processes
    evolved = {
        name: data
        for name, data in done.data_files("evolve").items()
        if "/faults" not in name and "/dataset/README" not in name
    }
    mine = place.data_files("evolve")
    assert evolved and {name: mine.get(name) for name in evolved} == evolved
    on_gpu = {rule_of(job) for job in accounted(output) if job["Partition"] == "gpu"}
    assert {"evolve_ask_evolve_eliminate", "evolve_judge_seeds", "seeds_curate", "evaluate_predict"} <= on_gpu
    manifest = json.loads((place.results / "train/finetune/evolved/seed_0/manifest.json").read_text())
    assert (manifest["processes"], manifest["batch"], manifest["accumulated"]) == (2, 8, 1)
    for benchmark in ("MME", "POPE"):
        rows = [
            (p.results / f"evaluate/evolved/seed_0/{benchmark}/predictions.jsonl").read_text().splitlines()
            for p in (place, done)
        ]
        assert [json.loads(row)["index"] for row in rows[0]] == [json.loads(row)["index"] for row in rows[1]]
