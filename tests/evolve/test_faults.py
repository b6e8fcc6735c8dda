"""Rounds under faults: every Q&A ends with a typed outcome, and what the network did leaves no trace in the data."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from mmevol.endpoint.client import Outage
from mmevol.records import fraction
from mmevol.store import read_rows
from scripted import Heard, Reply, Server, completion, good, record
from shards import Make, Shard

TRANSPORT = {"429": 0.05, "503": 0.01, "500": 0.02, "cut body": 0.02, "drop": 0.005, "hang": 0.005}
CONTENT = {"cut": 0.02, "silently cut": 0.02, "wrong ids": 0.01, "refused": 0.01, "filtered": 0.005, "prose": 0.01}
Fault = Callable[[Heard], str]


def drawn(rates: dict[str, float], *names: str) -> Fault:
    """A fault drawn from the request's headers of these names, '' where it has none."""

    def fault(heard: Heard) -> str:
        at = fraction(*(heard.headers[f"X-MMEvol-{name}"] for name in names))
        for kind, rate in rates.items():
            if at < rate:
                return kind
            at -= rate
        return ""

    return fault


transport = drawn(TRANSPORT, "Request", "Content-Attempt", "Transport-Attempt")
content = drawn(CONTENT, "Request", "Content-Attempt")


def spoiled(fault: str, block: dict[str, Any]) -> Any:
    """A good answer as a fault leaves it; what is cut is marked, so that it is found wherever it goes."""
    said = good(block)
    whole = json.dumps(said)
    match fault:
        case "429" | "503":
            return Reply(status=int(fault), headers={"Retry-After": "0.05"})
        case "500":
            return Reply(status=500)
        case "cut body":
            return Reply(body=orjson.dumps(completion(Reply(whole.replace("lamp", "CUT"))))[:-40])
        case "drop" | "hang":
            return Reply(act=fault)
        case "cut":
            return Reply(whole.replace("lamp", "CUT")[: len(whole) * 2 // 3], finish="length")
        case "silently cut":
            return Reply(whole.replace("lamp", "CUT")[: len(whole) * 2 // 3])
        case "wrong ids":
            return Reply(whole.replace('"id": "', '"id": "x').replace("lamp", "STRAY"))
        case "refused":
            return Reply("", refusal="I will not")
        case "filtered":
            return Reply(body=b'{"error": {"code": "content_filter"}}', status=400)
        case "prose":
            return f"Here it is:\n{whole}\nDone."
    return said


def rounds(s: Shard) -> list[dict[str, Any]]:
    """Two rounds; their ledgers."""
    ledgers = []
    for n in (1, 2):
        s.ask(n)
        ledgers.append(s.eliminate(n))
    return ledgers


def errors(s: Shard) -> Counter[str]:
    files = [s.file(n, "usage", "json") for n in (1, 2)]
    return sum((Counter(e["errors"]) for f in files for e in json.loads(f.read_text())["endpoints"]), Counter())


def asked(server: Server) -> Counter[str]:
    return Counter(h.headers["X-MMEvol-Request"] for h in server.heard)


FILES = {"candidate": "candidates", "frontier": "frontier"}
MANY = [record(f"k{i}", 1 + i % 7) for i in range(75)]
FAST = {"concurrency": 64, "timeout": 1.0, "patience": 120}


def test_what_the_network_did_leaves_no_trace(shard: Make, server: Server) -> None:
    plain, faulty = shard(MANY, connection=FAST), shard(MANY, connection=FAST)
    rounds(plain)
    before, server.heard = asked(server), []
    server.answer = lambda n, heard: spoiled(transport(heard), heard.block)
    rounds(faulty)
    assert faulty.data() == plain.data()
    assert asked(server).keys() == before.keys()
    assert {"429", "503", "500", "broken body", "timeout", "connection closed before message completed"} <= set(
        errors(faulty)
    )
    assert errors(faulty).total() >= sum(transport(h) != "" for h in server.heard)


def test_every_qa_ends_typed_and_nothing_that_was_cut_is_data(shard: Make, server: Server) -> None:
    """600 Q&A, faults of the network and of the answers together."""
    server.answer = lambda n, heard: spoiled(transport(heard) or content(heard), heard.block)
    s = shard(MANY, connection=FAST)
    ledgers = rounds(s)
    assert {content(h) for h in server.heard} == {*CONTENT, ""}
    assert sum(ledger["sent"] for ledger in ledgers) == 2 * sum(len(r.qas) for r in MANY) >= 590
    for ledger in ledgers:
        ends = ledger["survived"] + sum(ledger["eliminated"].values()) + sum(ledger["failed"].values())
        assert ends == ledger["sent"]
        assert ledger["survived"] > 0.95 * ledger["sent"]
        assert set(ledger["failed"]) <= {"truncated", "invalid_json", "missing", "refusal", "content_filter"}
        assert set(ledger["eliminated"]) <= {"unjudged", "near_duplicate"}
    rows = [
        row for n in (1, 2) for kind in ("candidate", "frontier") for row in read_rows(s.file(n, FILES[kind]), kind)
    ]
    assert "the lamp" in str(rows)
    assert not [row for row in rows if "CUT" in str(row) or "STRAY" in str(row)]
    server.answer = lambda n, heard: Reply(status=500)
    before, heard = s.data(), len(server.heard)
    rounds(s)
    assert s.data() == before
    assert len(server.heard) == heard


DEAD = {"503": Reply(status=503), "500": Reply(status=500), "drop": Reply(act="drop"), "hang": Reply(act="hang")}


@pytest.mark.parametrize("how", DEAD)
def test_an_endpoint_that_dies_amid_faults_is_resumed_and_never_data(shard: Make, server: Server, how: str) -> None:
    whole, broken = shard(MANY[:20], connection=FAST), shard(MANY[:20], connection=FAST)
    patient = broken.connections
    broken.connections = {n: c.model_copy(update={"patience": 0.4, "timeout": 0.5}) for n, c in patient.items()}
    server.answer = lambda n, heard: spoiled(content(heard), heard.block)
    rounds(whole)
    server.heard.clear()
    server.answer = lambda n, heard: spoiled(content(heard), heard.block) if n < 30 else DEAD[how]
    with pytest.raises(Outage):
        broken.ask(1)
    assert broken.data() == {}
    broken.connections = patient
    server.answer = lambda n, heard: spoiled(content(heard), heard.block)
    rounds(broken)
    assert broken.data() == whole.data()
    assert broken.usage(1, run=0)["asked"] <= 30
    assert broken.usage(1)["asked"] == whole.usage(1)["asked"]


def test_an_answer_is_matched_by_its_id_whatever_its_place(shard: Make, server: Server, tmp_path: Path) -> None:
    """Items come shuffled, doubled, with strangers between them, and one is missing: each parent has its own or none."""

    def answer(n: int, heard: Heard) -> Any:
        said = good(heard.block)
        for items in said.values():
            items.sort(key=lambda item: fraction(item["id"]))
            items.insert(0, items[-1] | {"id": "0" * 16})
            if heard.headers["X-MMEvol-Content-Attempt"] == "0" and len(items) > 2:
                items.pop()
        return said

    server.answer = answer
    s = shard(MANY[:14])
    rows = s.ask()
    assert {c.version.qa.answer for c in rows if c.version} == {f"the lamp {c.parent.id}" for c in rows}
    assert not any(c.failed for c in rows)
    assert s.eliminate()["survived"] == len(rows)
