"""The cluster, started once for all tests of this folder, and places whose study runs on it through the shipped profile."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import PREFIX, Packages, Slurm, unable
from place import Place, new_place
from shipped import FAST, SLOW, with_site


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A running cluster without accounting."""
    if why := unable():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    cluster = Slurm(folder, Packages())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def at_site(slurm: Slurm) -> Callable[..., Place]:
    """``at_site(place, **site)``: the profile of this site beside a place's study."""

    def at(place: Place, **site: Any) -> Place:
        (place.folder / "slurm").mkdir(exist_ok=True)
        (place.folder / "slurm" / "config.yaml").write_text(with_site(**site))
        return place

    return at


@pytest.fixture
def start(slurm: Slurm) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """``start(place, *arguments)``: Snakemake, left running; neither it nor jobs of its outlive the test."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(place: Place, *arguments: str) -> subprocess.Popen[bytes]:
        running.append(place.start(*arguments))
        return running[-1]

    yield begin
    for snakemake in running:
        if snakemake.poll() is None:
            os.killpg(snakemake.pid, signal.SIGKILL)
            snakemake.wait()
    slurm.cancel_all()


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory, at_site: Callable[..., Place]) -> Place:
    """A small study up to round 0, whose endpoint answers from now on slowly enough to be met in the act."""
    place = new_place(tmp_path_factory.mktemp("seeded") / "place")
    place.study["evolve"]["evolutions"] = {"full": {"rounds": 1}}
    del place.study["train"], place.study["evaluate"]
    place.run("evolve", "--until", "evolve_judge_seeds")
    place.study["endpoints"]["evolver"] |= SLOW
    return at_site(place)


@pytest.fixture(scope="session")
def undisturbed(seeded: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the small study makes where nothing happens: without Slurm, at full speed."""
    place = seeded.copy(tmp_path_factory.mktemp("undisturbed") / "place")
    place.study["endpoints"]["evolver"] |= FAST
    place.run("dataset")
    return place.data_files("evolve")
