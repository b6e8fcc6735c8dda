import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from mmevol.config import Faults
from mmevol.records import BadInput
from mmevol.teacher import command
from mmevol.teacher.faults import planted

from .test_faults import request


def stored(path: Path, count: int = 10) -> Path:
    rows = [
        {"key": str(key), "attempt": 0, "request": request().model_dump(mode="json", by_alias=True), "items": {}}
        for key in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_faults_are_told_from_stored_requests(tmp_path: Path) -> None:
    rates = Faults(invented_box=0.5)
    command.faults(stored(tmp_path / "requests"), tmp_path / "rows", faults=rates.dump())
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert rows == list(planted(rates, [(str(key), 0, request()) for key in range(10)]))
    assert {row["fault"] for row in rows} == {None, "invented_box"}


def test_an_empty_file_tells_of_nothing(tmp_path: Path) -> None:
    command.faults(stored(tmp_path / "requests", 0), tmp_path / "rows")
    assert (tmp_path / "rows").read_text() == ""


@pytest.mark.parametrize("line", ["nonsense", "{}", '{"key": "k", "attempt": 0, "request": {"task": "cook"}}', "[1]"])
def test_a_line_that_is_no_request_is_named(tmp_path: Path, line: str) -> None:
    path = stored(tmp_path / "requests", 1)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(BadInput, match=r"requests:2"):
        command.faults(path, tmp_path / "rows")
    assert not (tmp_path / "rows").exists()


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(BadInput, match="gremlins"):
        command.serve(faults='{"gremlins": 1}')
    with pytest.raises(BadInput, match="hang"):
        command.serve(faults='{"hang": 2}')


def test_a_token_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(command.TOKEN, raising=False)
    with pytest.raises(BadInput, match=command.TOKEN):
        command.serve()
    open_file = tmp_path / "token"
    open_file.write_text("secret")
    open_file.chmod(0o644)
    with pytest.raises(BadInput, match="600"):
        command.serve(token_file=open_file)


def test_a_token_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = command.token_of(path)
    assert len(token) == 32 and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert command.token_of(path) == token


def test_the_url_goes_to_a_descriptor() -> None:
    read, write = os.pipe()
    command.announce("http://127.0.0.1:1/v1", str(write))
    os.close(write)
    assert os.read(read, 100) == b"http://127.0.0.1:1/v1\n"
    os.close(read)


def test_the_commands_load_no_server() -> None:
    code = (
        "import sys, mmevol.teacher.command; print([m for m in ('aiohttp', 'openai', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
