"""The cluster, started once for all processes of a test run, and places whose study runs on it through the shipped profile."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from daemons import GPUS, run, unable
from place import Place, children, command_line, new_place, wait_until
from shipped import FAST, QUICK, SLOW, at_site
from view import Slurm, asking, jobs_of, once, runs, started

Start = Callable[..., subprocess.Popen[bytes]]
LOOKING_SOON = ("--slurm-init-seconds-before-status-checks", "2")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole test run."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session")
def bare(shared: Path) -> Iterator[Slurm]:
    """A running cluster without accounting."""
    if why := unable():
        pytest.skip(why)
    state = shared / "slurm"
    state.mkdir(exist_ok=True)
    cluster = Slurm(state)
    holder = None
    try:
        with open(state / "users", "w") as users:
            fcntl.flock(users, fcntl.LOCK_SH)  # the cluster ends with the last of its users
            with once(state / "holder") as first:
                holder = cluster.hold() if first else None
            cluster.reach("bare")
            yield cluster
    finally:
        if holder:
            holder.wait()


@pytest.fixture(scope="session")
def short_of_memory(bare: Slurm, shared: Path) -> Place:
    """A run whose job lacks memory, while the cluster has no accounting; what Slurm knew of its jobs is in ``jobs.json``."""
    place = new_place(shared / "short_of_memory")
    with once(place.folder) as first:
        if first:
            world = str(place.results.relative_to(place.folder) / "seeds" / "world.jsonl")
            output = at_site(place).run(world, *QUICK, "--set-resources", "seeds_draw:mem_mb=attempt**3*100")
            (place.folder / "jobs.json").write_text(json.dumps(bare.jobs(*runs(output))))
    return place


@pytest.fixture(scope="session")
def drained(bare: Slurm, short_of_memory: Place, seeded: Place, shared: Path) -> Place:
    """A run that loses a node, and for a while the controller; ``facts.json`` says which node, how it ended, and with what jobs.

    Before the other runs, whose jobs would miss the controller too: a step that is to begin without it waits a minute.
    """
    folder = shared / "drained"
    with once(folder) as first:
        if not first:
            return Place(folder, seeded.study)
        place = seeded.copy(folder)
        place.study["endpoints"]["evolver"]["limits"] = {"requests_per_minute": 100}
        with started(bare, place, "dataset", *QUICK, *LOOKING_SOON) as snakemake:
            node = asking(bare, place)["node"]
            run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
            with bare.without_controller():
                wait_until(lambda: looks(snakemake.pid), 120, "a look of Snakemake's")
                time.sleep(3)  # it finds none
            facts = {"node": node, "exit": snakemake.wait(timeout=300), "jobs": jobs_of(bare, place)}
        run("scontrol", "update", f"nodename={node}", "state=resume")
        (folder / "facts.json").write_text(json.dumps(facts))
    return place


def looks(snakemake: int) -> bool:
    """Whether it asks now how its jobs are."""
    return any(command_line(pid).startswith(("scontrol", "squeue")) for pid in children(snakemake))


@pytest.fixture(scope="session")
def slurm(bare: Slurm, short_of_memory: Place, drained: Place) -> Slurm:
    """The cluster with accounting."""
    bare.account()
    return bare


@pytest.fixture(scope="session")
def done(slurm: Slurm, shared: Path) -> Place:
    """The test study, run on the cluster; what Snakemake said is in ``snakemake.out``."""
    place = new_place(shared / "done")
    tiny = place.study["train"]["backbones"]["tiny"]
    tiny |= {"machines": {"finetune": {"gpus": GPUS}}, "finetune": tiny["finetune"] | {"per_device": 4}}
    place.study["evaluate"]["gpus"] = 1
    with once(place.folder) as first:
        if first:
            at_site(place, accounting="true", account="lab", before='"touch before"')
            (place.folder / "snakemake.out").write_text(place.run(*QUICK))
    return place


@pytest.fixture
def start(slurm: Slurm) -> Iterator[Start]:
    """``start(place, *arguments)``: Snakemake, left running; neither it nor jobs of its outlive the test."""
    with ExitStack() as stack:
        yield lambda place, *arguments: stack.enter_context(started(slurm, place, *arguments))


@pytest.fixture(scope="session")
def seeded(shared: Path) -> Place:
    """A small study up to round 0, whose endpoint answers from now on slowly enough to be met in the act."""
    place = new_place(shared / "seeded")
    place.study["evolve"]["evolutions"] = {"full": {"rounds": 1}}
    del place.study["train"], place.study["evaluate"]
    with once(place.folder) as first:
        if first:
            at_site(place).run("evolve", "--until", "evolve_judge_seeds")
    place.study["endpoints"]["evolver"] |= SLOW
    return place


@pytest.fixture(scope="session")
def undisturbed(seeded: Place, shared: Path) -> dict[str, bytes]:
    """What the small study makes where nothing happens: without Slurm, at full speed."""
    folder = shared / "undisturbed"
    with once(folder) as first:
        place = seeded.copy(folder) if first else Place(folder, seeded.study)
        if first:
            place.study["endpoints"]["evolver"] |= FAST
            place.run("dataset")
    return place.data_files("evolve")
