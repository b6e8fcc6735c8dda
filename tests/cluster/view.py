"""The cluster as tests see it: one for all processes of a test run, held by a program of its own (daemons.py)."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import daemons
import pytest
from daemons import run, says
from filelock import FileLock
from place import Place, wait_until


@contextmanager
def once(path: Path) -> Iterator[bool]:
    """Whether this process is the first of a test run to come here; others wait until it is through."""
    with FileLock(f"{path}.lock"):
        whole = Path(f"{path}.whole")
        yield not whole.exists()
        whole.touch()


def printed(place: Place) -> str:
    """What Snakemake said in a place."""
    out = place.folder / "snakemake.out"
    return out.read_text() if out.exists() else ""


def runs(output: str) -> list[str]:
    """The names that runs of Snakemake gave their jobs."""
    return re.findall(r"SLURM run ID: (\S+)", output)


class Slurm:
    """The cluster that is held by way of the folder `state`."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def hold(self) -> subprocess.Popen[bytes]:
        """Start the program that holds it."""
        with open(self.state / "log", "wb") as log:
            return subprocess.Popen(
                [sys.executable, daemons.__file__, str(self.state)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def reach(self, stand: str) -> None:
        """Wait until it stands so. Where it cannot be installed, what needs it is skipped."""

        def found() -> str | None:
            return next((name for name in (stand, "unable", "failed") if (self.state / name).exists()), None)

        name = wait_until(found, 600, f"{stand} cluster")
        if name == "unable":
            pytest.skip((self.state / name).read_text())
        assert name == stand, (self.state / name).read_text()

    def account(self) -> None:
        """From now on with an accounting database, and an account `lab` that root may charge."""
        (self.state / "account").touch()
        self.reach("accounted")

    @contextmanager
    def without_controller(self) -> Iterator[None]:
        (self.state / "away").touch()
        wait_until((self.state / "gone").exists, 60, "the controller's end")
        yield
        (self.state / "away").unlink()

    def jobs(self, run: str, states: str = "all") -> list[dict[str, str]]:
        """The jobs of a run (in these states), oldest first: id, state, node, comment, partition, gpus, memory, limit, reason."""
        names = ("id", "state", "node", "comment", "partition", "gpus", "memory", "limit", "reason")
        text = says("squeue", "-h", "-a", "-r", "-n", run, "-t", states, "-o", "%i|%T|%N|%k|%P|%b|%m|%l|%r") or ""
        rows = [dict(zip(names, line.split("|"), strict=True)) for line in text.splitlines()]
        return sorted(rows, key=lambda row: [int(n) for n in row["id"].split("_")])


@contextmanager
def started(slurm: Slurm, place: Place, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Snakemake, left running; neither it nor jobs of its outlive the block."""
    snakemake = place.start(*arguments)
    try:
        yield snakemake
    finally:
        if snakemake.poll() is None:
            os.killpg(snakemake.pid, signal.SIGKILL)
            snakemake.wait()
        for name in runs(printed(place)):
            says("scancel", "--name", name)
        wait_until(lambda: not jobs_of(slurm, place, "PENDING,RUNNING,COMPLETING"), 60, "the end of its jobs")


def jobs_of(slurm: Slurm, place: Place, states: str = "all") -> list[dict[str, str]]:
    """The jobs of the only run in a place, oldest first."""
    return [job for run_ in runs(printed(place)) for job in slurm.jobs(run_, states)]


def asks(job: dict[str, str]) -> bool:
    return "evolve_ask" in job["comment"]


def asking(slurm: Slurm, place: Place) -> dict[str, str]:
    """Wait until a job of round 1 runs and has been answered some requests; the job."""

    def running() -> dict[str, str] | None:
        return next(filter(asks, jobs_of(slurm, place, "RUNNING")), None)

    job = wait_until(running, 300, "a running job of evolve_ask")
    already = len(place.requests())
    wait_until(lambda: len(place.requests()) > already + 6, 120, "some requests of round 1")
    return job


def accounted(output: str) -> list[dict[str, str]]:
    """The jobs of a run as the accounting database knows them."""
    (run_,) = runs(output)
    names = ("JobID", "State", "Partition", "Account", "AllocTRES", "NodeList", "Comment")
    rows = run("sacct", "-X", "-n", "-P", "--delimiter=;", "-o", ",".join(names), "--name", run_)
    return [dict(zip(names, row.split(";"), strict=True)) for row in rows.splitlines()]


def rule_of(job: dict[str, str]) -> str:
    """The rule of a job; of a group its name and its rules, of a shard's round its rules."""
    return re.sub("^rule_(evolve_full_[0-9]+_[0-9]+_)?(.*?)(_wildcards_.*)?$", r"\2", job["Comment"])
