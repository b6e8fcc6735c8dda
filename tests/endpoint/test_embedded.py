"""The embedded teacher as a process of its own: there before the first request, gone after the last, however the job ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import aiohttp
import pytest
from mmevol.config import Connection, Faults, Identity, Run
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.embedded import EmbeddedTeacher
from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.schemas import ANSWERS
from mmevol.owner import process_start
from mmevol.records import Request, RequestQA
from scripted import made

HERE = Connection(launch="embedded")


async def status(url: str, token: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/models", headers={"Authorization": f"Bearer {token}"}) as response,
    ):
        return response.status


def test_it_listens_to_whom_has_the_token_and_ends_when_told() -> None:
    teacher = EmbeddedTeacher(Identity(), HERE)
    teacher.start()
    assert teacher.base_url.startswith("http://127.0.0.1:")
    assert asyncio.run(status(teacher.base_url, teacher.token)) == 200
    assert asyncio.run(status(teacher.base_url, "guess")) == 401
    teacher.stop()
    teacher.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        asyncio.run(status(teacher.base_url, teacher.token))


def test_one_that_cannot_start_says_so() -> None:
    teacher = EmbeddedTeacher(
        Identity(), Connection(launch="embedded", faults=Faults(malformed_json=0.9, truncated_json=0.9))
    )
    with pytest.raises(RuntimeError, match="ended at its start with code 2"):
        teacher.start()


JOB = """
import sys, time
from mmevol.config import Connection, Identity
from mmevol.endpoint.embedded import EmbeddedTeacher
teacher = EmbeddedTeacher(Identity(), Connection(launch="embedded"))
teacher.start()
print(teacher._process.pid, flush=True)
time.sleep(60)
"""


def test_it_never_outlives_its_job() -> None:
    with subprocess.Popen([sys.executable, "-c", JOB], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout
        pid = int(job.stdout.readline())
        assert process_start(pid)
        os.kill(job.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while process_start(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process_start(pid) is None


def test_endpoints_of_one_model_share_one_and_it_starts_when_it_is_needed() -> None:
    async def run() -> list[int]:
        facts = Run(connections={"evolver": HERE, "judge": HERE})
        async with Clients(facts) as clients:
            both = [clients.client("evolver", Identity()), clients.client("judge", Identity(temperature=0))]
            assert not clients._servers
            request = Request(task="blind", qas=[RequestQA(id="q", question="What is it?")])
            prompt = Prompt("Answer.", request, ANSWERS)
            headers = {"X-MMEvol-Request": "0" * 64, "X-MMEvol-Content-Attempt": "0"}
            await asyncio.gather(*(c.send(made(c.body(prompt)), headers) for c in both for _ in range(2)))
            return [t._process.pid for t in clients._servers.values() if isinstance(t, EmbeddedTeacher) and t._process]

    (pid,) = asyncio.run(run())
    assert process_start(pid) is None
