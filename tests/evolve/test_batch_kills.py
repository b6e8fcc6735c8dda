"""A job in batch mode that is killed at any step: nothing is lost and no row is paid twice."""

import itertools
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batches import LOUD, QUIET, Teacher, asked, every_other_ends_late, parcels, teaching
from mmevol.config import Batch, Connection, Faults, Judge
from mmevol.endpoint import batch
from mmevol.endpoint.batch import Batches
from mmevol.endpoint.parcel import Draft, Parcel
from mmevol.endpoint.provider import Provider
from mmevol.records import BadInput
from mmevol.store import shard_of
from shards import Shard


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


def judging() -> None:
    every_other_ends_late(10**9)
    deadly(Parcel, "note", after=lambda p, **more: "batch" in more and {r["role"] for _, r in p.rows()} == {"j"})


SERVER = multiprocessing.get_context("forkserver")
"""Not plain forks: a process in which a client was made must not fork, as its threads would not be there."""
SERVER.set_forkserver_preload(["mmevol.endpoint.provider", "mmevol.evolve.ask", "pytest"])


def job(step: str, shard: Shard, environment: dict[str, str]) -> None:
    os.environ |= environment
    (STEPS | {"judging": judging})[step]()
    shard.ask()


def killed_at(step: str, shard: Shard) -> int | None:
    """Ask in a process that dies at a step; its exit code."""
    process = SERVER.Process(target=job, args=(step, shard, dict(os.environ)))
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


def test_what_a_killed_job_asked_is_counted_at_its_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with rows of both roles under way: the rerun, begun by the evolver, counts the judge's at the judge."""

    with teaching(tmp_path, Faults(), monkeypatch) as teacher:
        to = teacher.connection(max_rows=4)
        shard = teacher.shard("s", to, judge=Judge(endpoint="j", blind=None), judge_identity=teacher.identity)
        assert killed_at("judging", shard) == -signal.SIGKILL
        assert len(parcels(shard)) == 2
        shard.ask()
        judged = Counter(line["task"] for line in teacher.asked())["judge"]
        assert asked(shard, -1) == {"e": 4, "j": judged}
        teacher.assert_each_was_answered_once()


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
