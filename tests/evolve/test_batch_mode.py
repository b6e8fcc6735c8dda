"""A shard in batch mode: the same data as online, within the limits of a provider."""

import random
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest
from batches import LOUD, QUIET, TOKEN, Teacher, asked, every_other_ends_late, parcels, rounds, teaching
from mmevol.config import Batch, Budget, Connection, Faults, Judge, Prices
from mmevol.endpoint.client import Client, Outage, Refused
from mmevol.endpoint.parcel import Draft, Parcel
from mmevol.endpoint.provider import Provider
from mmevol.records import BadInput
from PIL import Image
from scripted import Server, connection, record
from shards import Shard


@pytest.mark.parametrize(("faults", "n"), [(QUIET, 2), (LOUD, 1)], ids=["quiet", "loud"])
def test_the_data_are_those_of_online_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults, n: int
) -> None:
    with teaching(tmp_path, faults, monkeypatch, "online") as online:
        expected = rounds(online.shard("s", online.connection("online")), n)
    with teaching(tmp_path, faults, monkeypatch, "batch") as teacher:
        shard = teacher.shard("s", teacher.connection())
        assert rounds(shard, n) == expected
        teacher.assert_each_was_answered_once()
        assert parcels(shard) == []
        calls = Counter(line["outcome"] for line in teacher.asked())
        assert (len(calls) > 1) == (faults == LOUD)
        assert sum(shard.usage(i)["asked"] for i in range(1, n + 1)) == calls["answered"]
        assert rounds(shard, n) == expected
        assert sum(calls.values()) == len(teacher.asked())


@pytest.mark.parametrize("judge", ["e", "j"])
def test_evolver_and_judge_may_be_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judge: str) -> None:
    """Each row is sent once, and counted once at the role that asked it: as many by role as online."""
    roles: dict[str, Any] = {"judge": Judge(endpoint=judge, blind=None), "records": 6}
    with teaching(tmp_path, QUIET, monkeypatch, "online") as online:
        expected = online.shard("s", online.connection("online"), judge_identity=online.identity, **roles)
        expected.ask()
    monkeypatch.setattr(Provider, "look", Provider.look)  # is put back
    every_other_ends_late(8)
    with teaching(tmp_path, QUIET, monkeypatch, "batch") as teacher:
        shard = teacher.shard("s", teacher.connection(max_rows=2), judge_identity=teacher.identity, **roles)
        shard.ask()
        assert shard.data() == expected.data()
        assert asked(shard) == asked(expected)
        assert sum(asked(shard).values()) == len(teacher.asked())
        teacher.assert_each_was_answered_once()
        assert parcels(shard) == []


def test_a_model_is_sent_batches_in_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        shard = teacher.shard("s", teacher.connection(), judge_identity=teacher.identity)
        shard.connections["j"] = teacher.connection(max_rows=9)
        with pytest.raises(BadInput) as caught:
            shard.ask()
        assert caught.value.field == "endpoints.j"
        assert "endpoints.e" in caught.value.found
        shard.connections["j"] = teacher.connection("online")
        shard.ask()
        teacher.assert_each_was_answered_once()


# ------------------------------------------------------------------------------------------------------ limits and ends


def batches(teacher: Teacher) -> list[Any]:
    """Every batch that the teacher has, the oldest first, with the ids of its rows and its size in bytes."""
    api = openai.OpenAI(base_url=teacher.base_url, api_key=TOKEN)
    return [*api.batches.list(limit=100)][::-1]


@pytest.mark.parametrize(("limit", "most"), [({"max_rows": 3}, 3), ({"max_bytes": 20_000}, 5), ({"max_bytes": 1}, 1)])
def test_files_are_split_by_rows_and_by_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, int], most: int
) -> None:
    sizes: list[tuple[int, int]] = []
    real = Draft.finished

    def finished(draft: Draft) -> Parcel:
        sizes.append((draft.rows, draft.bytes))
        return real(draft)

    monkeypatch.setattr(Draft, "finished", finished)
    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        teacher.shard("s", teacher.connection(**limit), judge=None).ask()
        totals = [b.request_counts.total for b in batches(teacher)]
    assert sorted(totals) == sorted(rows for rows, _ in sizes)
    assert sum(totals) == len(teacher.asked())
    assert max(totals) <= most
    assert len(totals) > 1
    if (most_bytes := limit.get("max_bytes", 0)) > 1:
        assert all(size <= most_bytes for _, size in sizes)
        assert max(size for _, size in sizes) > most_bytes / 2


