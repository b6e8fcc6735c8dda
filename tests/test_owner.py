"""Ownership among real processes: waiting for the living, taking over from the dead."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mmevol import owner
from mmevol.owner import Owner, process_start

HOLD = """
import sys
from pathlib import Path
from mmevol.owner import Owner
held = Owner([Path(p) for p in sys.argv[1:]], "job")
held.acquire()
print("mine", flush=True)
sys.stdin.read()
held.release()
print("given back", flush=True)
"""

COUNT = """
import sys, time
from pathlib import Path
from mmevol.owner import Owner
folder, counter = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(3):
    held = Owner([folder], "job")
    held.acquire()
    n = int(counter.read_text())
    time.sleep(0.01)
    counter.write_text(str(n + 1))
    held.release()
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that runs a script; all are gone at the end."""
    running: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def lonely(folder: Path, **fields: object) -> Path:
    """An owner file of somebody."""
    folder.mkdir(exist_ok=True)
    path = folder / "owner"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": "1", "job": "theirs", **fields}))
    return path


def acquired(folder: Path) -> float:
    """Seconds that it took to become the owner."""
    began = time.monotonic()
    mine = Owner([folder], "me")
    mine.acquire()
    took = time.monotonic() - began
    mine.release()
    return took


def test_a_second_writer_waits_for_a_live_owner(tmp_path: Path, start: Start) -> None:
    first = start(HOLD, tmp_path / "b", tmp_path / "a")
    assert said(first) == "mine"
    waits: list[str] = []
    second = Owner([tmp_path / "a", tmp_path / "b"], "second", waits.append)
    thread = threading.Thread(target=second.acquire, daemon=True)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    assert str(first.pid) in waits[0]
    first.communicate("")
    thread.join(5)
    assert len(waits) == 2, "it is said once, not every moment and not for each folder"
    assert waits[1] == "", "and once that it is over"
    assert json.loads((tmp_path / "a" / "owner").read_text())["job"] == "second"
    second.release()
    assert not list(tmp_path.rglob("*owner*"))


def test_a_killed_owner_is_followed_at_once(tmp_path: Path, start: Start) -> None:
    first = start(HOLD, tmp_path / "a")
    assert said(first) == "mine"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert acquired(tmp_path / "a") < 1
    assert not list((tmp_path / "a").iterdir())


def test_a_reused_pid_is_not_its_predecessor(tmp_path: Path) -> None:
    lonely(tmp_path, host=socket.gethostname(), pid=os.getpid(), start="1")
    assert acquired(tmp_path) < 1


def test_an_owner_elsewhere_lives_as_long_as_its_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "PATIENCE", 0.7)
    path = lonely(tmp_path)
    os.utime(path, (2_000_000_000, 2_000_000_000))  # its clock is years ahead of ours
    stop = threading.Event()

    def beat() -> None:
        for second in range(6):
            os.utime(path, (second, second))
            stop.wait(0.3)

    heart = threading.Thread(target=beat)
    heart.start()
    took = acquired(tmp_path)
    heart.join()
    assert 1.5 + 0.7 < took < 6


def test_what_a_dead_job_elsewhere_held_is_free_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "PATIENCE", 1)
    folders = [tmp_path / str(n) for n in range(8)]
    for folder in folders:
        lonely(folder)
    began = time.monotonic()
    mine = Owner(folders, "me")
    mine.acquire()
    assert 1 < time.monotonic() - began < 4
    mine.release()


def test_an_owner_file_that_a_power_failure_emptied_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "PATIENCE", 0.3)
    (tmp_path / "owner").touch()
    assert 0.3 < acquired(tmp_path) < 3


def test_the_owner_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "HEARTBEAT", 0.05)
    mine = Owner([tmp_path / "a", tmp_path / "b"], "me")
    mine.acquire()
    (tmp_path / "a" / "owner").unlink()  # one that is gone must not end the others' signs
    os.utime(tmp_path / "b" / "owner", (1, 1))
    time.sleep(0.3)
    assert (tmp_path / "b" / "owner").stat().st_mtime > 1
    mine.release()


def test_an_owner_that_was_thought_dead_leaves_its_successor_alone(tmp_path: Path) -> None:
    mine = Owner([tmp_path], "me")
    mine.acquire()
    theirs = lonely(tmp_path).read_text()
    mine.release()
    assert (tmp_path / "owner").read_text() == theirs


def test_waiting_ends_when_it_is_given_up(tmp_path: Path, start: Start) -> None:
    assert said(start(HOLD, tmp_path)) == "mine"
    ended: list[BaseException] = []
    mine = Owner([tmp_path], "me")

    def wait() -> None:
        try:
            mine.acquire()
        except RuntimeError as error:
            ended.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.1)
    mine.release()
    thread.join(3)
    assert "gave up" in str(ended[0])
    assert (tmp_path / "owner").exists()


def test_of_many_there_is_one_at_a_time(tmp_path: Path, start: Start) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    lonely(tmp_path / "a", host=socket.gethostname(), pid=2**22 + 1)  # no pid of Linux is that high
    many = [start(COUNT, tmp_path / "a", counter) for _ in range(4)]
    assert [process.wait(60) for process in many] == [0] * 4
    assert counter.read_text() == "12"


def test_the_start_of_a_process_tells_the_living_from_the_dead(start: Start) -> None:
    process = start("import sys; sys.stdin.read()")
    alive = process_start(process.pid)
    assert alive
    assert process_start(process.pid) == alive != process_start(os.getpid())
    os.kill(process.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert process_start(process.pid) is None  # a zombie until it is waited for
    process.wait()
    assert process_start(process.pid) is None
