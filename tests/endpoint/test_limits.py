"""Limits: the pace of a minute, who shares an endpoint, and what congestion does to the width."""

import asyncio
import itertools
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import Connection, Limits, Run
from mmevol.endpoint import limits as module
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.limits import CREDIT, FEW, RECOVERY, Limiter, Mark, Pace, Sent
from scripted import identity


@pytest.fixture(autouse=True)
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Marks of the test's own."""
    monkeypatch.setattr(module, "folder", lambda: tmp_path / "marks")
    return tmp_path / "marks"


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock.monotonic)
    monkeypatch.setattr(module.asyncio, "sleep", clock.sleep)
    return clock


def limiter(endpoint: str | None = None, tokens: float = 100, concurrency: int = 32, **limits: Any) -> Limiter:
    return Limiter(
        Connection(base_url="http://e/v1", concurrency=concurrency, limits=Limits(**limits)), endpoint, tokens
    )


# ------------------------------------------------------------------------------------------------------------------- pace


@given(st.floats(1, 5000), st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_no_minute_holds_more_than_its_limit(limit: float, idle: list[float]) -> None:
    """However the asking comes in bursts and pauses."""
    pace, now = Pace(limit), 1000.0
    gone = []
    for pause in itertools.islice(itertools.cycle(idle), 3 * int(limit) if limit < 300 else 900):
        now = max(now + pause, pace.take(1, now + pause, 1))
        gone.append(now)
    first = 0
    for last, moment in enumerate(gone):
        while gone[first] <= moment - 60 + 1e-6:
            first += 1
        assert last - first + 1 <= math.ceil(limit)


def test_what_is_not_used_for_long_is_lost() -> None:
    pace, at = Pace(61), 1000.0  # one a second
    assert pace.take(1, at, 1) <= at
    assert [pace.take(1, at + 3600, 1) - at - 3600 for _ in range(3)] == pytest.approx([-CREDIT, 0, 1], abs=1e-6)


def test_a_share_is_the_limit_divided() -> None:
    pace, at = Pace(61), 1000.0
    starts = [pace.take(1, at, 4) for _ in range(5)]
    assert [b - a for a, b in itertools.pairwise(starts)] == pytest.approx([4.0] * 4)


def test_tokens_are_reckoned_before_and_corrected_after(clock: Clock) -> None:
    """1,000 tokens a request at 61,000 a minute, first guessed at 100: one a second once it is known."""

    async def run() -> None:
        it = limiter(tokens=100, tokens_per_minute=61_000)
        began = clock.now
        for n in range(1, 60):
            it.answered(await it.turn(), 1000)
            assert n * 1000 <= 61_000 / 61 * (clock.now - began + CREDIT) + 1000 + 1e-6
        assert clock.now - began == pytest.approx(57, abs=1)

    asyncio.run(run())


def test_a_server_that_tells_no_tokens_is_paced_by_the_guess(clock: Clock) -> None:
    async def run() -> None:
        it = limiter(tokens=1000, tokens_per_minute=61_000)
        began = clock.now
        for _ in range(30):
            it.answered(await it.turn(), 0)
        assert clock.now - began == pytest.approx(28, abs=1)

    asyncio.run(run())


def test_without_a_limit_nobody_waits(clock: Clock) -> None:
    async def run() -> None:
        it = limiter()
        for _ in range(1000):
            await it.turn()

    asyncio.run(run())
    assert clock.now == 1000.0


# ---------------------------------------------------------------------------------------------------------------- sharing

JOB = """
import sys, time
from pathlib import Path
from mmevol.endpoint import limits
limits.folder = lambda: Path(sys.argv[1])
mark = limits.Mark("e")
print(mark.sharers(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def jobs(marks: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that ask the endpoint ``e``."""
    started = []
    for n in (1, 2):
        started.append(subprocess.Popen([sys.executable, "-c", JOB, str(marks)], stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout
        assert started[-1].stdout.readline() == f"{n}\n"
    yield started
    for job in started:
        job.kill()
        job.communicate()


def test_jobs_of_one_machine_share_and_a_killed_one_is_not_counted(jobs: list[subprocess.Popen[str]]) -> None:
    mine, other = Mark("e"), Mark("f")
    assert (mine.sharers(), other.sharers()) == (3, 1)
    os.kill(jobs[0].pid, signal.SIGKILL)
    jobs[0].wait()
    assert mine.sharers() == 2
    assert len(list(mine.path.parent.iterdir())) == 2
    mine.remove()
    assert not mine.path.exists()


def test_width_and_pace_follow_the_number_of_jobs(
    jobs: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RECOUNT", 0.0)

    async def run() -> None:
        it = limiter("e", concurrency=32)
        async with it:
            assert it.width == it.most == 10
        for job in jobs:
            job.kill()
            job.wait()
        async with it:
            assert it.width == it.most == 32
        it.close()

    asyncio.run(run())


def test_endpoints_of_a_job_share_when_they_are_one() -> None:
    facts = Run(connections={n: Connection(base_url="http://e/v1") for n in "ab"})

    async def run() -> None:
        clients = Clients(facts)
        a, b = clients.client("a", identity()), clients.client("b", identity(temperature=0))
        assert a.limiter is b.limiter
        assert clients.client("b", identity(model="other")).limiter is not a.limiter

    asyncio.run(run())


# ------------------------------------------------------------------------------------------------------------------ width


def trip(it: Limiter, clock: Clock, accepted: Callable[[], bool], requests: int | None = None) -> int:
    """A round trip: so many requests (as many as the width) go out together; refusals come at once, answers a second later."""

    async def go() -> list[Sent]:
        return [await it.turn() for _ in range(requests or int(it.width))]

    sent = asyncio.run(go())
    good = [accepted() for _ in sent]
    for one, fine in zip(sent, good, strict=True):
        if not fine:
            it.refused(one, 0)
    clock.now += 1
    for one, fine in zip(sent, good, strict=True):
        if fine:
            it.answered(one, 0)
    return sum(good)


@pytest.mark.parametrize(("refused", "width"), [(1, 32), (6, 32), (7, 16), (20, 16), (32, 16)])
def test_many_refusals_halve_the_width_once_for_all_that_was_in_flight(clock: Clock, refused: int, width: int) -> None:
    it = limiter()
    replies = iter([False] * refused + [True] * (32 - refused))
    trip(it, clock, lambda: next(replies))
    assert width <= it.width < width + 2


def test_a_new_congestion_halves_again_but_never_below_one(clock: Clock) -> None:
    it = limiter()
    for _ in range(40):
        trip(it, clock, lambda: False)
    assert it.width == 1


def test_answers_win_the_width_back_in_so_many_round_trips(clock: Clock) -> None:
    it, trips = limiter(), 0
    trip(it, clock, lambda: False)
    assert it.width == 16
    while it.width < 32:
        trip(it, clock, lambda: True)
        trips += 1
    assert RECOVERY / 2 <= trips <= RECOVERY / 2 + 3


@pytest.mark.parametrize(("concurrency", "share"), [(16, 0.9), (64, 0.98), (256, 0.99)])
def test_one_reply_in_twenty_refused_at_random_narrows_little(clock: Clock, concurrency: int, share: float) -> None:
    """Though all go out together and the refusals come back first."""
    it, draw, widths = limiter(concurrency=concurrency), random.Random(0), []
    for _ in range(500):
        trip(it, clock, lambda: draw.random() > 0.05)
        widths.append(it.width)
    assert sum(widths) / len(widths) > share * concurrency


def test_a_server_with_less_room_is_met_at_its_room(clock: Clock) -> None:
    """It takes 24 at a time; round trip after round trip the width stays near that."""
    it, room, served, widths = limiter(concurrency=64), iter([]), 0, []  # type: tuple[Limiter, Iterator[int], int, list[float]]
    for n in range(400):
        room = iter(range(24))
        done = trip(it, clock, lambda room=room: next(room, None) is not None)  # type: ignore[misc]
        served += done if n >= 50 else 0
        widths.append(it.width)
    assert max(widths[50:]) <= 32
    assert served > 0.8 * 24 * 350


@pytest.mark.parametrize(("refusals", "wait"), [(1, 0), (6, 0), (7, 7)])
def test_only_congestion_makes_those_wait_that_have_not_gone(clock: Clock, refusals: int, wait: float) -> None:
    async def run() -> None:
        it = limiter()
        for sent in [await it.turn() for _ in range(32)][:refusals]:
            it.refused(sent, 7)
        await it.turn()

    asyncio.run(run())
    assert clock.now == 1000.0 + wait


@given(st.lists(st.sampled_from(["enter", "leave", "cancel", "refuse", "answer"]), max_size=60), st.integers(1, 6))
def test_places_are_never_lost_nor_given_twice(steps: list[str], concurrency: int) -> None:
    """Any order of comings, goings and cancellations: at most `width` inside, and nobody waits beside a free place."""

    async def run() -> None:
        it, inside = limiter(concurrency=concurrency), 0
        leave = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def one() -> None:
            nonlocal inside
            async with it:
                inside += 1
                try:
                    await leave.wait()
                finally:
                    inside -= 1

        for step in steps:
            match step:
                case "enter":
                    tasks.append(asyncio.ensure_future(one()))
                case "leave":
                    leave.set()
                    leave = asyncio.Event()
                case "cancel" if tasks:
                    tasks[len(tasks) // 2].cancel()
                case "refuse":
                    for _ in range(FEW):
                        it.refused(Sent(float("inf"), 0), 0)
                case "answer":
                    it.answered(Sent(float("inf"), 0), 0)
            for _ in range(4):
                await asyncio.sleep(0)
            assert inside <= concurrency
            waiting = sum(not task.done() for task in tasks) - inside
            assert not waiting or inside >= int(it.width)
        leave.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (inside, it._in_flight) == (0, 0)

    asyncio.run(run())
