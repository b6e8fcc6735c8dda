"""A shard in batch mode, against the embedded teacher as a server of its own: the same data as online, and no row paid twice."""

import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from mmevol.config import Batch, Blind, Budget, Connection, Faults, Identity, Judge, Prices
from mmevol.config.endpoints import Endpoint
from mmevol.endpoint import batch
from mmevol.endpoint.batch import Batches
from mmevol.endpoint.client import Client, Outage, Refused
from mmevol.endpoint.parcel import Draft, Parcel
from mmevol.endpoint.provider import Provider
from mmevol.records import BadInput
from mmevol.store import shard_of
from mmevol.teacher.faults import transport_fault
from PIL import Image
from scripted import Server, connection, record
from shards import Shard

TOKEN = "a token of this test"
CONTENT = {"malformed_json": 0.1, "truncated_json": 0.1, "unimproved_copy": 0.1, "refusal": 0.1, "judge_wrong": 0.1}
QUIET = Faults(**CONTENT)
LOUD = Faults(**CONTENT, http_429=0.02, http_500=0.05, hang=0.07, drop=0.03)
"""Of every six rows one fails, expires or is lost, and as many calls to the routes of files and batches."""


class Teacher:
    """A running teacher, what it was asked, and shards that ask it."""

    def __init__(self, root: Path, faults: Faults) -> None:
        self.root, self.faults, self.log, self.base_url = root, faults, root / "asked.jsonl", ""
        self.identity: Identity = Endpoint(launch="embedded", faults=faults).identity()

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        ready, about = self.root / "ready", ["--model", self.identity.model, "--faults", self.faults.dump()]
        command = [sys.executable, "-m", "mmevol.teacher", *about, "--log", str(self.log), "--ready", str(ready)]
        process = subprocess.Popen(
            [*command, "--until-eof", *options],
            stdin=subprocess.PIPE,
            env=os.environ | {"MMEVOL_TEACHER_TOKEN": TOKEN},
        )
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.02)
        self.base_url = ready.read_text().strip()
        return process

    def connection(self, mode: str = "batch", **batch: Any) -> Connection:
        to = {"base_url": self.base_url, "api_key_env": "TEACHER_KEY", "timeout": 1.5, "patience": 60}
        return Connection(**to, mode=mode, batch=Batch(poll=0.02, **batch))

    def shard(self, name: str, to: Connection, records: int = 8, **more: Any) -> Shard:
        settings = {
            "directions": {"perceptual": 1, "reasoning": 1, "interactive": 1},
            "evolver_identity": self.identity,
            "judge": Judge(endpoint="j", blind=Blind(draws=2)),
            "judge_identity": self.identity.model_copy(update={"temperature": 0.0}),
        }
        some = [record(f"k{i}", 1 + i % 2) for i in range(records)]
        own = {k: more.pop(k) for k in ("budget",) if k in more}
        return Shard(self.root / name, some, dict.fromkeys("ej", to), settings | more, **own)

    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def assert_each_was_answered_once(self) -> None:
        """Every row was submitted until it got through, and not once more."""
        heard = Counter((line["key"], line["content_attempt"]) for line in self.asked())
        assert heard
        for (key, attempt), times in heard.items():
            needed = next(n for n in range(99) if transport_fault(self.faults, key, attempt, n) is None) + 1
            assert times == needed, (key, attempt)


@contextmanager
def teaching(
    tmp_path: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch, name: str = "t", *options: str
) -> Iterator[Teacher]:
    (root := tmp_path / name).mkdir()
    teacher = Teacher(root, faults)
    process = teacher.start(*options)
    monkeypatch.setenv("TEACHER_KEY", TOKEN)
    try:
        yield teacher
    finally:
        process.communicate()


def rounds(shard: Shard, n: int) -> dict[str, bytes]:
    """The data of the first rounds."""
    for round_ in range(1, n + 1):
        shard.ask(round_)
        shard.eliminate(round_)
    return shard.data()


