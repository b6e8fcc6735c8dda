"""Sending requests: retries of what passes, and a clear end when an endpoint does not answer.

Transport errors (429, 5xx, time-outs, resets, broken bodies) are tried again with back-off and are never data. When nothing
has been answered for `patience` seconds, one request has failed `transport_attempts` times, or the key stops working, `Outage`
ends the job; it can be resumed.
"""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url
from pyreqwest.response import Response

from mmevol.config import Connection, Identity
from mmevol.endpoint.embedded import EmbeddedTeacher
from mmevol.endpoint.limits import Sent
from mmevol.endpoint.prompt import SHOWN, TAIL, Prompt, cut
from mmevol.endpoint.response import Answer, filtered, read_answer, retry_after
from mmevol.endpoint.serving import Served, Unserved
from mmevol.endpoint.usage import Usage
from mmevol.records import BadInput

if TYPE_CHECKING:
    from mmevol.endpoint.clients import Clients

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
SENT_IF_SET = ("temperature", "top_p", "seed", "reasoning_effort")
"""Fields of an identity that are sent under their own names, and left out where they are None."""
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
TOO_MUCH = {429, 503, 529}
"""What a server answers that has too much to do."""


class Outage(Exception):
    """An endpoint stopped answering, or a budget is spent: the job ends with exit code 1 and can be resumed."""


class Refused(Outage):
    """An endpoint will not take a request, however often it is sent."""

    def of(self, record: str, task: str) -> "Refused":
        """The same, saying which request it was."""
        self.add_note(f"It was asked about record {record} (task {task}).")
        return self


