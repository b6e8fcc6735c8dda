"""A target: which records are taken, and that it follows from the data alone."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import Eliminate, EliminateSettings, Judge, Target
from mmevol.config.resolve import resolve
from mmevol.evolve.dataset import lineages
from mmevol.records import SeedRecord, fraction
from mmevol.store import rank_of, read_rows
from scripted import Heard, Reply, Server, connection, good, identity, record, verdict
from shards import Shard

SEED = 7
RECORDS = 40


def records() -> list[SeedRecord]:
    return [record(f"k{i}", 1 + i % 3) for i in range(RECORDS)]


def some_survive(n: int, heard: Heard) -> Any:
    """About two thirds of the candidates are improved; every reply takes as long as its key says."""
    said = good(heard.block)
    for item in said.get("verdicts", []):
        item.update(verdict(item["id"], improved=fraction(item["id"]) < 0.66))
    return Reply(said, delay=0.03 * fraction(heard.headers["X-MMEvol-Request"]))


def shard(root: Path, server: Server, survivors: int, concurrency: int = 8) -> Shard:
    to = {n: connection(server, concurrency=concurrency) for n in "ej"}
    judged = {"judge": Judge(endpoint="j", blind=None), "judge_identity": identity(temperature=0)}
    target = {"target": Target(survivors=survivors), "elimination": EliminateSettings(thresholds=Eliminate())}
    return Shard(root, records(), to, judged | target)


def taken(s: Shard) -> list[str]:
    return list(dict.fromkeys(c.parent.record for c in read_rows(s.file(1, "candidates"), "candidate")))


@given(st.integers(1, 10**6), st.sampled_from([2**i for i in range(9)]))
def test_the_shares_of_the_shards_add_up(survivors: int, shards: int) -> None:
    shares = [Target(survivors=survivors).share(i, shards) for i in range(shards)]
    assert sum(shares) == survivors
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("survivors", [1, 9, 25])
def test_records_are_taken_in_hash_order_until_there_are_enough(tmp_path: Path, server: Server, survivors: int) -> None:
    server.answer = some_survive
    s = shard(tmp_path, server, survivors)
    s.ask()
    ledger = s.eliminate()
    order = sorted((r.key for r in s.records), key=lambda key: rank_of(SEED, key))
    chosen = taken(s)
    assert sorted(chosen) == sorted(order[: len(chosen)])
    outcomes = list(read_rows(s.file(1, "ledger"), "outcome"))
    last = sum(o.outcome == "survived" and o.record == order[len(chosen) - 1] for o in outcomes)
    assert ledger["survived"] - last < survivors <= ledger["survived"] <= survivors + 2
    assert {q["id"] for b in server.asked("evolve") for q in b["qas"]} == {o.parent for o in outcomes}, "none in vain"
    assert ledger["sent"] == ledger["survived"] + sum(ledger["eliminated"].values()) == len(outcomes)
    assert ledger["requests"]["evolve"] == len(chosen)
    assert s.usage() | {"input_tokens": 0, "output_tokens": 0} == {
        "asked": len(server.heard),
        "from_store": 0,
        "input_tokens": 0,
        "output_tokens": 0,
    }


def test_the_data_are_the_same_whatever_the_concurrency(tmp_path: Path, server: Server) -> None:
    server.answer = some_survive
    files = []
    for width in (1, 3, 16):
        s = shard(tmp_path / str(width), server, 14, width)
        s.ask()
        s.eliminate()
        files.append(s.data())
    assert files[0] == files[1] == files[2]


def test_a_shard_with_too_little_is_taken_whole(tmp_path: Path, server: Server) -> None:
    server.answer = some_survive
    s = shard(tmp_path, server, 10_000)
    s.ask()
    assert sorted(taken(s)) == sorted(r.key for r in s.records)


def test_later_rounds_the_judged_seeds_and_the_dataset_keep_to_what_was_taken(tmp_path: Path, server: Server) -> None:
    server.answer = some_survive
    s = shard(tmp_path, server, 9)
    s.ask()
    s.eliminate()
    chosen = taken(s)
    s.settings |= {"target": None, "elimination": None}
    assert list(dict.fromkeys(c.parent.record for c in s.ask(2))) == chosen
    ledger = s.eliminate(2)
    assert ledger["sent"] == json.loads(s.file(1, "ledger", "json").read_text())["sent"]
    rounds = [(s.file(r, "candidates"), s.file(r, "ledger")) for r in (1, 2)]
    assert [r.key for r, _ in lineages(s.seeds, rounds)] == chosen
    paths = s.paths(0) | {"frontier": s.file(1, "frontier")}
    s.paths = lambda round_: paths  # type: ignore[method-assign]
    judged = s.ask(0)
    assert list(dict.fromkeys(c.parent.record for c in judged)) == chosen
    assert all(c.direction == "seed" and c.version and c.version.round == 0 for c in judged)


def study(**evolve: Any) -> Any:
    raw = {
        "study": "t",
        "seeds": {"source": "x.json"},
        "endpoints": {n: {"launch": "embedded"} for n in ("evolver", "judge")},
    }
    return resolve(raw | {"evolve": {"evolutions": {"a": {"rounds": 2}, "b": {"rounds": 1}}} | evolve}, "t.yaml")


def test_only_round_1_sees_the_target_and_only_then_thresholds() -> None:
    plain, cut = study(), study(target={"survivors": 100})
    assert "target" not in plain.ask_settings("a", 1).dump()
    assert "elimination" not in plain.ask_settings("a", 1).dump()
    assert plain.ask_settings("a", 2) == cut.ask_settings("a", 2)
    assert cut.ask_settings("a", 1).target == Target(survivors=100)
    assert cut.ask_settings("a", 1).elimination == cut.eliminate_settings("a", 1)


@pytest.mark.parametrize(
    ("evolve", "order"),
    [
        ({}, [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]),
        ({"target": {"survivors": 9}}, [("a", 1), ("a", 0), ("a", 2), ("b", 1), ("b", 0)]),
    ],
)
def test_jobs_that_meet_in_a_shard_wait_for_each_other(evolve: dict[str, Any], order: list[tuple[str, int]]) -> None:
    of = study(**evolve)
    for before, after in itertools.pairwise(order):
        name, round_ = after
        waits = of.bucket_turn(name, round_, 0) + of.frontier(name, round_ - 1, 0)
        waits += of.taken(name, 0) if round_ == 0 else []
        assert any(f"/{before[0]}/round_{before[1]}/" in path for path in waits)
    assert of.bucket_turn(*order[0], 0) == []
