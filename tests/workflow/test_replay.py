"""A study's archive in another place: the same datasets, and nobody is asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from place import Place, new_place

pytestmark = pytest.mark.workflow


def cache(place: Place, *arguments: str | Path) -> str:
    command = [sys.executable, "-m", "mmevol", "cache", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place.folder, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_datasets_are_made_again_from_an_archive(done: Place, tmp_path: Path) -> None:
    archive = tmp_path / "answers.tar.zst"
    cache(done, "export", "study.yaml", "--out", archive)
    place = new_place(tmp_path / "later")
    assert "0 were there" in cache(place, "replay", archive)
    place.run("dataset")
    ours, theirs = place.data_files("evolve"), done.data_files("evolve")
    datasets = {name for name in theirs if name.endswith("/evolved.parquet")}
    assert datasets
    assert {name: ours[name] for name in datasets} == {name: theirs[name] for name in datasets}
    assert place.requests() == []
    assert "nothing is damaged" in cache(place, "verify")