def parcels(shard: Shard) -> list[Path]:
    return list((shard.root / "replies/batches").glob("*"))


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


def deadly(owner: Any, name: str, *, before: Any = None, after: Any = None) -> None:
    """Let this process kill itself around a call, where the condition on its arguments holds."""
    real = getattr(owner, name)

    def call(*args: Any, **more: Any) -> Any:
        if before and before(*args, **more):
            os.kill(os.getpid(), signal.SIGKILL)
        value = real(*args, **more)
        if after and after(*args, **more):
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    setattr(owner, name, call)


def nth(n: int) -> Callable[..., bool]:
    times = itertools.count(1)
    return lambda *_, **__: next(times) == n


def noted(name: str) -> Callable[..., bool]:
    return lambda *_, **more: bool(more.get(name))


STEPS: dict[str, Callable[[], None]] = {
    "writing rows": lambda: deadly(Draft, "add", after=nth(3)),
    "spooled": lambda: deadly(Draft, "finished", after=nth(1)),
    "uploaded, not noted": lambda: deadly(Parcel, "note", before=noted("file")),
    "uploaded": lambda: deadly(Parcel, "note", after=noted("file")),
    "about to create": lambda: deadly(Parcel, "note", after=noted("asked_at")),
    "created, not noted": lambda: deadly(Parcel, "note", before=noted("batch")),
    "created": lambda: deadly(Parcel, "note", after=noted("batch")),
    "polling": lambda: deadly(Provider, "look", before=nth(2)),
    "results fetched": lambda: deadly(batch, "results", before=nth(1)),
    "collecting": lambda: deadly(Batches, "_keep", after=nth(3)),
    "rest written": lambda: deadly(Parcel, "rest", after=nth(1)),
    "collected": lambda: deadly(Parcel, "remove", before=nth(1)),
    "removed": lambda: deadly(Parcel, "remove", after=nth(1)),
}


def killed_at(step: str, shard: Shard) -> int | None:
    """Ask in a process that dies at a step; its exit code."""

    def job() -> None:
        STEPS[step]()
        shard.ask()

    process = multiprocessing.get_context("fork").Process(target=job)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Faults, dict[str, bytes]]]:
    """The data of one round online."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        for faults in (QUIET, LOUD):
            with teaching(tmp_path_factory.mktemp("online"), faults, patch) as online:
                shard = online.shard("s", online.connection("online"))
                shard.ask()
                made[faults] = shard.data()
    yield made


@pytest.mark.parametrize("step", STEPS)
def test_a_job_that_is_killed_at_a_step_loses_nothing_and_pays_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, expected: dict[Faults, dict[str, bytes]]
) -> None:
    """At the first passing of the step, and in the rerun again; the third run ends well."""
    faults = LOUD if step == "rest written" else QUIET
    with teaching(tmp_path, faults, monkeypatch) as teacher:
        shard = teacher.shard("s", teacher.connection())
        assert killed_at(step, shard) == -signal.SIGKILL
        assert killed_at(step, shard) == -signal.SIGKILL
        shard.ask()
        assert shard.data() == expected[faults]
        teacher.assert_each_was_answered_once()
        assert parcels(shard) == []


def test_a_job_may_be_killed_at_every_step_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[Faults, dict[str, bytes]]
) -> None:
    with teaching(tmp_path, LOUD, monkeypatch) as teacher:
        shard = teacher.shard("s", teacher.connection())
        died = [killed_at(step, shard) for step in STEPS]
        assert died.count(-signal.SIGKILL) > len(STEPS) / 2  # the job may come to its end before
        shard.ask()
        assert shard.data() == expected[LOUD]
        teacher.assert_each_was_answered_once()
        assert parcels(shard) == []


# ------------------------------------------------------------------------------------------------------ roles of a model


def every_other_ends_late(looks: int) -> None:
    """Every other batch is seen under way so many times first, so that the roles' waves overlap."""
    real, seen = Provider.look, Counter[str]()

    async def look(provider: Provider, parcel: Parcel) -> Any:
        seen[parcel.name] += 1
        batch = await real(provider, parcel)
        if batch and [*seen].index(parcel.name) % 2 and seen[parcel.name] <= looks:
            batch.status = "in_progress"
        return batch

    Provider.look = look  # type: ignore[method-assign]


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


