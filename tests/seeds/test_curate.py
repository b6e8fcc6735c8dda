"""Curation: caption-only records get Q&A from the teacher, others stay as they are."""

from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Connection, CurateSettings, Identity, Run
from mmevol.endpoint.ask import Rejected
from mmevol.endpoint.client import Outage
from mmevol.records import QA, Reason, SeedRecord
from mmevol.seeds.curate import curate, read_qas
from mmevol.store import order_of, read_rows, write_rows
from scripted import Reply, Server, connection, identity, record

pytestmark = pytest.mark.usefixtures("replies")
SEEDS = sorted([record("a", 2), record("b", 0), record("c", 0), record("d", 1)], key=lambda r: order_of(r.key))


def run(folder: Path, to: Connection, who: Identity) -> list[SeedRecord]:
    write_rows(folder / "audited.parquet", "seed", SEEDS)
    paths = {"records": folder / "audited.parquet", "out": folder / "out.parquet", "usage": folder / "usage.json"}
    curate(CurateSettings(endpoint="e", identity=who), Run(connections={"e": to}), shard=0, **paths)
    return list(read_rows(folder / "out.parquet", "seed"))


def test_only_records_without_qas_are_asked_about(tmp_path: Path, server: Server) -> None:
    out = run(tmp_path, connection(server), identity())
    assert [r.key for r in out] == [r.key for r in SEEDS]
    for before, after in zip(SEEDS, out, strict=True):
        if before.qas:
            assert after == before
        else:
            assert after == before.model_copy(
                update={"qas": [QA(question="What is there?", answer="a cup")], "curated": True}
            )
    assert [b["task"] for b in server.asked()] == ["curate", "curate"]
    assert all(b["caption"] and b["objects"] and "qas" not in b for b in server.asked())
    first = (tmp_path / "out.parquet").read_bytes()
    run(tmp_path, connection(server), identity())
    assert len(server.heard) == 2
    assert (tmp_path / "out.parquet").read_bytes() == first


def test_a_record_that_the_teacher_finds_nothing_for_stays(tmp_path: Path, server: Server) -> None:
    server.answer = lambda n, heard: Reply("I see nothing.")
    assert run(tmp_path, connection(server), identity()) == SEEDS
    assert len(server.heard) == 6


def test_an_outage_writes_nothing(tmp_path: Path, server: Server) -> None:
    server.answer = lambda n, heard: Reply(status=500)
    with pytest.raises(Outage):
        run(tmp_path, connection(server, patience=0.2), identity())
    assert not (tmp_path / "out.parquet").exists()


def test_the_embedded_teacher_curates(tmp_path: Path) -> None:
    out = run(tmp_path, Connection(launch="embedded"), Identity())
    assert all(r.qas for r in out)
    assert [r.curated for r in out] == [not r.qas for r in SEEDS]


PAIR = {"question": "What?", "answer": "That."}
SORTED: list[tuple[Any, int]] = [
    ([PAIR], 1),
    ([PAIR, PAIR], 1),
    ([PAIR, {**PAIR, "question": "Who?"}], 2),
    ([PAIR, None, "text", {}, {"question": "What?"}, {**PAIR, "answer": ""}, {**PAIR, "answer": 3}], 1),
    ([{**PAIR, "id": "q1", "confidence": 0.9}], 1),
    ([{**PAIR, "question": "  "}, {**PAIR, "answer": "\n"}], 0),
    ([{**PAIR, "options": ["That.", "This."]}], 0),
    ([], 0),
    ("text", 0),
    (None, 0),
]


@pytest.mark.parametrize(("items", "good"), SORTED)
def test_usable_pairs_are_kept_and_a_reply_without_any_is_rejected(items: Any, good: int) -> None:
    found, bad = read_qas({"qas": items}, ["r"])
    if good:
        assert len(found["r"]) == good
        assert not bad
    else:
        assert not found
        assert isinstance(bad["r"], Rejected)
        assert bad["r"].reason is Reason.SCHEMA
