"""Sending requests: retries of what passes, and a clear end when an endpoint does not answer.

Transport errors (429, 5xx, time-outs, resets, broken bodies) are tried again with back-off and are never data. When nothing
has been answered for `patience` seconds, one request has failed `transport_attempts` times, or the key stops working, `Outage`
ends the job; it can be resumed.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from mmevol.config import Connection, Identity, Run
from mmevol.endpoint.budget import NOTHING, spent_before
from mmevol.endpoint.embedded import EmbeddedTeacher
from mmevol.endpoint.limits import Limiter, Sent
from mmevol.endpoint.response import Answer, filtered, read_answer, retry_after
from mmevol.endpoint.usage import Runs, Usage
from mmevol.progress import Heartbeat
from mmevol.records import BadInput, canonical

if TYPE_CHECKING:
    from mmevol.endpoint.batch import Batches

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SENT_IF_SET = ("temperature", "top_p", "seed", "reasoning_effort")
"""Fields of an identity that are sent under their own names, and left out where they are None."""
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
TOO_MUCH = {429, 503, 529}
"""What a server answers that has too much to do."""
TICK = 2.0
"""Seconds between two reports of progress and usage."""


class Outage(Exception):
    """An endpoint stopped answering, or a budget is spent: the job ends with exit code 1 and can be resumed."""


def json_demand(structured: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that demand JSON, in the way that an identity names."""
    if structured == "json_schema":
        wanted = {"name": "reply", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}
    return {"response_format": {"type": "json_object"}} if structured == "json_object" else {}


