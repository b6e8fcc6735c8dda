"""Starting and stopping the embedded teacher for a job that needs it.

The teacher is a child process on a free loopback port. It ends when its standard input closes, so it never outlives the job,
however the job dies. A real endpoint is never started or stopped.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmevol.config import Connection, Identity


class EmbeddedTeacher:
    """A running embedded teacher: `base_url` and `token` once `start` has returned."""

    def __init__(self, identity: Identity, connection: Connection) -> None:
        self.token = secrets.token_hex(16)
        self.base_url = ""
        self._model, self._faults = identity.model, connection.faults
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 30) -> None:
        """Start it and wait until it listens. Raises `RuntimeError` if it does not within `seconds`."""
        with tempfile.TemporaryDirectory(prefix="mmevol-teacher-") as folder:
            ready = Path(folder) / "ready"
            command = [sys.executable, "-m", "mmevol.teacher", "--port", "0", "--model", self._model]
            command += ["--ready", str(ready), "--until-eof"]
            if self._faults:
                command += ["--faults", self._faults.dump()]
            if log := os.environ.get("MMEVOL_TEACHER_LOG"):
                command += ["--log", log]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"MMEVOL_TEACHER_TOKEN": self.token},
            )
            deadline = time.monotonic() + seconds
            while not ready.exists():
                if self._process.poll() is not None:
                    raise RuntimeError(f"the embedded teacher ended at its start with code {self._process.returncode}")
                if time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"the embedded teacher was not ready after {seconds:.0f} s")
                time.sleep(0.02)
            text = ready.read_text()
        self.base_url = json.loads(text)["base_url"] if text.startswith("{") else text.strip()

    def stop(self) -> None:
        """Close its input and wait for its end."""
        if self._process:
            assert self._process.stdin
            self._process.stdin.close()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
