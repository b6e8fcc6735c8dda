"""The control without evolution: as many calls, spent on fresh Q&A."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol.config import Evolution, Run, ScratchSettings
from mmevol.config.commands import DatasetSettings
from mmevol.evolve.dataset import dataset
from mmevol.evolve.scratch import dealt, scratch
from mmevol.store import order_of, read_rows, write_json, write_rows
from scripted import Heard, Reply, Server, candidate, connection, good, identity, record


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 8), st.integers(0, 50))
def test_calls_are_dealt_evenly_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, records: int, calls: int
) -> None:
    path = tmp_path_factory.mktemp("dealt") / "seeds"
    write_rows(path, "seed", [record(f"k{i}") for i in range(records)] + [record("none", 0)])
    shares = [n for _, _, n in dealt(path, calls)]
    assert len(shares) == records
    assert sum(shares) == (calls if records else 0)
    assert max(shares, default=0) - min(shares, default=0) <= 1
    assert shares == sorted(shares, reverse=True)


def run(root: Path, server: Server, calls: int = 7) -> dict[str, Any]:
    """Spend so many calls on three records; the ledger."""
    records = sorted([record("a", 2), record("b", 5), record("c"), record("none", 0)], key=lambda r: order_of(r.key))
    write_rows(root / "seeds/audited/0.parquet", "seed", records)
    write_json(root / "one.json", {"requests": {"evolve": calls - 3, "judge": 2}})
    write_json(root / "two.json", {"requests": {"evolve": 1}})
    at = root / "evolve/oneshot/round_1"
    scratch(
        ScratchSettings(seed=7, evolver="e", evolver_identity=identity()),
        Run(connections={"e": connection(server)}),
        shard=0,
        seeds=root / "seeds/audited/0.parquet",
        ledgers=[root / "one.json", root / "two.json"],
        out=at / "candidates/0.parquet",
        outcomes=at / "ledger/0.parquet",
        ledger=at / "ledger/0.json",
        usage=at / "usage/0.json",
    )
    ledger: dict[str, Any] = json.loads((at / "ledger/0.json").read_text())
    return ledger


def fresh(n: int, heard: Heard) -> Any:
    """Every call writes other questions."""
    said = good(heard.block)
    key = heard.headers["X-MMEvol-Request"][:6]
    for item in said["candidates"]:
        item["question"] += f" Number {key}?"
    return said


def test_as_many_calls_are_made_and_each_is_a_draw(tmp_path: Path, server: Server, replies: Path) -> None:
    server.answer = fresh
    ledger = run(tmp_path, server)
    assert len(server.heard) == 7
    assert {b["task"] for b in server.asked()} == {"fresh"}
    assert max(len(b["qas"]) for b in server.asked()) == 4
    rows = list(read_rows(tmp_path / "evolve/oneshot/round_1/candidates/0.parquet", "candidate"))
    assert ledger["sent"] == ledger["survived"] == len(rows)
    assert ledger["requests"] == {"fresh": 7}
    assert all(c.version and c.version.round == c.round and c.direction == "fresh" for c in rows)
    assert Counter(c.round for c in rows).keys() == {1, 2, 3}
    asked = len(server.heard)
    assert run(tmp_path, server) == ledger
    assert len(server.heard) == asked


def test_a_call_is_not_tried_again_and_what_is_not_new_goes(tmp_path: Path, server: Server, replies: Path) -> None:
    server.answer = lambda n, heard: (
        Reply("I cannot.") if n == 0 else {"candidates": [candidate(q["id"]) for q in heard.block["qas"]]}
    )
    ledger = run(tmp_path, server)
    assert len(server.heard) == 7
    assert set(ledger["failed"]) == {"refusal"}
    assert set(ledger["eliminated"]) == {"near_duplicate"}
    assert ledger["sent"] == ledger["survived"] + ledger["eliminated"]["near_duplicate"] + ledger["failed"]["refusal"]


def test_its_dataset_has_one_sample_a_record_and_draw(tmp_path: Path, server: Server, replies: Path) -> None:
    server.answer = fresh
    run(tmp_path, server, calls=12)
    of = DatasetSettings(study="t", evolution="oneshot", rounds=[1], definition=Evolution(), evolver="scripted")
    dataset(of, root=tmp_path, out=tmp_path / "out")
    sft = json.loads((tmp_path / "out/sft.json").read_text())
    ids = [sample["id"] for sample in sft]
    assert len(set(ids)) == len(ids) == 12
    assert {i.split("/")[1] for i in ids} == {"r1", "r2", "r3", "r4"}
