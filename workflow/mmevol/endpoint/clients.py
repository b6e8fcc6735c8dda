"""The endpoints of one job: what they share, what they may spend, and what is told of them while the job goes on."""

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pyreqwest import client as http
from pyreqwest.proxy import ProxyBuilder

from mmevol.config import Connection, Identity, Run
from mmevol.endpoint.budget import NOTHING, spent_before
from mmevol.endpoint.client import Client, Outage
from mmevol.endpoint.embedded import EmbeddedTeacher
from mmevol.endpoint.limits import Limiter
from mmevol.endpoint.serving import Served
from mmevol.endpoint.usage import Runs
from mmevol.progress import Heartbeat
from mmevol.records import BadInput, canonical

if TYPE_CHECKING:
    from mmevol.endpoint.batch import Batches

RARELY = 500_000
"""Objects made between two garbage collections while a job asks: with Python's own 700 they take a sixth of its CPU, and find
hardly anything."""
CONNECT = timedelta(seconds=10)
"""What a connection may take to come about."""
TICK = 2.0
"""Seconds between two reports of progress and usage."""
SPARE = 1.1
"""Records that are worked on, in requests that an endpoint takes at a time: a place that becomes free is taken at once, and the
picture that the evolver was sent is still held when the judge is asked."""


def proxy_of_environment() -> ProxyBuilder | None:
    """The proxy that `https_proxy` names, with the exceptions of `no_proxy`; plain http is for this machine or network and takes
    none. Raises `BadInput` where it is no address."""
    proxy, exceptions = (os.environ.get(n) or os.environ.get(n.upper()) for n in ("https_proxy", "no_proxy"))
    try:
        return ProxyBuilder.https(proxy).no_proxy(exceptions) if proxy else None
    except ValueError as error:
        raise BadInput(
            file="the environment",
            field="https_proxy",
            found=str(error),  # it may hold a password
            expected="an address, as http://proxy.example.org:3128",
            remedy="mend the variable, or unset it",
        ) from None


