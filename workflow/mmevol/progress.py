"""Progress is data: a long job says what it has done, at what rate, and when it will be done.

On a terminal a command shows a bar; in a workflow it writes a heartbeat file in the study's ``status/`` that `mmevol status`
reads. A job also ends by itself, within two seconds, when the Snakemake that started it is dead.
"""

import os
import socket
import sys
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Self

from mmevol.config import Run
from mmevol.owner import process_start
from mmevol.store import write_json


def shown(facts: dict[str, Any]) -> str:
    """Facts as people read them in a line; what is counted by kind as ``errors=429×3,timeout×1``."""
    texts = {
        name: ",".join(f"{kind}×{n}" for kind, n in value.items()) if isinstance(value, dict) else f"{value:,}"
        for name, value in facts.items()
        if isinstance(value, dict | int | float)
    }
    return " ".join(f"{name}={text}" for name, text in (facts | texts).items() if text)


def waiting(text: str) -> None:
    """Say whom a job waits for; nothing when the wait is over ('')."""
    if text:
        print(f"waiting: {text}", file=sys.stderr, flush=True)


class Heartbeat:
    """``with Heartbeat(run, job="evolve/full/round_1/0", total=n) as beat: beat.advance(1, money=…)``."""

    def __init__(self, run: Run, *, job: str, total: int | None = None, unit: str = "records") -> None:
        self.run, self.job, self.total, self.unit = run, job, total, unit
        self.done = 0
        self.facts: dict[str, Any] = {}
        self._began, self._since = time.time(), time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._every_second, daemon=True)
        self._bar: Any = None
        self._path = Path(run.status) / (job.replace("/", ".") + ".json") if run.status else None

    def __enter__(self) -> Self:
        if self._path:
            self._write("running")
            self._thread.start()
        elif sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
            self._bar = Progress(*columns, TextColumn("{task.fields[facts]}"), console=Console(stderr=True))
            self._task = self._bar.add_task(self.job, total=self.total, facts="")
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if self._path:
            self._thread.join()  # else its last "running" could come after this
            with suppress(OSError) if kind else nullcontext():
                self._write("failed" if kind else "done")
        if self._bar:
            self._bar.stop()

    def advance(self, steps: int = 1, **facts: Any) -> None:
        """So many more done; facts (money, errors, loss …) are shown beside."""
        self.done += steps
        self.facts |= facts
        if self._bar:
            self._bar.update(self._task, completed=self.done, facts=shown(self.facts))

    def waits(self, text: str) -> None:
        """Say whom the job waits for, also in the heartbeat, until told that the wait is over ('')."""
        waiting(text)
        self.advance(0, waiting=text)

    def _every_second(self) -> None:
        while not self._stop.wait(1):
            with suppress(OSError):  # a full disk ends the job where it writes data, and says so there
                self._write("running")

    def _write(self, state: str) -> None:
        assert self._path
        seconds = time.monotonic() - self._since
        rate = self.done / seconds if seconds > 0 else 0
        eta = (self.total - self.done) / rate if self.total and rate else None
        value = {
            "job": self.job,
            "state": state,
            "done": self.done,
            "total": self.total,
            "unit": self.unit,
            "rate": round(rate, 2),
            "eta": None if eta is None else round(eta),
            "began": self._began,
            "now": time.time(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            **self.facts,
        }
        write_json(self._path, value)


def end_with_parent(run: Run) -> None:
    """Watch the Snakemake that started this job, and end the whole process when it is gone (SIGKILL included)."""
    if run.parent is None or run.parent_host != socket.gethostname():
        return
    pid, start = run.parent, run.parent_start

    def watch() -> None:
        while process_start(pid) == start:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
