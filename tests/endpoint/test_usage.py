"""What a job cost is counted over all of its runs, however they ended."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import Prices, Run
from mmevol.endpoint import clients as module
from mmevol.endpoint.client import Outage
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.schemas import ANSWERS
from mmevol.endpoint.usage import Runs, Usage, added
from mmevol.progress import Heartbeat
from mmevol.records import Request
from scripted import Reply, Server, connection, identity, made

counts = st.integers(0, 10**12)
errors = st.dictionaries(st.sampled_from(["429", "timeout"]), counts)
usages = st.builds(Usage, counts, counts, counts, counts, counts, errors=errors)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("mn"), usages)))
def test_rows_add_up_by_endpoint_and_model(given_: list[tuple[str, str, Usage]]) -> None:
    sums = added(usage.row(endpoint, model, Prices()) for endpoint, model, usage in given_)
    assert len(sums) == len({(endpoint, model) for endpoint, model, _ in given_})
    for name in ("asked", "from_store", "input_tokens", "cached_tokens", "output_tokens"):
        assert sum(row[name] for row in sums) == sum(getattr(usage, name) for _, _, usage in given_)
    assert sum(row["errors"].get("429", 0) for row in sums) == sum(u.errors.get("429", 0) for _, _, u in given_)


def test_money_is_of_fresh_cached_and_written_tokens() -> None:
    usage = Usage(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000)
    assert usage.money(Prices(input=2, cached_input=0.5, output=10)) == pytest.approx(1.2 + 0.2 + 1.0)


def run(server: Server, usage: Path, requests: int, **more: Any) -> None:
    async def ask() -> None:
        async with Clients(Run(connections={"e": connection(server, **more)}), usage=usage) as clients:
            client = clients.client("e", identity())
            body = client.body(Prompt("Answer.", Request(task="blind"), ANSWERS))
            for _ in range(requests):
                await client.send(made(body), {})

    asyncio.run(ask())


def test_runs_that_an_outage_ended_are_counted(server: Server, tmp_path: Path) -> None:
    usage = tmp_path / "usage/0.json"
    server.answer = lambda n, heard: Reply("fine") if n < 3 else Reply(status=500)
    with pytest.raises(Outage):
        run(server, usage, 5, patience=0.2)
    first = json.loads(usage.read_text())
    assert (first["runs"], first["endpoints"][0]["asked"]) == (1, 3)
    assert first["endpoints"][0]["errors"]["500"] > 0
    server.answer = lambda n, heard: Reply("fine")
    run(server, usage, 2)
    both = json.loads(usage.read_text())
    assert (both["runs"], both["endpoints"][0]["asked"], both["endpoints"][0]["input_tokens"]) == (2, 5, 500)
    assert both["seconds"] > first["seconds"]
    assert [r["end"] for r in json.loads((tmp_path / "usage/0.runs.json").read_text())] == ["Outage", "done"]


KILLED = """
import os, signal, sys
from pathlib import Path
from mmevol.endpoint.usage import Runs
Runs(Path(sys.argv[1])).tell([{"endpoint": "e", "asked": 7, "errors": {}}])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_counted_as_far_as_it_had_told(tmp_path: Path) -> None:
    usage = tmp_path / "0.json"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(usage)], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert not usage.exists()
    Runs(usage).tell([{"endpoint": "e", "asked": 2, "errors": {}}], "done")
    value = json.loads(usage.read_text())
    assert (value["endpoints"][0]["asked"], value["runs"]) == (9, 2)


def test_progress_and_usage_are_told_while_nothing_gets_done(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an outage no record is finished; what went wrong is seen all the same."""
    monkeypatch.setattr(module, "TICK", 0.01)
    server.answer = lambda n, heard: Reply("fine") if n == 0 else Reply(status=503)
    facts = Run(status=str(tmp_path / "status"), connections={"e": connection(server, patience=60)})

    async def ask() -> None:
        with Heartbeat(facts, job="j", total=9) as beat:
            async with Clients(facts, usage=tmp_path / "0.json", beat=beat) as clients:
                client = clients.client("e", identity())
                body = client.body(Prompt("Answer.", Request(task="blind"), ANSWERS))
                await client.send(made(body), {})
                stuck = asyncio.ensure_future(client.send(made(body), {}))
                while not beat.facts.get("errors"):
                    await asyncio.sleep(0.01)
                assert (beat.done, beat.facts["asked"], beat.facts["tokens"]) == (0, 1, 110)
                assert set(beat.facts["errors"]) == {"503"}
                (run,) = json.loads((tmp_path / "0.runs.json").read_text())
                assert (run["end"], run["endpoints"][0]["asked"]) == ("", 1)
                stuck.cancel()

    asyncio.run(ask())
    assert json.loads((tmp_path / "status/j.json").read_text())["errors"]["503"] >= 1