def test_a_wave_holds_what_every_record_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First all evolve, then all are judged, then come the blind checks and what is asked again: no batch for a record alone."""
    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        teacher.shard("s", teacher.connection()).ask()
        totals = [b.request_counts.total for b in batches(teacher)]
    assert totals[0] == 8
    assert len(totals) <= 6
    assert sum(totals) == len(teacher.asked())


def test_a_full_queue_is_waited_for_and_sent_less_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teaching(tmp_path, Faults(), monkeypatch, "t", "--enqueued-tokens", "2000") as teacher:
        shard = teacher.shard("s", teacher.connection(), judge=None)
        rows = shard.ask()
        assert len(rows) == 12
        ended = Counter(b.status for b in batches(teacher))
        assert ended["failed"] >= 1
        assert ended["completed"] >= 2
        teacher.assert_each_was_answered_once()


def test_a_budget_is_a_hard_stop_and_every_answer_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        shard = teacher.shard("s", teacher.connection(), budget=Budget(requests=11))
        with pytest.raises(Outage, match=r"budget\.requests of this shard is spent \(11 of 11\)"):
            shard.ask()
        assert len(teacher.asked()) == 11
        shard.budget = Budget()
        shard.ask()
        teacher.assert_each_was_answered_once()


def test_batches_cost_their_part_of_the_price() -> None:
    prices = Prices(input=2, cached_input=1, output=8, batch=0.5)
    online = Connection(base_url="http://127.0.0.1/v1", prices=prices)
    assert online.billed() == online
    billed = online.model_copy(update={"mode": "batch"}).billed().prices
    assert (billed.input, billed.cached_input, billed.output) == (1, 0.5, 4)


def test_rows_that_the_server_refuses_end_the_job_after_the_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        shard = teacher.shard("s", teacher.connection(), judge=None)
        real = Client.body

        def body(client: Client, messages: Any, schema: Any, **more: Any) -> bytes:
            good = bytes(real(client, messages, schema, **more))
            return good.replace(b'{"model"', b'{"n":2,"model"', 1) if b"for the 1th" in good else good

        with monkeypatch.context() as patch:
            patch.setattr(Client, "body", body)
            with pytest.raises(Refused, match=r"answered 400: .*n must be 1") as refused:
                shard.ask()
            assert "asked about record" in refused.value.__notes__[0]
        assert len(teacher.asked()) == 4
        assert parcels(shard) == []
        assert len(shard.ask()) == 12
        teacher.assert_each_was_answered_once()


def test_a_server_without_batches_is_bad_input(tmp_path: Path, server: Server) -> None:
    to = connection(server, mode="batch", batch=Batch(poll=0.01))
    shard = Shard(tmp_path, [record("a")], {"e": to})
    with pytest.raises(BadInput) as caught:
        shard.ask()
    assert caught.value.field == "endpoints.e.mode"
    assert "404 to /v1/files" in caught.value.found
    assert not server.heard


def test_the_client_is_needed_where_something_must_be_sent_and_not_before(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "mmevol.endpoint.provider")
    monkeypatch.setitem(sys.modules, "openai", None)
    shard = Shard(tmp_path, [record("a")], {"e": connection(server, mode="batch")})
    with pytest.raises(BadInput, match=r"mmevol\[batch\]"):
        shard.ask()
    assert not server.heard
    shard.connections = {"e": connection(server)}
    answered = shard.ask()
    shard.connections = {"e": connection(server, mode="batch")}
    assert shard.ask() == answered


def test_pictures_travel_and_memory_holds_no_bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    Image.frombytes("RGB", (512, 512), rng.randbytes(3 * 512 * 512)).save(tmp_path / "a.png")
    seen = {"image": "a.png", "image_digest": "d" * 64, "width": 512, "height": 512}
    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        many = [record(f"k{i}", **seen) for i in range(60)]
        shard = teacher.shard("s", teacher.connection(), judge=None, images_root=str(tmp_path))
        shard.records = many
        shard.__post_init__()
        peak: list[tuple[int, int]] = []
        real = Draft.finished

        def finished(draft: Draft) -> Parcel:
            peak.append((tracemalloc.get_traced_memory()[0], draft.bytes))
            return real(draft)

        monkeypatch.setattr(Draft, "finished", finished)
        tracemalloc.start()
        try:
            assert len(shard.ask()) == 60
        finally:
            tracemalloc.stop()
    held, sent = peak[0]
    assert sent > 60 * 100_000
    assert held < sent / 4
