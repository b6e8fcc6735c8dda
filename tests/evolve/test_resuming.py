"""What reruns, outages, kills and faults leave behind: the same bytes, and nothing asked twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Budget, Eliminate, Run
from mmevol.endpoint.client import Outage
from mmevol.records import BadInput, fraction
from scripted import Heard, Reply, Server, connection, good, record
from shards import Make, Shard


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(shard: Make, server: Server) -> None:
    s = shard()
    for round_ in (1, 2):
        s.ask(round_)
        s.eliminate(round_)
    before, heard = s.data(), len(server.heard)
    asked = s.usage(1)["asked"]
    for round_ in (1, 2):
        s.ask(round_)
        s.eliminate(round_)
    assert s.data() == before
    assert len(server.heard) == heard
    assert s.usage(1, run=-1) == {"asked": 0, "from_store": asked, "input_tokens": 0, "output_tokens": 0}


def test_a_changed_threshold_asks_nothing_about_what_did_not_change(shard: Make, server: Server) -> None:
    s = shard()
    s.ask(1)
    heard = len(server.heard)
    s.eliminate(1, Eliminate(min_difficulty=9))
    s.ask(1)
    assert len(server.heard) == heard


def test_two_evolutions_that_share_requests_pay_once(shard: Make, server: Server) -> None:
    s = shard()
    s.ask(1)
    heard = len(server.heard)
    other = Shard(s.root, s.records, s.connections, s.settings | {"judge": None})
    other.ask(1)
    assert len(server.heard) == heard


def test_concurrency_and_the_order_of_arrival_change_no_byte(shard: Make, server: Server) -> None:
    def answer(n: int, heard: Heard) -> Reply:
        return Reply(good(heard.block), delay=0.03 * fraction(n, heard.headers["X-MMEvol-Request"]))

    server.answer = answer
    many = [record(f"k{i}", 1 + i % 3) for i in range(12)]
    made = []
    for concurrency in (1, 16):
        s = shard(many, connection={"concurrency": concurrency})
        for round_ in (1, 2):
            s.ask(round_)
            s.eliminate(round_)
        made.append(s.data())
    assert made[0] == made[1]
    assert len(made[0]) == 12


def test_another_port_changes_no_key(shard: Make, server: Server) -> None:
    s = shard()
    s.ask()
    other = Server()
    try:
        s.connections = {n: connection(other) for n in "ej"}
        s.ask()
        assert not other.heard
    finally:
        other.close()


def test_an_outage_writes_nothing_and_the_next_run_resumes(shard: Make, server: Server) -> None:
    alive, whole, limit = shard(), shard(), 0
    alive.ask()
    answered = Counter[str]()

    def answer(n: int, heard: Heard) -> Any:
        if len(answered) >= limit:
            return Reply(status=503)
        answered[heard.headers["X-MMEvol-Request"]] += 1
        return good(heard.block)

    server.answer = answer
    whole.connections = {n: c.model_copy(update={"patience": 0.3}) for n, c in whole.connections.items()}
    for limit in (2, 5, 9):  # noqa: B007 (the server reads it)
        with pytest.raises(Outage, match="no answer for"):
            whole.ask()
        assert whole.data() == {}
    limit = 1000
    whole.ask()
    assert whole.data() == alive.data()
    assert set(answered.values()) == {1}
    assert [whole.usage(run=n)["asked"] for n in range(4)] == [2, 3, 4, alive.usage()["asked"] - 9]
    assert whole.usage()["asked"] == alive.usage()["asked"]


def test_a_budget_ends_the_run_cleanly_and_more_of_it_resumes(shard: Make, server: Server) -> None:
    s = shard(budget=Budget(requests=5))
    with pytest.raises(Outage, match=r"evolve\.budget\.requests of this shard is spent \(5 of 5\)"):
        s.ask()
    assert s.data() == {}
    assert len(server.heard) == 5
    s.budget = Budget()
    s.ask()
    assert s.usage(run=0)["asked"] == 5
    assert s.usage(run=1) == {"asked": 7, "from_store": 5, "input_tokens": 700, "output_tokens": 70}
    assert s.usage()["asked"] == 12


def test_a_refused_key_at_the_start_spends_and_writes_nothing(
    shard: Make, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.models_status = 401
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    s = shard(connection={"api_key_env": "SOME_KEY"})
    with pytest.raises(BadInput) as caught:
        s.ask()
    assert caught.value.field == "endpoints.e.api_key_env"
    assert s.data() == {}
    assert not server.heard
    assert not list((s.root / "replies").rglob("*.log"))


def test_no_key_is_in_any_artefact(shard: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    s = shard(connection={"api_key_env": "SOME_KEY"})
    s.ask()
    s.eliminate()
    files = [p for p in s.root.rglob("*") if p.is_file()]
    assert len(files) > 8
    assert not [p for p in files if b"sk-very" in p.read_bytes()]


KILLED = """
import json, sys
from pathlib import Path
from mmevol.config import AskSettings, Run
from mmevol.evolve.ask import ask
settings, run, paths = sys.argv[1:]
paths = {k: Path(v) if isinstance(v, str) else v for k, v in json.loads(paths).items()}
ask(AskSettings.model_validate_json(settings), Run.model_validate_json(run), **paths)
"""


def test_kill_9_in_the_middle_changes_no_byte_and_asks_only_what_was_in_flight_again(
    shard: Make, server: Server
) -> None:
    many = [record(f"k{i}", 1 + i % 3) for i in range(30)]
    whole, killed = shard(many), shard(many, connection={"concurrency": 8})
    whole.ask()
    server.answer = lambda n, heard: Reply(good(heard.block), delay=0.02)
    total, kills = len(server.heard), 0
    server.heard.clear()
    run = Run(connections=killed.connections).dump()
    paths = {k: str(v) if isinstance(v, Path) else v for k, v in killed.paths(1).items()}
    command = [sys.executable, "-c", KILLED, killed.of(1).dump(), run, json.dumps(paths)]
    environment = os.environ | {"MMEVOL_REPLIES": str(killed.root / "replies")}
    for goal in (15, 40, 70):
        with subprocess.Popen(command, env=environment) as process:
            while len(server.heard) < goal and process.poll() is None:
                time.sleep(0.002)
            assert process.poll() is None
            os.kill(process.pid, signal.SIGKILL)
        kills += 1
        assert not any(p.name == "0.parquet" for p in (killed.root / "evolve").rglob("*.parquet"))
    killed.ask()
    assert killed.data() == whole.data()
    assert total <= len(server.heard) <= total + kills * 8 * 2  # evolver and judge have 8 in flight each


def test_a_budget_counts_over_rounds_and_runs_of_the_shard(shard: Make, server: Server) -> None:
    s = shard(budget=Budget(requests=20))
    s.ask()
    s.eliminate()
    first = s.usage()["asked"]
    left = 20 - first
    for spent_by_round_2 in (left, left):  # run again without raising it, nothing more is asked
        with pytest.raises(Outage, match=r"\(20 of 20, \d+ of it before this run\) after \d of 3 records") as caught:
            s.ask(2)
        assert "raise evolve.budget.requests" in str(caught.value)
        assert len(server.heard) - first == spent_by_round_2
    s.budget = Budget(requests=1000)
    s.ask(2)
    s.eliminate(2)
    assert s.usage(2)["asked"] == len(server.heard) - first


def test_a_budget_counts_what_curation_and_other_evolutions_have_spent(shard: Make, server: Server) -> None:
    s = shard(budget=Budget(money=1.0))
    row = {"asked": 3, "input_tokens": 10, "output_tokens": 5, "money": 0.6}
    (s.root / "seeds/usage").mkdir(parents=True)
    (s.root / "seeds/usage/0.runs.json").write_text(json.dumps([{"endpoints": [row]}]))
    (s.root / "seeds/usage/1.runs.json").write_text(json.dumps([{"endpoints": [row | {"money": 5}]}]))  # another shard
    other = s.root / "evolve/other/round_1/usage"
    other.mkdir(parents=True)
    (other / "0.runs.json").write_text(json.dumps([{"endpoints": [row | {"money": 0.3}]}, {"endpoints": []}]))
    assert s.ask()
    (other / "0.runs.json").write_text(json.dumps([{"endpoints": [row | {"money": 0.5}]}]))
    again = shard(budget=Budget(money=1.0))
    (again.root / "seeds").symlink_to(s.root / "seeds")
    (again.root / "evolve").mkdir()
    (again.root / "evolve/other").symlink_to(s.root / "evolve/other")
    heard = len(server.heard)
    with pytest.raises(Outage, match=r"evolve\.budget\.money of this shard is spent \(1\.1 of 1"):
        again.ask()
    assert len(server.heard) == heard
