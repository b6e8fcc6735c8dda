"""A server of your own (vLLM, SGLang, llama.cpp …) that the jobs of one machine and one Snakemake share.

The first job that asks starts a keeper, a small process that starts the server, says where it listens once it answers, and stops it
when no job has used it for a while or Snakemake is gone. A job leaves a mark while it lives (`limits.Mark`), so that one that was
killed does not keep the server. Jobs that one allocation of Slurm runs one after the other are meant to find it started.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import IO
from urllib.error import URLError
from urllib.request import Request, urlopen

from mmevol.config import Connection, Identity, Run
from mmevol.config.endpoints import Serve
from mmevol.endpoint.limits import Mark, folder, living
from mmevol.owner import alive_here, process_start
from mmevol.records import digest
from mmevol.store import write_json

LOOK = 0.2
"""Seconds between two looks at whether the server answers, is used, or has ended."""
GRACE = 20.0
"""Seconds that a server has for its end before it is killed."""


class Unserved(Exception):
    """The server did not come up; says what it said last."""


class Served:
    """A job's use of a server of its study: `base_url` and `token` once `start` has returned."""

    def __init__(self, identity: Identity, connection: Connection, run: Run) -> None:
        assert connection.serve
        self.serve, self.identity = connection.serve, identity
        self.base_url = self.token = ""
        mine = (os.getpid(), process_start(os.getpid()))
        self.parent = (run.parent, run.parent_start) if run.parent_host == socket.gethostname() else mine
        self.name = digest("served", *command(self.serve, identity, port=0), *map(str, self.parent))[:16]
        self._mark: Mark | None = None

    async def start(self) -> None:
        """Wait until the server answers; start it where nobody has. Raises `Unserved`."""
        self._mark = Mark(self.name)
        place = folder() / f"served-{self.name}"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        keeper: subprocess.Popen[bytes] | None = None
        deadline = time.monotonic() + self.serve.ready
        while not (found := running(place)):
            if keeper and keeper.poll():
                raise Unserved(told(place))
            if time.monotonic() > deadline:
                raise Unserved(f"no answer after {self.serve.ready:.0f} s; {told(place)}")
            if (not keeper or keeper.poll() == 0) and not kept(place):
                keeper = self._keeper(place)
            await asyncio.sleep(LOOK)
        self.base_url, self.token = found

    def _keeper(self, place: Path) -> "subprocess.Popen[bytes]":
        """The keeper, in a session of its own: it outlives the job that started it, not Snakemake."""
        given = {"serve": self.serve.dump(), "identity": self.identity.dump(), "parent": list(self.parent)}
        arguments = [sys.executable, "-m", "mmevol.endpoint.serving", str(place), self.name, json.dumps(given)]
        if not shutil.which(program := command(self.serve, self.identity, port=0)[0]):
            raise FileNotFoundError(program)
        nothing = subprocess.DEVNULL
        with open(log_of(place), "ab") as log:
            return subprocess.Popen(arguments, stdin=nothing, stdout=nothing, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """Leave it to the others."""
        if self._mark:
            self._mark.remove()


def command(serve: Serve, identity: Identity, *, port: int) -> list[str]:
    """The server's command line, its variables filled in."""
    values = {"model": identity.model, "revision": identity.revision, "port": port, "gpus": gpus(serve)}
    return shlex.split(Template(serve.command).substitute(values, python=sys.executable))


def gpus(serve: Serve) -> int:
    """GPUs that this job may use: those of the allocation, which several shards may share, else what the study says."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return len(seen.split(",")) if seen else serve.gpus


def running(place: Path) -> tuple[str, str] | None:
    """Base URL and token of the server whose keeper lives."""
    try:
        said = json.loads((place / "server.json").read_text())
    except FileNotFoundError:
        return None
    return (said["base_url"], said["token"]) if alive_here(said["pid"], said["start"]) else None


def kept(place: Path) -> bool:
    """Whether a keeper is at work. Only this machine's memory is locked, never a network file system."""
    with only(place) as lock:
        return lock is None


def told(place: Path) -> str:
    """The server's last words, and where all of them stand."""
    log = log_of(place)
    last = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
    return f"the server's log is {log} on {socket.gethostname()}" + "".join(f"\n  {line}" for line in last)


def log_of(place: Path) -> Path:
    """Where the server writes."""
    return Path(tempfile.gettempdir()) / f"mmevol-{os.getuid()}-{place.name}.log"


# --------------------------------------------------------------------------------------------------------------- the keeper


@contextmanager
def only(place: Path) -> Iterator[IO[str] | None]:
    """The keeper's lock, or None where another holds it; freed by the system however its holder dies."""
    with open(place / "keeper", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield file


def keep(place: Path, name: str, serve: Serve, identity: Identity, parent: tuple[int, str]) -> int:
    """Start the server, say where it is, and stop it when it is no longer used. Returns its exit code where it ended by itself."""
    (place / "server.json").unlink(missing_ok=True)  # of a keeper that was killed
    token = secrets.token_hex(16)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = os.environ | ({serve.token_env: token} if serve.token_env else {})
    base_url = f"http://127.0.0.1:{port}/v1"
    with open(log_of(place), "ab") as log:
        process = subprocess.Popen(
            command(serve, identity, port=port),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with_keeper,
        )
    mine = {"pid": os.getpid(), "start": process_start(os.getpid())}
    key = token if serve.token_env else ""
    said = {"base_url": base_url, "token": key, **mine}
    used = time.monotonic()
    try:
        while process.poll() is None:
            if not (place / "server.json").exists() and answers(base_url, key):
                write_json(place / "server.json", said)
            now, users = time.monotonic(), living(folder() / digest(name)[:16])
            gone = process_start(parent[0]) != parent[1]
            used = now if users else used
            if not users and (gone or now - used > serve.idle) and abandoned(place, name):
                return 0
            time.sleep(LOOK)
        return process.returncode or 1
    finally:
        (place / "server.json").unlink(missing_ok=True)
        end(process)


def abandoned(place: Path, name: str) -> bool:
    """Take the address away, then look again: a job that read it before has left its mark by now."""
    (place / "server.json").unlink(missing_ok=True)
    return not living(folder() / digest(name)[:16])


def answers(base_url: str, token: str) -> bool:
    """Whether the server is up: any server of the protocol lists its models."""
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urlopen(Request(f"{base_url}/models", headers=headers), timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


def end(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server and the processes that it has started."""
    for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue


def _die_with_keeper() -> None:
    """On Linux the server gets SIGTERM when its keeper is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def main() -> int:
    """``python -m mmevol.endpoint.serving FOLDER NAME JSON``, as `Served` starts it."""
    place, given = Path(sys.argv[1]), json.loads(sys.argv[3])
    serve, identity = Serve.model_validate_json(given["serve"]), Identity.model_validate_json(given["identity"])
    with only(place) as lock:
        return keep(place, sys.argv[2], serve, identity, tuple(given["parent"])) if lock else 0


if __name__ == "__main__":
    sys.exit(main())
