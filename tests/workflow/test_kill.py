"""Death in the middle of round 2: nothing lost, nothing paid for twice, no orphan, the same bytes as a run that lived."""

from pathlib import Path

import pytest
from place import Place, children, command_line, kill, new_place, wait_until

pytestmark = pytest.mark.workflow

CONCURRENCY = 1


def in_round_two(place: Place) -> int | None:
    """The pid of a running `evolve ask` of round 2 that has asked something."""
    for proc in Path("/proc").glob("[0-9]*"):
        line = command_line(int(proc.name))
        asks = "mmevol evolve ask" in line and '"round":2' in line and "python" in line.split(" ")[0]
        if asks and Path(f"/proc/{proc.name}/cwd").resolve() == place.folder.resolve():
            return int(proc.name)
    return None


def asked_in_round_two(place: Place, already: int) -> bool:
    return len(place.requests()) > already + 10


def test_kill_of_a_job_and_of_snakemake(done: Place, tmp_path: Path) -> None:
    place = new_place(tmp_path / "killed")
    place.study["endpoints"]["evolver"]["concurrency"] = (
        CONCURRENCY  # slow enough to be met in the act; changes no data
    )
    for victim in ("job", "snakemake"):
        snakemake = place.start("dataset")
        job = wait_until(lambda: in_round_two(place), 120, "an evolve job of round 2")
        already = len(place.requests())
        wait_until(
            lambda a=already: asked_in_round_two(place, a) or in_round_two(place) is None,
            60,
            "some requests of round 2",
        )
        below = children(snakemake.pid)
        if victim == "job":
            kill(job)
            assert snakemake.wait(timeout=120) != 0
        else:
            kill(snakemake.pid)
            snakemake.wait(timeout=10)
        wait_until(lambda b=below: not [p for p in b if "mmevol" in command_line(p)], 15, "the end of all jobs")
        if victim == "snakemake":
            assert "LockException" in place.run("dataset", expect=1)
            place.run("--unlock")
    place.run("dataset")
    theirs = done.data_files("seeds", "evolve")
    assert {k: v for k, v in place.data_files("seeds", "evolve").items() if theirs.get(k) != v} == {}
    answered = [r["key"] for r in place.requests() if r["outcome"] == "answered"]
    assert len(answered) - len(set(answered)) <= 2 * 2 * CONCURRENCY