def asked(shard: Shard, run: int = 0) -> dict[str, int]:
    """What each endpoint was asked in a run of the first round."""
    rows = json.loads(shard.file(1, "usage", "runs.json").read_text())[run]["endpoints"]
    return {name: sum(row["asked"] for row in rows if row["endpoint"] == name) for name in ("e", "j")}


def test_what_a_killed_job_asked_is_counted_at_its_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with rows of both roles under way: the rerun, begun by the evolver, counts the judge's at the judge."""

    def judging() -> None:
        every_other_ends_late(10**9)
        deadly(Parcel, "note", after=lambda p, **more: "batch" in more and {r["role"] for _, r in p.rows()} == {"j"})

    monkeypatch.setitem(STEPS, "judging", judging)
    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        to = teacher.connection(max_rows=4)
        shard = teacher.shard("s", to, judge=Judge(endpoint="j", blind=None), judge_identity=teacher.identity)
        assert killed_at("judging", shard) == -signal.SIGKILL
        assert len(parcels(shard)) == 2
        shard.ask()
        judged = Counter(line["task"] for line in teacher.asked())["judge"]
        assert asked(shard, -1) == {"e": 4, "j": judged}
        teacher.assert_each_was_answered_once()


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
            good = real(client, messages, schema, **more)
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


def test_batches_at_another_address_are_not_paid_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with teaching(tmp_path, QUIET, monkeypatch) as teacher:
        shard = teacher.shard("s", teacher.connection())
        assert killed_at("polling", shard) == -signal.SIGKILL
    with teaching(tmp_path, QUIET, monkeypatch, "other") as other:
        shard.connections = dict.fromkeys("ej", other.connection())
        with pytest.raises(BadInput) as caught:
            shard.ask()
        assert caught.value.field == "server"
        assert teacher.base_url in caught.value.found
        assert not other.asked()


def test_other_shards_collect_what_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of all records is killed; two jobs of half the buckets each share its batch, and the second clears it away."""
    with teaching(tmp_path, QUIET, monkeypatch) as teacher:
        whole = teacher.shard("whole", teacher.connection(), judge=None)
        assert killed_at("polling", whole) == -signal.SIGKILL
        asked = len(teacher.asked())
        for number in (0, 1):
            half = teacher.shard(f"half{number}", teacher.connection(), judge=None, shards=2)
            (half.root / "replies").symlink_to(whole.root / "replies")
            half.records = [r for r in half.records if shard_of(r.key, 2) == number]
            half.__post_init__()
            assert half.records
            paths = half.paths
            monkeypatch.setattr(half, "paths", lambda n, paths=paths, number=number: paths(n) | {"shard": number})
            half.ask()
            assert len(parcels(whole)) == 1 - number
        assert len(teacher.asked()) >= asked
        teacher.assert_each_was_answered_once()


def test_the_embedded_teacher_of_a_job_takes_its_batches_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that starts its own teacher, and is killed, finds another one that knows nothing: the rows travel anew."""
    teacher = Teacher(tmp_path, QUIET)
    to = Connection(launch="embedded", faults=QUIET, mode="batch", batch=Batch(poll=0.02))
    shard = teacher.shard("s", to, judge=None)
    assert killed_at("polling", shard) == -signal.SIGKILL
    assert len(parcels(shard)) == 1
    assert len(shard.ask()) == 12
    assert parcels(shard) == []


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
