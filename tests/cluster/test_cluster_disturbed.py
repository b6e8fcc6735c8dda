"""What clusters and their users do to jobs: walltime, cancelled jobs, a second user, one who stops, memory."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import run
from place import Place, new_place, wait_until
from shipped import FAST, QUICK, SLOW, at_site
from view import Slurm, asking, asks, jobs_of, once, printed

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

Start = Callable[..., subprocess.Popen[bytes]]


def hurried(place: Place) -> Place:
    """The place with an endpoint that is asked as fast as it goes."""
    place.study["endpoints"]["evolver"] |= FAST
    return place


@pytest.fixture(scope="session")
def about_to_train(seeded: Place, shared: Path) -> Place:
    """A study with all that its one, long training needs; made after the small one, for which others wait."""
    place = new_place(shared / "about_to_train")
    tiny = place.study["train"]["backbones"]["tiny"]
    tiny |= {"pretrain_on": None, "finetune": tiny["finetune"] | {"epochs": 80}}
    place.study["train"] |= {
        "mixtures": {"seed": [{"seeds": "all"}]},
        "arms": {"seed": {"backbone": "tiny", "mixture": "seed"}},
        "checkpoints": {"every": 20},
    }
    del place.study["evaluate"]
    with once(place.folder) as first:
        if first:
            at_site(place).run(*finetune_of(place), "--omit-from", "train_finetune")
    return place


def finetune_of(place: Place) -> list[str]:
    """The target that is its training."""
    return [str(place.results.relative_to(place.folder) / "train" / "finetune" / "seed" / "seed_0" / "manifest.json")]


def read_beat(path: Path) -> dict[str, Any]:
    """A heartbeat; {} while it is replaced."""
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}


def test_walltime_ends_a_job_and_training_goes_on_from_its_checkpoint(
    about_to_train: Place, slurm: Slurm, start: Start
) -> None:
    place = about_to_train
    (target,) = finetune_of(place)
    finetune = (place.folder / target).parent

    def beat() -> dict[str, Any]:
        return next((b for b in map(read_beat, place.results.glob("status/*finetune*")) if b), {})

    snakemake = start(place, target, *QUICK, "--set-resources", "train_finetune:runtime=5")
    wait_until((finetune / "checkpoint-40" / "whole.json").exists, 300, "a checkpoint")
    os.kill(beat()["pid"], signal.SIGSTOP)  # it hangs, and is cut when its time is over
    stopped = beat()
    (job,) = jobs_of(slurm, place)
    assert job["limit"] == "5:00"
    run("scontrol", "update", f"jobid={job['id']}", "timelimit=1")  # sooner
    wait_until(lambda: beat()["began"] > stopped["began"], 300, "a second job")
    resumed = wait_until(lambda: beat()["done"], 120, "a step of it")
    assert resumed >= 40  # in its first second a run from the beginning has not come so far
    assert snakemake.wait(timeout=300) == 0, printed(place)[-3000:]
    assert [job["state"] for job in jobs_of(slurm, place)] == ["TIMEOUT", "COMPLETED"]
    steps = len((finetune / "loss.csv").read_text().splitlines()) - 1
    assert steps == beat()["done"] == beat()["total"]


def test_cancelled_job_loses_nothing(
    seeded: Place, undisturbed: dict[str, bytes], slurm: Slurm, start: Start, tmp_path: Path
) -> None:
    place = seeded.copy(tmp_path / "place")
    snakemake = start(place, "dataset", *QUICK, "--retries", "0")
    job = asking(slurm, place)
    run("scancel", job["id"])
    assert snakemake.wait(timeout=300) == 1
    assert "CANCELLED" in printed(place)
    hurried(place).run("dataset")
    assert place.data_files("evolve") == undisturbed
    answered = [r["key"] for r in place.requests() if r["outcome"] == "answered"]
    assert len(answered) - len(set(answered)) <= 2 * SLOW["concurrency"]  # the evolver's and the judge's


def test_second_user_is_refused_and_interrupt_cancels_all(
    seeded: Place, undisturbed: dict[str, bytes], slurm: Slurm, start: Start, tmp_path: Path
) -> None:
    place = seeded.copy(tmp_path / "place")
    snakemake = start(place, "dataset", *QUICK)
    asking(slurm, place)
    refusal = place.run("dataset", *QUICK, expect=1)
    assert "LockException" in refusal and "no other Snakemake process" in refusal
    assert any(map(asks, jobs_of(slurm, place, "RUNNING")))
    os.kill(snakemake.pid, signal.SIGINT)
    assert snakemake.wait(timeout=120) != 0
    assert jobs_of(slurm, place, "PENDING,RUNNING") == []
    hurried(place).run("dataset")
    assert place.data_files("evolve") == undisturbed


def test_out_of_memory_is_a_new_job_with_more(short_of_memory: Place) -> None:
    first, second = json.loads((short_of_memory.folder / "jobs.json").read_text())
    assert first["state"] in ("OUT_OF_MEMORY", "FAILED")  # without cgroups Slurm kills, and has no state for it
    log = next((short_of_memory.folder / ".snakemake" / "slurm_logs").rglob(f"{first['id']}.log")).read_text()
    assert "memory limit" in log, log
    assert second["state"] == "COMPLETED"
    assert (first["memory"], second["memory"]) == ("100M", "800M")
    assert first["id"] != second["id"]
