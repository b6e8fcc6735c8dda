"""What clusters do to jobs: memory, walltime, cancelled jobs, drained nodes, a controller that restarts, a user who stops."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import NODES, Slurm, run
from place import Place, new_place, wait_until
from shipped import FAST, QUICK, SLOW

pytestmark = pytest.mark.cluster

Start = Callable[..., subprocess.Popen[bytes]]


def running(slurm: Slurm, rule: str) -> dict[str, str] | None:
    """A running job of a rule."""
    of_rule = [job for job in slurm.jobs("RUNNING") if job["comment"].startswith(f"rule_{rule}")]
    return of_rule[0] if of_rule else None


def asking(slurm: Slurm, place: Place) -> dict[str, str]:
    """Wait until a job of round 1 runs and has been answered some requests; the job."""
    job = wait_until(lambda: running(slurm, "evolve_ask"), 120, "a running job of evolve_ask")
    already = len(place.requests())
    wait_until(lambda: len(place.requests()) > already + 6, 60, "some requests of round 1")
    return job


def jobs_of(slurm: Slurm, output: str) -> list[dict[str, str]]:
    return [job for job in slurm.jobs("all") if job["run"] == slurm.run_id(output)]


def hurried(place: Place) -> Place:
    """The place with an endpoint that is asked as fast as it goes."""
    place.study["endpoints"]["evolver"] |= FAST
    return place


def printed(place: Place) -> str:
    return (place.folder / "snakemake.out").read_text()


def test_out_of_memory_is_a_new_job_with_more(slurm: Slurm, at_site: Callable[..., Place], tmp_path: Path) -> None:
    place = at_site(new_place(tmp_path / "place"))
    world = str(place.results.relative_to(place.folder) / "seeds" / "world.jsonl")
    output = place.run(world, *QUICK, "--set-resources", "seeds_draw:mem_mb=attempt**3*100")
    first, second = jobs_of(slurm, output)
    assert first["state"] in ("OUT_OF_MEMORY", "FAILED")  # without cgroups Slurm kills, and has no state for it
    log = next((place.folder / ".snakemake" / "slurm_logs").rglob(f"{first['id']}.log")).read_text()
    assert "memory limit" in log, log
    assert second["state"] == "COMPLETED"
    assert (first["memory"], second["memory"]) == ("100M", "800M")
    assert first["id"] != second["id"]


def test_cancelled_job_loses_nothing(
    slurm: Slurm, seeded: Place, undisturbed: dict[str, bytes], start: Start, tmp_path: Path
) -> None:
    place = seeded.copy(tmp_path / "place")
    snakemake = start(place, "dataset", *QUICK, "--retries", "0")
    job = asking(slurm, place)
    run("scancel", job["id"])
    assert snakemake.wait(timeout=200) == 1
    assert "CANCELLED" in printed(place)
    hurried(place).run("dataset")
    assert place.data_files("evolve") == undisturbed
    answered = [r["key"] for r in place.requests() if r["outcome"] == "answered"]
    assert len(answered) - len(set(answered)) <= 2 * SLOW["concurrency"]  # the evolver's and the judge's


def test_drained_node_and_restarted_controller(
    slurm: Slurm, seeded: Place, undisturbed: dict[str, bytes], start: Start, tmp_path: Path
) -> None:
    place = seeded.copy(tmp_path / "place")
    snakemake = start(place, "dataset", *QUICK)
    job = asking(slurm, place)
    run("scontrol", "update", f"nodename={job['node']}", "state=drain", "reason=test")
    try:
        slurm.end("slurmctld")
        time.sleep(8)  # two looks of Snakemake's fail meanwhile
        slurm.controller()
        assert snakemake.wait(timeout=300) == 0, printed(place)[-3000:]
        jobs = jobs_of(slurm, printed(place))
        after = [j["node"] for j in jobs if not j["comment"].startswith("rule_evolve_ask")]
        assert after and set(after) == set(NODES) - {job["node"]}
        assert {j["state"] for j in jobs} == {"COMPLETED"}
    finally:
        run("scontrol", "update", f"nodename={job['node']}", "state=resume")
    assert place.data_files("evolve") == undisturbed


def test_second_user_is_refused_and_interrupt_cancels_all(
    slurm: Slurm, seeded: Place, undisturbed: dict[str, bytes], start: Start, tmp_path: Path
) -> None:
    place = seeded.copy(tmp_path / "place")
    snakemake = start(place, "dataset", *QUICK)
    asking(slurm, place)
    refusal = place.run("dataset", *QUICK, expect=1)
    assert "LockException" in refusal and "no other Snakemake process" in refusal
    assert running(slurm, "evolve_ask")
    os.kill(snakemake.pid, signal.SIGINT)
    assert snakemake.wait(timeout=60) != 0
    assert slurm.jobs("PENDING,RUNNING") == []
    hurried(place).run("dataset")
    assert place.data_files("evolve") == undisturbed


def test_walltime_ends_a_job_and_training_goes_on_from_its_checkpoint(
    slurm: Slurm, at_site: Callable[..., Place], start: Start, tmp_path: Path
) -> None:
    place = at_site(new_place(tmp_path / "place"))
    tiny = place.study["train"]["backbones"]["tiny"]
    tiny |= {"pretrain_on": None, "finetune": tiny["finetune"] | {"epochs": 80}}
    place.study["train"] |= {
        "mixtures": {"seed": [{"seeds": "all"}]},
        "arms": {"seed": {"backbone": "tiny", "mixture": "seed"}},
        "checkpoints": {"every": 20},
    }
    del place.study["evaluate"]
    finetune = place.results.relative_to(place.folder) / "train" / "finetune" / "seed" / "seed_0"
    place.run(str(finetune / "manifest.json"), "--omit-from", "train_finetune")

    def beat() -> dict[str, Any]:
        return next((b for b in map(read_beat, place.results.glob("status/*finetune*")) if b), {})

    snakemake = start(place, str(finetune / "manifest.json"), *QUICK, "--set-resources", "train_finetune:runtime=1")
    wait_until(lambda: (place.folder / finetune / "checkpoint-40" / "whole.json").exists(), 120, "a checkpoint")
    os.kill(beat()["pid"], signal.SIGSTOP)  # it hangs, and is cut a minute after it began
    stopped = beat()
    wait_until(lambda: beat()["began"] > stopped["began"], 180, "a second job")
    resumed = wait_until(lambda: beat()["done"], 60, "a step of it")
    assert resumed >= 40  # in its first second a run from the beginning has not come so far
    assert snakemake.wait(timeout=120) == 0, printed(place)[-3000:]
    assert [job["state"] for job in jobs_of(slurm, printed(place))] == ["TIMEOUT", "COMPLETED"]
    steps = len((place.folder / finetune / "loss.csv").read_text().splitlines()) - 1
    assert steps == beat()["done"] == beat()["total"]


def read_beat(path: Path) -> dict[str, Any]:
    """A heartbeat; {} while it is replaced."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
