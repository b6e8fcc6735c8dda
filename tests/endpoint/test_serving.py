"""A server that jobs start for themselves: one for all of a machine and a run, there when it answers, gone when nobody uses it."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mmevol.config import Connection, Endpoint, Identity, Run
from mmevol.config.endpoints import Serve
from mmevol.endpoint.client import Outage
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.limits import folder
from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.schemas import ANSWERS
from mmevol.endpoint.serving import Served, Unserved, answers, command, gpus, kept, running
from mmevol.owner import process_start
from mmevol.records import BadInput, Request, RequestQA
from pydantic import ValidationError
from scripted import made

TEACHER = "$python -m mmevol.teacher --port $port --model $model"
ME = Run(parent=os.getpid(), parent_start=process_start(os.getpid()), parent_host=socket.gethostname())


@pytest.fixture
def identity() -> Iterator[Identity]:
    """A model of the test's own, whose server is gone at the test's end."""
    before = set(folder().glob("served-*"))
    yield Identity(model=f"symbolic-{uuid4().hex[:8]}")
    until(lambda: not any(kept(place) for place in set(folder().glob("served-*")) - before))


def until(condition: Callable[[], Any]) -> Any:
    """Wait for what must come; the test's time limit ends what does not."""
    while not (found := condition()):
        time.sleep(0.02)
    return found


def server(**keys: Any) -> Connection:
    given: dict[str, Any] = {"command": TEACHER, "token_env": "MMEVOL_TEACHER_TOKEN", "idle": 0} | keys
    return Connection(serve=Serve(**given))


def started(identity: Identity, connection: Connection, run: Run = ME) -> Served:
    served = Served(identity, connection, run)
    asyncio.run(served.start())
    return served


def place(served: Served) -> Path:
    return folder() / f"served-{served.name}"


def test_jobs_share_one_and_it_ends_with_the_last(identity: Identity) -> None:
    first = started(identity, server())
    second = started(identity.model_copy(update={"temperature": 0.0}), server())
    assert first.base_url == second.base_url and first.token == second.token
    assert answers(first.base_url, first.token)
    assert not answers(first.base_url, "guess")
    first.stop()
    time.sleep(0.5)
    assert answers(second.base_url, second.token), "one job still uses it"
    second.stop()
    until(lambda: not answers(second.base_url, second.token))
    assert running(place(second)) is None


def test_it_is_kept_for_the_next_job_and_ends_with_snakemake(identity: Identity) -> None:
    snakemake = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    run = ME.model_copy(update={"parent": snakemake.pid, "parent_start": process_start(snakemake.pid)})
    first = started(identity, server(idle=600), run)
    first.stop()
    time.sleep(0.5)
    second = started(identity, server(idle=600), run)
    assert second.base_url == first.base_url
    second.stop()
    assert answers(second.base_url, second.token)
    snakemake.kill()
    snakemake.wait()
    until(lambda: not answers(second.base_url, second.token))


def test_it_ends_though_its_job_and_its_keeper_are_killed(identity: Identity) -> None:
    served = started(identity, server())
    keeper = json.loads((place(served) / "server.json").read_text())["pid"]
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not answers(served.base_url, served.token))
    assert running(place(served)) is None
    again = started(identity, server())
    assert answers(again.base_url, again.token)
    served.stop()
    again.stop()


def test_a_job_that_was_killed_keeps_nothing_up(identity: Identity) -> None:
    script = (
        "import asyncio, sys, time\n"
        "from mmevol.config import Connection, Identity, Run\n"
        "from mmevol.endpoint.serving import Served\n"
        "served = Served(*(m.model_validate_json(a) for m, a in zip((Identity, Connection, Run), sys.argv[1:])))\n"
        "asyncio.run(served.start())\n"
        "print(served.base_url, served.token, flush=True)\n"
        "time.sleep(600)\n"
    )
    given = [model.dump() for model in (identity, server(), ME)]
    with subprocess.Popen([sys.executable, "-c", script, *given], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout
        url, token = job.stdout.readline().split()
        assert answers(url, token)
        job.kill()
    until(lambda: not answers(url, token))


def test_a_server_that_ends_at_its_start_is_an_outage_with_its_last_words(identity: Identity) -> None:
    broken = server(command="$python -c \"raise SystemExit('no GPU in sight: $port')\"")
    with pytest.raises(Unserved, match="no GPU in sight"):
        started(identity, broken)
    with pytest.raises(Unserved, match="no answer after 0 s"):
        started(identity, server(command='$python -c "import time; time.sleep(60)" $port', ready=0.1))


def test_a_request_goes_to_it(identity: Identity) -> None:
    async def ask(connection: Connection) -> int:
        run = ME.model_copy(update={"connections": {"evolver": connection}})
        async with Clients(run) as clients:
            client = clients.client("evolver", identity)
            request = Request(task="blind", qas=[RequestQA(id="q", question="What is it?")])
            prompt = Prompt("Answer.", request, ANSWERS)
            headers = {"X-MMEvol-Request": "0" * 64, "X-MMEvol-Content-Attempt": "0"}
            await client.send(made(client.body(prompt)), headers)
            return client.usage.asked

    assert asyncio.run(ask(server())) == 1
    with pytest.raises(BadInput, match=r"serve\.command"):
        asyncio.run(ask(server(command="no-such-server --port $port")))
    with pytest.raises(Outage, match="did not come up"):
        asyncio.run(ask(server(command='$python -c "" $port')))


def test_the_command_line_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "vllm serve Qwen/X --revision $revision --port $port --data-parallel-size $gpus --limit-mm-per-prompt '{\"image\": 1}'"
    serve = Serve(command=line, gpus=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    assert command(serve, Identity(revision="abc"), port=7)[4:] == [
        *("abc", "--port", "7", "--data-parallel-size", "4", "--limit-mm-per-prompt"),
        '{"image": 1}',
    ]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus(serve) == 2


@pytest.mark.parametrize(
    "keys",
    [
        {"serve": {"command": "vllm serve --port 8000"}},
        {"serve": {"command": "vllm serve --port $port $other"}},
        {"serve": {"command": "x $port"}, "base_url": "http://localhost:8000/v1"},
        {"serve": {"command": "x $port"}, "mode": "batch"},
        {"serve": {"command": "x $port"}, "api_key_env": "KEY"},
    ],
)
def test_servers_that_cannot_be(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Endpoint.model_validate(keys)


def test_an_answer_is_found_again_behind_an_address() -> None:
    served = Endpoint(model="m", serve=Serve(command="x $port"))
    assert served.identity() == Endpoint(model="m", base_url="https://x/v1").identity()