class Client:
    """One endpoint as one job uses it. Nothing is started or contacted before the first request."""

    def __init__(self, name: str, identity: Identity, connection: Connection, job: "Clients") -> None:
        self.name, self.identity, self.connection, self.job = name, identity, connection, job
        self.usage = Usage()
        self._teacher: EmbeddedTeacher | None = None
        self._session: aiohttp.ClientSession | None = None
        self._starting = asyncio.Lock()
        self.limiter = job.limiter(identity, connection)
        self._token: str | None = None
        self._chat: URL
        self._last_answer = 0.0
        self.in_flight = 0

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    def body(self, messages: list[dict[str, Any]], schema: dict[str, Any], *, more_tokens: int = 1) -> bytes:
        """The request body. `more_tokens` multiplies the token limit (after a truncated reply)."""
        e = self.identity
        value: dict[str, Any] = {"model": e.model, "messages": messages}
        value |= {k: v for k in SENT_IF_SET if (v := getattr(e, k)) is not None}
        value[e.max_tokens_field] = e.max_tokens * more_tokens
        return orjson.dumps(value | json_demand(e.structured, schema))

    async def send(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Send until a complete answer comes. Raises `Outage` (see the module) and `BadInput` (at the start)."""
        async with self.limiter:
            if not self._session:
                await self._start()
            await self.job.check_budget()
            self.in_flight += 1
            try:
                answer = await self._until_answered(body, headers)
            finally:
                self.in_flight -= 1
        self.usage.count(answer)
        return answer

    async def once(
        self, body: dict[str, Any] | None = None, attempt: int = 0
    ) -> tuple[int, bytes, dict[str, str], float]:
        """One plain request, neither counted nor tried again: a question, or with no body the list of models.

        Returns status, body, headers (lower-case names) and seconds. Raises `Outage` where nothing comes back, and `BadInput` as
        `send`.
        """
        await self._start()
        assert self._session
        began = time.monotonic()
        method, path = ("GET", "/models") if body is None else ("POST", "/chat/completions")
        try:
            async with self._session.request(
                method,
                self._url(path),
                data=orjson.dumps(body) if body else None,
                headers={"X-MMEvol-Transport-Attempt": str(attempt)},
                allow_redirects=False,
            ) as response:
                content = self.redacted(await response.read())
                headers = {k.lower(): v for k, v in response.headers.items()}
                return response.status, content, headers, time.monotonic() - began
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Outage(f"endpoint {self.name}: no answer ({type(error).__name__})") from error

    async def reached(self) -> tuple[str, dict[str, str]]:
        """The base URL and the header that carries the key, once the endpoint is there. Raises `BadInput`."""
        await self._start()
        assert self._session
        name = self.connection.api_key_header
        return self._base(), {k: v for k, v in self._session.headers.items() if k == name}

    async def _until_answered(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Try again until an answer comes, or nothing has come to anyone for `patience` seconds since this request went out."""
        began, patience = float("inf"), self.connection.patience
        for attempt in range(self.connection.transport_attempts):
            sent = await self.limiter.turn()
            began = min(began, sent.at)
            answer = await self._try(body, headers | {"X-MMEvol-Transport-Attempt": str(attempt)}, sent)
            if isinstance(answer, Answer):
                self.limiter.answered(sent, answer.input_tokens + answer.output_tokens)
                self._last_answer = time.monotonic()
                self.usage.waited += self._last_answer - sent.at
                return answer
            if answer > patience:
                raise Outage(f"endpoint {self.name} asks to wait for {answer:.0f} s; run again then to resume")
            # Exponential with full jitter, on top of what the server asked for.
            await asyncio.sleep(answer + random.uniform(0, min(30, 0.25 * 2**attempt)))
            if (silent := time.monotonic() - max(began, self._last_answer)) > patience:
                raise Outage(
                    f"endpoint {self.name}: no answer for {silent:.0f} s ({self._kinds()}); run again to resume"
                )
        raise Outage(
            f"endpoint {self.name}: one request failed {attempt + 1} times ({self._kinds()}); run again to resume"
        )

    def _kinds(self) -> str:
        return ", ".join(f"{kind} × {n}" for kind, n in self.usage.errors.most_common())

    async def _try(self, body: bytes, headers: dict[str, str], sent: Sent) -> Answer | float:
        """One HTTP request: the answer, or the seconds to wait that the server asked for (0 where it did not)."""
        assert self._session
        try:
            async with self._session.post(self._chat, data=body, headers=headers, allow_redirects=False) as response:
                content = self.redacted(await response.read())
                if response.status == 200:
                    return read_answer(content)
                self.usage.errors[str(response.status)] += 1
                if response.status in (401, 403) and not self.usage.asked:
                    raise self.unwelcome(response.status)
                if response.status == 400 and filtered(content):
                    return Answer("", "content_filter", "", "", 0, 0, 0)
                if response.status == 404 and not self.usage.asked:
                    raise self._unknown(content)
                if response.status not in RETRIED:
                    raise Outage(self.refused(response.status, content))
                if response.status in TOO_MUCH:
                    wait = retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
                    self.limiter.refused(sent, wait)
                    return wait
        except TimeoutError:
            self.usage.errors["timeout"] += 1
        except (aiohttp.ClientError, ConnectionError) as error:
            self.usage.errors[type(error).__name__] += 1
        except ValueError:
            self.usage.errors["broken body"] += 1
        return 0.0

    def refused(self, status: int | str, content: bytes) -> str:
        """What an answer that ends the job is told as; never with the key in it."""
        said = self.redacted(content)[:300].decode(errors="replace")
        return (
            f"endpoint {self.name} answered {status}: {said}; nothing was kept of it. The same request would be refused again: "
            "mend what is named, then run again to resume"
        )

    def redacted(self, content: bytes) -> bytes:
        """A body without the key, should the server repeat it: nothing that is read, kept or shown holds it."""
        return content.replace(self._token.encode(), b"***") if self._token else content

    def _base(self) -> str:
        base = self._teacher.base_url if self._teacher else self.connection.base_url
        assert base
        return base.rstrip("/")

    def _url(self, path: str) -> URL:
        version = self.connection.api_version
        url = URL(self._base() + path)
        return url.update_query({"api-version": version}) if version else url

    async def _start(self) -> None:
        """Start the embedded teacher or look whether the endpoint is there; once, before the first request."""
        async with self._starting:
            if self._session:
                return
            token = self._key()
            if self.connection.launch == "embedded":
                self._teacher = await self.job.teacher(self.identity, self.connection)
                token = self._teacher.token
            name = self.connection.api_key_header
            key = {name: f"Bearer {token}" if name == "Authorization" else token} if token else {}
            headers = {"Content-Type": "application/json"} | key
            session = aiohttp.ClientSession(
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=self.connection.timeout, sock_connect=10),
                connector=self.job.connector,
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            try:
                await self._look(session)
            except BaseException:
                await session.close()
                raise
            self._session, self._token, self._chat = session, token, self._url("/chat/completions")

    def _key(self) -> str | None:
        """The key from the environment. Raises `BadInput` where it is missing or would travel in the clear."""
        name, url = self.connection.api_key_env, urlsplit(self.connection.base_url or "")
        if name is None:
            return None
        if url.scheme == "http" and url.hostname not in LOOPBACK and not self.connection.allow_http:
            raise self._bad("base_url", f"plain http to {url.hostname}", "https", "use https, or set allow_http: true")
        if not os.environ.get(name):
            raise self._bad("api_key_env", f"{name} is not set", "a key in that variable", f"export {name}=…")
        if not os.environ[name].isprintable():
            raise self._bad("api_key_env", f"{name} holds a line break", "the bare key", f"export {name}=…")
        return os.environ[name]

    async def _look(self, session: aiohttp.ClientSession) -> None:
        """Is the endpoint there, and does it take the key? Some gateways have no /models: 404 and 405 count as there."""
        try:
            async with session.get(
                self._url("/models"), allow_redirects=False, timeout=aiohttp.ClientTimeout(total=20)
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            found = f"{self.connection.base_url}: {error or type(error).__name__}"
            raise self._bad(
                "base_url", found, "a running OpenAI-compatible server", "start it or mend the address"
            ) from error
        if status in (401, 403):
            raise self.unwelcome(status)

    def _unknown(self, content: bytes) -> BadInput:
        found = f"{self.identity.model!r}, and the server answered 404: {content[:200].decode(errors='replace')}"
        return self._bad("model", found, "a model that it serves", "`mmevol doctor --endpoint` lists them")

    def unwelcome(self, status: int) -> BadInput:
        """What a refused key is."""
        return self._bad("api_key_env", f"the server answered {status}", "a key that it accepts", "mend the key")

    def _bad(self, name: str, found: str, expected: str, remedy: str) -> BadInput:
        return BadInput(
            file="the study", field=f"endpoints.{self.name}.{name}", found=found, expected=expected, remedy=remedy
        )


class Clients:
    """The endpoints of one job: they share a budget and, where the study asks for it, one embedded teacher."""

    def __init__(self, run: Run, shards: int = 1, *, usage: Path | None = None, beat: Heartbeat | None = None) -> None:
        """`usage`: the file that says what the job cost; `beat`: told the same while it goes on."""
        self.run = run
        self._limits = {k: v for k, v in run.budget.share(shards).model_dump().items() if v is not None}
        self.clients: list[Client] = []
        self.batches: dict[Identity, Batches] = {}
        self._before = spent_before(usage) if usage else NOTHING
        self._runs, self._beat = Runs(usage) if usage else None, beat
        self._began = time.monotonic()
        self._limiters: dict[str, Limiter] = {}
        self._teachers: dict[str, EmbeddedTeacher] = {}
        self._starting = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None
        self.owning = asyncio.Lock()  # held by the question that waits to be the reply store's only writer
        self.asking = 0
        """Questions that somebody works on, and that wait neither for a batch nor for a budget."""

    @cached_property
    def connector(self) -> aiohttp.TCPConnector:
        """The connections of all clients: evolver and judge on one server use the same ones."""
        return aiohttp.TCPConnector(limit=0)

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.ensure_future(self._tick())
        return self

    async def __aexit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        if self._ticking:
            self._ticking.cancel()
        for batches in self.batches.values():
            await batches.close()
        for client in self.clients:
            await client.close()
        await self.connector.close()
        for limiter in self._limiters.values():
            limiter.close()
        for teacher in self._teachers.values():
            teacher.stop()
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
        same = canonical([c.base_url, identity.model, c.api_key_env, c.concurrency, c.limits.model_dump()])
        if same not in self._limiters:
            self._limiters[same] = Limiter(c, same if c.base_url else None, identity.max_tokens)
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

    async def teacher(self, identity: Identity, connection: Connection) -> EmbeddedTeacher:
        """The embedded teacher of a model, started when first needed."""
        async with self._starting:
            if identity.model not in self._teachers:
                teacher = EmbeddedTeacher(identity, connection)
                await asyncio.to_thread(teacher.start)
                self._teachers[identity.model] = teacher
            return self._teachers[identity.model]

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
        return (
            f"evolve.budget.{name} of this shard is spent ({all_:g} of {limit:g}{earlier}){far}; all answers are kept:"
            f" raise evolve.budget.{name}, which is divided by shards, and run again to go on"
        )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While somebody works on a question."""
        self.asking += 1
        try:
            yield
        finally:
            self.asking -= 1

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
        return sum(c.batch.records if c.mode == "batch" else 2 * c.concurrency for c in of)

    def _in_flight(self) -> int:
        return sum(c.in_flight for c in self.clients)
