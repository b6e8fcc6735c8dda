"""One writer at a time for a folder, on local disks and network file systems alike.

The owner is a file that names host, pid, process start and job, put there by `link`, which is atomic on every file system that
the store may lie on; no advisory lock is used, since network file systems may ignore those. A second writer waits while the
owner lives: on this host its process is looked up, elsewhere its heartbeat (the file's modification time) must change within
`PATIENCE`, by the waiter's own clock, so that clocks need not agree. A dead owner's file is renamed away, which only one
waiter can do.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmevol.disk import at

HEARTBEAT = 5.0
"""Seconds between two signs of life."""
PATIENCE = 60.0
"""Seconds without a sign of life after which an owner on another host counts as dead."""


def process_start(pid: int) -> str | None:
    """When a process of this host began, as an opaque text; None if there is none. Tells a reused pid from its predecessor."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


def alive_here(pid: int, start: str) -> bool:
    """Whether the process of this host that began then still runs."""
    if Path("/proc/self/stat").exists():
        return process_start(pid) == start
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


LOST = '{"host": "", "pid": 0, "job": "a job whose owner file a power failure emptied"}'


class Owner:
    """Ownership of many folders by this process, taken in the order given (the same everywhere, so no two wait for each other).

    `on_wait` is told whom it waits for, and '' when all are taken.
    """

    def __init__(self, folders: list[Path], job: str, on_wait: Callable[[str], None] | None = None) -> None:
        self.folders, self.job, self.on_wait = sorted(folders), job, on_wait
        self._told = ""
        me = {"host": socket.gethostname(), "pid": os.getpid(), "start": process_start(os.getpid()), "job": job}
        self._me = json.dumps(me)
        self._held: list[Path] = []
        self._seen: dict[Path, tuple[tuple[str, int] | None, float]] = {}
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None

    def acquire(self) -> None:
        """Wait until every folder is ours. Raises `RuntimeError` when `release` is called meanwhile."""
        mine: Path | None = None
        try:
            for folder in self.folders:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if mine is None:
                    mine = folder / f".owner.{socket.gethostname()}.{os.getpid()}"
                    with at(mine):
                        mine.write_text(self._me)
                self._acquire_one(mine, folder)
                self._held.append(folder / "owner")
                if not self._beat:
                    self._beat = threading.Thread(target=self._heartbeat, daemon=True)
                    self._beat.start()
        finally:
            if mine:
                mine.unlink()
        if self.on_wait and self._told:
            self.on_wait("")

    def release(self) -> None:
        """Give every folder back."""
        self._stop.set()
        if self._beat:
            self._beat.join()
        while self._held:
            path = self._held.pop()
            if path.exists() and path.read_text() == self._me:  # else another took it over while this host slept
                path.unlink()

    def _heartbeat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            for path in list(self._held):
                with suppress(OSError):  # one that is gone or out of reach must not end the others' signs
                    os.utime(path)

    def _acquire_one(self, mine: Path, folder: Path) -> None:
        while not self._stop.is_set():
            try:
                os.link(mine, folder / "owner")
                return
            except FileExistsError:
                self._wait(folder)
        raise RuntimeError(f"gave up waiting for {folder}")

    def _wait(self, folder: Path) -> None:
        """Wait a moment for a live owner, or put a dead one's file out of the way."""
        if not self._seen:  # of all folders at once, so that what a dead job held is free together
            began = time.monotonic()
            self._seen = {each: (_sign(each / "owner"), began) for each in self.folders}
        path = folder / "owner"
        sign = _sign(path)
        if sign != self._seen[folder][0]:
            self._seen[folder] = (sign, time.monotonic())
        if sign is None:
            return
        text, _ = sign
        owner: dict[str, Any] = json.loads(text or LOST)
        dead = (
            not alive_here(owner["pid"], owner["start"])
            if owner["host"] == socket.gethostname()
            else time.monotonic() - self._seen[folder][1] > PATIENCE
        )
        if dead:
            grave = path.with_name(f".dead.{socket.gethostname()}.{os.getpid()}")
            try:
                path.rename(grave)
            except FileNotFoundError:
                return
            if grave.read_text() != text:  # another waiter took over between our look and our rename: give it back
                os.link(grave, path)
            grave.unlink()
        else:
            if self.on_wait and text != self._told:  # once an owner, however many folders it holds
                self._told = text
                self.on_wait(f"{path.parent} is held by {owner['job']} (pid {owner['pid']} on {owner['host']})")
            time.sleep(0.2)


def _sign(path: Path) -> tuple[str, int] | None:
    """An owner file's text and last heartbeat; None where there is no owner."""
    try:
        return path.read_text(), path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