class Clients:
    """The endpoints of one job: they share a budget, and a server where the study has one started."""

    def __init__(
        self,
        run: Run,
        shards: int = 1,
        *,
        usage: Path | None = None,
        beat: Heartbeat | None = None,
        budget: tuple[str, str] = ("evolve.budget", "shard"),
    ) -> None:
        """`usage`: the file that says what the job cost; `beat`: told the same while it goes on; `budget`: the study's key of it,
        and whose a part is."""
        self.run, self._budget = run, budget
        self._limits = {k: v for k, v in run.budget.share(shards).model_dump().items() if v is not None}
        self.clients: list[Client] = []
        self.batches: dict[Identity, Batches] = {}
        self._before = spent_before(usage) if usage else NOTHING
        self._runs, self._beat = Runs(usage) if usage else None, beat
        self._began = time.monotonic()
        self._limiters: dict[str, Limiter] = {}
        self._servers: dict[str, EmbeddedTeacher | Served] = {}
        self._http: http.Client | None = None
        self._starting = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None
        self._collects = gc.get_threshold()
        self.owning = asyncio.Lock()  # held by the question that waits to be the reply store's only writer
        self.asking = 0
        """Questions that somebody works on, and that wait neither for a batch nor for a budget."""

    @property
    def http(self) -> http.Client:
        """The connections of all clients: evolver and judge on one server use the same ones. A key goes to the address of the study
        and nowhere else."""
        if not self._http:
            made = http.ClientBuilder().user_agent("mmevol").connect_timeout(CONNECT).follow_redirects(False).no_proxy()
            self._http = (made.proxy(proxy) if (proxy := proxy_of_environment()) else made).build()
        return self._http

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.ensure_future(self._tick())
        gc.set_threshold(RARELY, *self._collects[1:])
        gc.freeze()  # what is there now stays for as long as the job asks
        return self

    async def __aexit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        if self._ticking:
            self._ticking.cancel()
        for batches in self.batches.values():
            await batches.close()
        if self._http:
            await self._http.close()
        for limiter in self._limiters.values():
            limiter.close()
        for server in self._servers.values():
            server.stop()
        gc.unfreeze()
        gc.set_threshold(*self._collects)
        self._tell(kind.__name__ if kind else "done")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            self._tell()

    def _tell(self, end: str = "") -> None:
        """Say what was asked so far, and, if it is so, how the run ended."""
        if self._beat:
            self._beat.advance(0, **self.facts())
        if self._runs:
            self._runs.tell([c.usage.row(c.name, c.identity.model, c.connection.prices) for c in self.clients], end)

    def limiter(self, identity: Identity, connection: Connection) -> Limiter:
        """What paces an endpoint: one for all that name the same server, model and limits."""
        c = connection
        where = c.base_url or (c.serve and c.serve.command)
        same = canonical([where, identity.model, c.api_key_env, c.concurrency, c.limits.model_dump()])
        if same not in self._limiters:
            self._limiters[same] = Limiter(c, same if where else None, identity.max_tokens)
        return self._limiters[same]

    def client(self, name: str, identity: Identity) -> Client:
        """The client of an endpoint of the study."""
        if name not in self.run.connections:
            raise BadInput(
                file="--run",
                field=f"connections.{name}",
                found="nothing",
                expected="how the endpoint is reached: launch or base_url",
                remedy="pass what the rule passes: `snakemake -n -p` shows it",
            )
        client = Client(name, identity, self.run.connections[name].billed(), self)
        self.clients.append(client)
        return client

    async def server(self, identity: Identity, connection: Connection) -> EmbeddedTeacher | Served:
        """The embedded teacher of a model, or the server that the study has started for it; when first needed."""
        async with self._starting:
            if identity.model not in self._servers:
                if connection.serve:
                    served = Served(identity, connection, self.run)
                    await served.start()
                    self._servers[identity.model] = served
                else:
                    teacher = EmbeddedTeacher(identity, connection)
                    await asyncio.to_thread(teacher.start)
                    self._servers[identity.model] = teacher
            return self._servers[identity.model]

    def facts(self) -> dict[str, Any]:
        """What was asked and spent so far, for the progress line."""
        used = [c.usage for c in self.clients]
        asked = sum(u.asked for u in used)
        seconds = time.monotonic() - self._began
        return {
            "asked": asked,
            "asked_per_s": round(asked / seconds, 1),
            "tokens": sum(u.input_tokens + u.output_tokens for u in used),
            "money": round(self.money(), 4),
            "errors": dict(sum((u.errors for u in used), Counter[str]()).most_common()),
        }

    def money(self) -> float:
        """What all endpoints cost so far."""
        return sum(c.usage.money(c.connection.prices) for c in self.clients)

    async def check_budget(self) -> None:
        """Raises `Outage` when a budget is spent, by this job and all that the shard asked before, once the answers that are on
        their way have come and are kept."""
        if not self._limits:
            return
        spent = self._spent()
        spent["requests"] += self._in_flight()
        for name, limit in self._limits.items():
            if spent[name] >= limit:
                with self.parked():
                    while self._in_flight():
                        await asyncio.sleep(0.05)
                raise Outage(self._stopped(name, limit))

    def _spent(self) -> dict[str, float]:
        """What the shard has spent, before this run and in it."""
        used = [c.usage for c in self.clients]
        return {
            "requests": self._before["requests"] + sum(u.asked for u in used),
            "tokens": self._before["tokens"] + sum(u.input_tokens + u.output_tokens for u in used),
            "money": self._before["money"] + self.money(),
        }

    def _stopped(self, name: str, limit: float) -> str:
        """What a person reads when a budget is spent."""
        all_, before = self._spent()[name], self._before[name]
        earlier = f", {before:g} of it before this run" if before else ""
        total = f" of {self._beat.total:,}" if self._beat and self._beat.total else ""
        far = f" after {self._beat.done:,}{total} {self._beat.unit} of this job" if self._beat else ""
        key, whose = self._budget
        divided = ", which is divided by shards," if whose == "shard" else ""
        return (
            f"{key}.{name} of this {whose} is spent ({all_:g} of {limit:g}{earlier}){far}; all answers are kept:"
            f" raise {key}.{name}{divided} and run again to go on"
        )

    @contextmanager
    def parked(self) -> Iterator[None]:
        """While a question waits for what others must bring about."""
        self.asking -= 1
        try:
            yield
        finally:
            self.asking += 1

    def width(self) -> int:
        """Records that a job works on at a time: enough to keep every endpoint busy, or to fill a batch."""
        of = {c.limiter: c.connection for c in self.clients}.values()
        return sum(c.batch.records if c.mode == "batch" else 1 + int(SPARE * c.concurrency) for c in of)

    def _in_flight(self) -> int:
        return sum(c.in_flight for c in self.clients)
