"""A disk that is full or read-only, in the middle of a round: a clear end, nothing corrupt, and a run that goes on from there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmevol.cache.survey import stats, verify
from mmevol.config import AskSettings, Run
from mmevol.disk import at, explained
from mmevol.progress import Heartbeat
from mmevol.store import order_of, write_json, write_rows
from scripted import Heard, Server, connection, good, identity, record

RECORDS = 60


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,nr_inodes=9k", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("a file system of its own can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def asks(tmp_path: Path, server: Server) -> Any:
    """Runs `mmevol evolve ask` over the records: results and replies where it is told."""
    write_rows(
        tmp_path / "seeds.parquet", "seed", sorted(map(record, map(str, range(RECORDS))), key=lambda r: order_of(r.key))
    )
    settings = AskSettings(seed=1, round=1, directions={"reasoning": 1}, evolver="e", evolver_identity=identity())

    def run(results: Path, replies: Path, status: Path | None = None) -> subprocess.CompletedProcess[str]:
        facts = Run(connections={"e": connection(server)}, status=str(status) if status else None)
        (tmp_path / "run.json").write_text(facts.dump())
        options = ["--settings", settings.dump(), "--run", f"@{tmp_path / 'run.json'}", "--shard", 0]
        paths = ["--seeds", tmp_path / "seeds.parquet", "--out", results / "c/0.parquet", "--usage", results / "u.json"]
        command = [sys.executable, "-m", "mmevol", "evolve", "ask", *options, *paths]
        environment = os.environ | {"MMEVOL_REPLIES": str(replies)}
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)

    return run


def long_answers(n: int, heard: Heard) -> dict[str, Any]:
    """60 kB an answer; most are too many."""
    return good(heard.block) | {"thought": "word " * 12_000}


def stopped(done: subprocess.CompletedProcess[str], what: str, where: Path) -> None:
    """It ended with 1 and said what, where and what to do, and nothing else."""
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"stopped: {where}/")
    assert f": {what}; " in line
    assert "run again to go on" in line


def test_a_full_disk_under_the_reply_store(tmp_path: Path, small: Path, server: Server, asks: Any) -> None:
    server.answer = long_answers
    stopped(asks(tmp_path / "r", small / "replies", tmp_path / "status"), "No space left on device", small / "replies")
    assert not (tmp_path / "r/c/0.parquet").exists()
    kept = stats(small / "replies").answers
    assert 0 < kept < RECORDS
    assert not [finding for finding in verify(small / "replies") if finding.damage]
    asked = len(server.heard)
    subprocess.run(["mount", "-o", "remount,size=9m", small], check=True)
    assert asks(tmp_path / "r", small / "replies").returncode == 0
    assert len(server.heard) - asked == RECORDS - kept
    assert asks(tmp_path / "other", tmp_path / "fresh").returncode == 0
    assert (tmp_path / "r/c/0.parquet").read_bytes() == (tmp_path / "other/c/0.parquet").read_bytes()


def test_a_full_disk_under_the_results(tmp_path: Path, small: Path, server: Server, asks: Any) -> None:
    with pytest.raises(OSError, match="No space"), open(small / "filler", "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    os.truncate(small / "filler", 3 * 2**20 - 3 * 4096)
    stopped(asks(small / "r", tmp_path / "replies", tmp_path / "status"), "No space left on device", small)
    assert not (small / "r/c/0.parquet").exists()
    asked = len(server.heard)
    (small / "filler").unlink()
    assert asks(small / "r", tmp_path / "replies").returncode == 0
    assert len(server.heard) == max(asked, RECORDS)
    assert not list(small.rglob("*.tmp"))


def test_a_read_only_folder(tmp_path: Path, small: Path, server: Server, asks: Any) -> None:
    (small / "replies/requests").mkdir(parents=True)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    stopped(asks(tmp_path / "r", small / "replies"), "Read-only file system", small / "replies")
    stopped(asks(small / "r", tmp_path / "replies"), "Read-only file system", small)
    assert len(server.heard) == 0
    subprocess.run(["mount", "-o", "remount,rw", small], check=True)
    assert asks(small / "r", small / "replies").returncode == 0


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours forward and back at every look: no wait, limit or takeover goes by it."""
    from mmevol.evolve.ask import ask

    seeds = tmp_path / "seeds.parquet"
    write_rows(seeds, "seed", sorted(map(record, map(str, range(RECORDS))), key=lambda r: order_of(r.key)))
    settings = AskSettings(seed=1, round=1, directions={"reasoning": 1}, evolver="e", evolver_identity=identity())
    real, looks = time.time, 0

    def jumping() -> float:
        nonlocal looks
        looks += 1
        return real() + (7200 if looks % 2 else -7200)

    for name in ("steady", "jumping"):
        monkeypatch.setenv("MMEVOL_REPLIES", str(tmp_path / name / "replies"))
        run = Run(connections={"e": connection(server)}, status=str(tmp_path / name / "status"))
        out, usage = tmp_path / name / "c/0.parquet", tmp_path / name / "u.json"
        ask(settings, run, shard=0, seeds=seeds, frontier=None, out=out, usage=usage)
        monkeypatch.setattr(time, "time", jumping)
    assert looks > 0
    assert (tmp_path / "steady/c/0.parquet").read_bytes() == (tmp_path / "jumping/c/0.parquet").read_bytes()
    assert len(server.heard) == 2 * RECORDS


def test_a_rate_does_not_go_by_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Heartbeat(Run(status=str(tmp_path)), job="j", total=10) as beat:
        beat.advance(5)
        monkeypatch.setattr(time, "time", lambda: 0.0)
    assert '"rate":0' not in (tmp_path / "j.json").read_text()


def test_a_heartbeat_that_cannot_be_written_hides_no_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the real one"), Heartbeat(Run(status=str(tmp_path / "s")), job="j"):
        (tmp_path / "s/j.json").unlink()
        (tmp_path / "s").rmdir()
        (tmp_path / "s").touch()
        raise ValueError("the real one")


def test_other_errors_are_not_the_disks(tmp_path: Path) -> None:
    assert explained(ConnectionRefusedError(111, "no")) is None
    with pytest.raises(OSError, match="broken picture") as error, at(tmp_path):
        raise OSError("broken picture")
    assert explained(error.value) is None
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError) as error:
        write_json(tmp_path / "file" / "x", 1)
    assert explained(error.value) is None
