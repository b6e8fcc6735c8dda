"""How much may be asked of an endpoint: at once, in a minute, and while it says that it has too much to do.

The jobs that run at once on one machine share an endpoint evenly. Each leaves a mark, a file that names its process, in a folder of
this machine (never on a network file system), and counts the marks of living processes once a second: its share is the limit
divided by their number. There is no daemon and no lock; what `kill -9` leaves behind is not counted, and removed by the next who
counts. A share that its job does not use is not lent to others.
"""

import asyncio
import itertools
import os
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from mmevol.config import Connection
from mmevol.owner import alive_here, process_start
from mmevol.records import digest

RECOUNT = 1.0
"""Seconds between two looks at who else asks."""
CREDIT = 1.0
"""Seconds of a minute's limit that may be made up for when they were not used; a minute with them keeps the limit."""
TOLERATED = 0.2
"""Share of a round trip's requests that may be refused (429, 503) by chance, each delaying itself and nobody else; more is
congestion. It is judged by round trips, since refusals come back before answers: of a hundred requests that go out together, five
of them refused, nothing but refusals is heard for a while."""
FEW = 4
"""Refusals in a round trip that are chance whatever their share."""
RECOVERY = 32
"""Round trips in which the whole width is won back."""

_numbers = itertools.count()


def folder() -> Path:
    """Where the marks of this user lie: in memory where there is such a place, else in the temporary folder."""
    memory = Path("/dev/shm")
    return (memory if memory.is_dir() else Path(tempfile.gettempdir())) / f"mmevol-{os.getuid()}"


def living(marks: Path) -> int:
    """How many of the marks in a folder are of processes that live; the others are removed."""
    found = 0
    for mark in marks.iterdir():
        pid, start, _ = mark.name.split(".")
        if alive_here(int(pid), start):
            found += 1
        else:
            mark.unlink(missing_ok=True)
    return found


class Mark:
    """One job among those that ask an endpoint from this machine."""

    def __init__(self, endpoint: str) -> None:
        pid = os.getpid()
        self.path = folder() / digest(endpoint)[:16] / f"{pid}.{process_start(pid)}.{next(_numbers)}"
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch()

    def sharers(self) -> int:
        """How many living jobs ask, this one included."""
        return max(1, living(self.path.parent))

    def remove(self) -> None:
        """Give the share back."""
        self.path.unlink(missing_ok=True)


class Pace:
    """A limit a minute: no 60 seconds hold more than it, a share that has just changed aside."""

    def __init__(self, per_minute: float) -> None:
        self._each = (60 + CREDIT) / per_minute
        self._spent_until = float("-inf")

    def take(self, amount: float, now: float, sharers: int) -> float:
        """Spend so much; returns the moment from which on it may be used."""
        start = max(self._spent_until, now - CREDIT)
        self._spent_until = start + amount * self._each * sharers
        return start

    def correct(self, amount: float, sharers: int) -> None:
        """Spend so much more (or less, if negative) for what was taken before."""
        self._spent_until += amount * self._each * sharers


class Sent(NamedTuple):
    """A request that goes out: when (monotonic seconds), and the tokens that were reckoned for it."""

    at: float
    tokens: float


class Limiter:
    """One endpoint as one job may use it: ``async with limiter: await limiter.turn(); …``.

    The width (requests in flight) starts at this job's share of `concurrency`. Congestion halves it, once for all that was in
    flight then; answers win it back step by step. The requests that wait, wait as long as the server asked.
    """

    def __init__(self, connection: Connection, endpoint: str | None, tokens: float) -> None:
        """`endpoint`: what jobs share, None where this job has its own; `tokens`: a first guess of what a request needs."""
        limits = connection.limits
        self._endpoint, self._mark = endpoint, None  # type: tuple[str | None, Mark | None]
        self._concurrency, self._sharers, self._counted = connection.concurrency, 1, float("-inf")
        self._requests = Pace(limits.requests_per_minute) if limits.requests_per_minute else None
        self._tokens = Pace(limits.tokens_per_minute) if limits.tokens_per_minute else None
        self._guess, self._guesses = tokens, 0
        self._turn = asyncio.Lock()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._in_flight = 0
        self._trip, self._sent, self._refused = float("-inf"), 0, 0  # of this round trip: beginning, requests, refusals
        self._congested, self._pause_until = float("-inf"), float("-inf")
        self.width = float(connection.concurrency)

    def close(self) -> None:
        """Give the share back."""
        if self._mark:
            self._mark.remove()

    @property
    def most(self) -> int:
        """This job's share of the concurrency, at least 1."""
        return max(1, self._concurrency // self._sharers)

    async def __aenter__(self) -> None:
        self._count()
        if not self._waiting and self._in_flight + 1 <= self.width:
            self._in_flight += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place  # whoever gives the place has counted us in
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """While a request waits to be sent again, its place is another's."""
        self._leave()
        try:
            yield
            await self.__aenter__()
        except BaseException:
            self._in_flight += 1  # the place that `__aexit__` is about to give back
            raise

    def _leave(self) -> None:
        self._in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._in_flight + 1 <= self.width:
            place = self._waiting.popleft()
            if not place.done():
                self._in_flight += 1
                place.set_result(None)

    def _count(self) -> None:
        """Look again who shares the endpoint, once a second."""
        now = time.monotonic()
        if self._endpoint is None or now - self._counted < RECOUNT:
            return
        self._mark = self._mark or Mark(self._endpoint)
        whole = self.width >= self.most
        self._sharers, self._counted = self._mark.sharers(), now
        self.width = float(self.most) if whole else min(self.width, self.most)
        self._admit()

    async def turn(self) -> Sent:
        """Wait until a request may go out."""
        while (left := self._pause_until - time.monotonic()) > 0:
            await asyncio.sleep(left)
        tokens = await self._paced() if self._requests or self._tokens else 0.0
        self._sent += 1
        return Sent(time.monotonic(), tokens)

    async def _paced(self) -> float:
        """Wait for a place within the limits a minute; returns the tokens that were reckoned for it."""
        async with self._turn:  # one at a time, so that a share that changes counts for all who wait
            self._count()
            now, guess = time.monotonic(), self._guess
            starts = [
                pace.take(amount, now, self._sharers)
                for pace, amount in ((self._requests, 1.0), (self._tokens, guess))
                if pace
            ]
            if (left := max(starts) - now) > 0:
                await asyncio.sleep(left)
        return guess

    def answered(self, sent: Sent, tokens: int) -> None:
        """An answer came; it used so many tokens (0: the server does not say)."""
        if sent.at >= self._trip:
            self._new_trip()
        self.width = min(self.most, self.width + self.most / RECOVERY / self.width)
        self._admit()
        if self._tokens and tokens:
            self._tokens.correct(tokens - sent.tokens, self._sharers)
            self._guesses = min(100, self._guesses + 1)
            self._guess += (tokens - self._guess) / self._guesses

    def refused(self, sent: Sent, wait: float) -> None:
        """The server had too much to do for a request, and asked to wait so many seconds."""
        if sent.at <= self._congested:  # known since
            return
        self._refused += 1
        if self._refused >= max(FEW, TOLERATED * max(self._sent, self.width)):
            self._new_trip()
            self._congested, self._pause_until = self._trip, self._trip + wait
            self.width = max(1.0, self.width / 2)

    def _new_trip(self) -> None:
        self._trip, self._sent, self._refused = time.monotonic(), 0, 0
