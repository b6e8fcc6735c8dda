import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mmevol import progress
from mmevol.config import Run
from mmevol.owner import Owner, process_start
from mmevol.progress import Heartbeat, shown
from mmevol.store import write_json


def state(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "evolve.full.round_1.0.json").read_text())
    return value


def test_a_heartbeat_says_how_far_a_job_is(tmp_path: Path) -> None:
    with Heartbeat(Run(status=str(tmp_path)), job="evolve/full/round_1/0", total=10) as beat:
        assert state(tmp_path)["state"] == "running"
        beat.advance(3, money=0.5)
        beat.advance(1, errors=2)
    end = state(tmp_path)
    assert (end["state"], end["done"], end["total"], end["money"], end["errors"]) == ("done", 4, 10, 0.5, 2)
    assert end["rate"] > 0
    assert end["eta"] >= 0
    assert end["pid"] == os.getpid()


def test_whom_a_job_waits_for_is_in_the_heartbeat_until_the_wait_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bucket"
    folder.mkdir()
    with Heartbeat(Run(status=str(tmp_path)), job="evolve/full/round_1/0") as beat:
        first, second = Owner([folder], "another job"), Owner([folder], "this job", beat.waits)
        first.acquire()
        taking = threading.Thread(target=second.acquire)
        taking.start()
        while "waiting" not in beat.facts:
            time.sleep(0.01)
        assert "another job" in shown(beat.facts)
        first.release()
        taking.join()
        assert shown(beat.facts) == ""
        second.release()
    assert capsys.readouterr().err.count("waiting:") == 1


def test_a_job_that_fails_is_said_to_have_failed(tmp_path: Path) -> None:
    with pytest.raises(ValueError), Heartbeat(Run(status=str(tmp_path)), job="evolve/full/round_1/0"):
        raise ValueError
    assert state(tmp_path)["state"] == "failed"
    assert state(tmp_path)["eta"] is None


def test_the_last_word_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk must not bring "running" to the file after "done", nor make the two writers trip over each other."""

    def slow(path: Path, value: dict[str, Any]) -> None:
        if value["state"] == "running":
            time.sleep(0.3)
        write_json(path, value)

    monkeypatch.setattr(progress, "write_json", slow)
    with Heartbeat(Run(status=str(tmp_path)), job="evolve/full/round_1/0"):
        time.sleep(1.05)
    time.sleep(0.4)
    assert state(tmp_path)["state"] == "done"


def test_a_command_run_by_hand_without_a_terminal_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with Heartbeat(Run(), job="evolve/full/round_1/0", total=2) as beat:
        beat.advance(2)
    assert capsys.readouterr() == ("", "")


JOB = """
import sys, time
from mmevol.config import Run
from mmevol.progress import end_with_parent
end_with_parent(Run.model_validate_json(sys.argv[1]))
print("working", flush=True)
time.sleep(60)
"""


def job(**facts: Any) -> subprocess.Popen[str]:
    run = Run(**{"parent_host": socket.gethostname()} | facts).dump()
    return subprocess.Popen([sys.executable, "-c", JOB, run], stdout=subprocess.PIPE, text=True)


def test_a_job_ends_within_two_seconds_of_its_snakemakes_death() -> None:
    with (
        subprocess.Popen(["sleep", "60"]) as parent,
        job(parent=parent.pid, parent_start=process_start(parent.pid)) as child,
    ):
        assert child.stdout
        assert child.stdout.readline() == "working\n"
        time.sleep(0.7)
        assert child.poll() is None
        os.kill(parent.pid, signal.SIGKILL)
        began = time.monotonic()
        assert child.wait(10) == 1
        assert time.monotonic() - began < 2


def test_a_reused_pid_is_not_the_snakemake_that_started_the_job() -> None:
    with job(parent=os.getpid(), parent_start="1") as child:
        assert child.wait(10) == 1


def test_a_snakemake_on_another_host_is_not_looked_for() -> None:
    with job(parent=2**22 + 1, parent_start="1", parent_host="elsewhere") as child:
        assert child.stdout
        assert child.stdout.readline() == "working\n"
        time.sleep(0.7)
        assert child.poll() is None
        child.kill()


def test_facts_read_well_in_a_line() -> None:
    facts = {"asked": 12345, "money": 0.5, "errors": {"429": 3, "timeout": 1}, "step": "warm"}
    assert shown(facts) == "asked=12,345 money=0.5 errors=429×3,timeout×1 step=warm"
    assert shown({"errors": {}}) == ""