def json_demand(structured: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that demand JSON, in the way that an identity names."""
    if structured == "json_schema":
        wanted = {"name": "reply", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": wanted}}
    return {"response_format": {"type": "json_object"}} if structured == "json_object" else {}


def cause(error: PyreqwestError) -> str:
    """What went wrong on the way, in the words of what noticed it: the connection, the resolver, TLS."""
    causes = getattr(error, "details", {}).get("causes")
    return causes[-1]["message"] if causes else error.message


class Client:
    """One endpoint as one job uses it. Nothing is started or contacted before the first request."""

    def __init__(self, name: str, identity: Identity, connection: Connection, job: "Clients") -> None:
        self.name, self.identity, self.connection, self.job = name, identity, connection, job
        self.usage = Usage()
        self._server: EmbeddedTeacher | Served | None = None
        self._starting = asyncio.Lock()
        self.limiter = job.limiter(identity, connection)
        self._frames: dict[tuple[Any, ...], tuple[dict[str, Any], list[bytes]]] = {}
        self._token: str | None = None
        self._chat: Url | None = None
        self._headers: dict[str, str] = {}
        self._timeout = timedelta(seconds=connection.timeout)
        self._last_answer = 0.0
        self.in_flight = 0

    def body(self, prompt: Prompt, picture: bytes | str | None = None, *, more_tokens: int = 1) -> bytes:
        """The request body. `picture`: base64 of a JPEG, or an address; `more_tokens` multiplies the token limit (after a truncated
        reply). Without a schema any text will do."""
        kind = type(prompt), prompt.instructions, id(prompt.schema), picture is None, more_tokens
        if kind not in self._frames:
            self._frames[kind] = prompt.schema, self._frame(prompt, picture is not None, more_tokens)
        _, (*before, after) = self._frames[kind]
        tail = orjson.dumps(prompt.tail(self.identity))
        if picture is None:
            return before[0] + tail + after
        if isinstance(picture, str):
            return before[0] + orjson.dumps(picture) + before[1] + tail + after
        return b"".join((before[0], b'"data:image/jpeg;base64,', picture, b'"', before[1], tail, after))

    def _frame(self, prompt: Prompt, pictured: bool, more_tokens: int) -> list[bytes]:
        """What all questions of a kind have in common, encoded once. Its schema is held too, so that its id is never another's."""
        e = self.identity
        value: dict[str, Any] = {"model": e.model, "messages": prompt.messages(e, SHOWN if pictured else None, TAIL)}
        value |= {k: v for k in SENT_IF_SET if (v := getattr(e, k)) is not None}
        value[e.max_tokens_field] = e.max_tokens * more_tokens
        return cut(orjson.dumps(value | (json_demand(e.structured, prompt.schema) if prompt.schema else {})))

    async def send(self, made: Callable[[], Awaitable[bytes]], headers: dict[str, str]) -> Answer:
        """Send until a complete answer comes. The body is `made` when its turn has come, so that no more of them are in memory than
        can be sent. Raises `Outage` (see the module) and `BadInput` (at the start)."""
        async with self.limiter:
            if not self._chat:
                await self._start()
            await self.job.check_budget()
            self.in_flight += 1
            try:
                answer = await self._until_answered(await made(), headers)
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
        began, headers = time.monotonic(), {"X-MMEvol-Transport-Attempt": str(attempt)}
        try:
            if body is None:
                response = await self._get_models(self._timeout)
            else:
                response = await self._post(orjson.dumps(body), headers)
            content = self.redacted(bytes(await response.bytes()))
        except PyreqwestError as error:
            raise Outage(f"endpoint {self.name}: no answer ({cause(error)})") from error
        return response.status, content, dict(response.headers.items()), time.monotonic() - began

    async def reached(self) -> tuple[str, dict[str, str]]:
        """The base URL and the header that carries the key, once the endpoint is there. Raises `BadInput`."""
        await self._start()
        name = self.connection.api_key_header
        return self._base(), {k: v for k, v in self._headers.items() if k == name}

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
            async with self.limiter.aside():
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
        try:
            response = await self._post(body, headers)
            content = self.redacted(bytes(await response.bytes()))
            if response.status == 200:
                return read_answer(content)
        except TimeoutError:
            broken = "timeout"
        except PyreqwestError as error:
            broken = cause(error)
        except ValueError:
            broken = "broken body"
        else:
            return self._declined(response, content, sent)
        self.usage.errors[broken] += 1
        return 0.0

    def _declined(self, response: Response, content: bytes, sent: Sent) -> Answer | float:
        """What another status than 200 comes to: an answer after all, seconds to wait, or the end."""
        self.usage.errors[str(response.status)] += 1
        if response.status in (401, 403) and not self.usage.asked:
            raise self.unwelcome(response.status)
        if response.status == 400 and filtered(content):
            return Answer("", "content_filter", "", "", 0, 0, 0)
        if response.status == 404 and not self.usage.asked:
            raise self._unknown(content)
        if response.status not in RETRIED:
            raise Refused(self.refused(response.status, content))
        if response.status not in TOO_MUCH:
            return 0.0
        wait = retry_after(response.get_header("Retry-After"), response.get_header("Date"))
        self.limiter.refused(sent, wait)
        return wait

    async def _post(self, body: bytes, headers: dict[str, str]) -> Response:
        """A question, sent once."""
        assert self._chat
        request = self.job.http.post(self._chat).headers(self._headers | headers).timeout(self._timeout)
        return await request.body_bytes(body).build().send()

    async def _get_models(self, timeout: timedelta) -> Response:
        """What tells whether the endpoint is there, and what it serves."""
        return await self.job.http.get(self._url("/models")).headers(self._headers).timeout(timeout).build().send()

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
        base = self._server.base_url if self._server else self.connection.base_url
        assert base
        return base.rstrip("/")

    def _url(self, path: str) -> Url:
        version = self.connection.api_version
        url = Url(self._base() + path)
        return url.with_query({"api-version": version}) if version else url

    async def _start(self) -> None:
        """Start the server that is started for jobs, or look whether the endpoint is there; once, before the first request."""
        async with self._starting:
            if self._chat:
                return
            self._token = self._key()
            if self.connection.base_url is None:
                self._server = await self._started()
                self._token = self._server.token
            name = self.connection.api_key_header
            key = {name: f"Bearer {self._token}" if name == "Authorization" else self._token} if self._token else {}
            self._headers = {"Content-Type": "application/json"} | key
            await self._look()
            self._chat = self._url("/chat/completions")

    async def _started(self) -> EmbeddedTeacher | Served:
        """The server of this job, or of all jobs on this machine, once it answers."""
        try:
            return await self.job.server(self.identity, self.connection)
        except FileNotFoundError as error:
            raise self._bad("serve.command", f"no {error}", "a program on PATH", "mend the command or PATH") from None
        except Unserved as error:
            raise Outage(f"endpoint {self.name}: the server did not come up: {error}") from None

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

    async def _look(self) -> None:
        """Is the endpoint there, and does it take the key? Some gateways have no /models: 404 and 405 count as there."""
        try:
            response = await self._get_models(timedelta(seconds=20))
        except PyreqwestError as error:
            found = f"{self.connection.base_url}: {cause(error)}"
            raise self._bad(
                "base_url", found, "a running OpenAI-compatible server", "start it or mend the address"
            ) from error
        if response.status in (401, 403):
            raise self.unwelcome(response.status)

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
