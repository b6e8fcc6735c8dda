"""``mmevol doctor --endpoint``: is an endpoint what the study says it is? Asked of the running server before anything is spent.

A handful of tiny questions (some thousand tokens in all), each with one capability on top of a plain request, so that a refusal
names its cause. A row is ``ok``, ``wrong`` (the study would fail or cost more: exit code 2) or ``note``.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from pybase64 import b64encode

from mmevol.config import Endpoint, Run
from mmevol.config.resolve import load
from mmevol.config.study import Study
from mmevol.doctor import Row, show
from mmevol.doctor.questions import (
    BOX,
    COLOUR,
    COUNT,
    DISCS,
    JSON,
    SEE,
    SHORT,
    SKY,
    dialect_of,
    fits,
    is_object,
    picture,
)
from mmevol.endpoint.batch import provider_of
from mmevol.endpoint.client import RETRIED, SENT_IF_SET, Client, Outage, json_demand
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.response import Answer, read_answer, retry_after
from mmevol.endpoint.schemas import ANSWERS
from mmevol.records import BadInput
from mmevol.seeds.reader import read

PATIENCE = 20.0
"""Seconds without an answer after which the whole request counts as refused."""
OTHER_FIELD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


@dataclass(frozen=True)
class Heard:
    """What came back: an answer, or status and message of a refusal."""

    status: int
    answer: Answer | None
    said: str
    headers: dict[str, str]
    seconds: float


class Examination:
    """One endpoint under examination. `rows` asks and yields what it finds."""

    def __init__(self, client: Client, address: str | None = None) -> None:
        self.client, self.who, self.address = client, client.identity, address
        self.heard: list[Heard] = []
        self.limited: dict[str, int] = {}

    async def ask(self, prompt: Prompt, more: dict[str, Any] | None = None, image: bytes | str | None = None) -> Heard:
        """A plain request with something on top; what passes is tried again twice."""
        url = f"data:image/jpeg;base64,{b64encode(image).decode()}" if isinstance(image, bytes) else image
        body = {"model": self.who.model, "messages": prompt.messages(self.who, url)} | self.limited | (more or {})
        for attempt in range(3):
            status, content, headers, seconds = await self.client.once(body, attempt)
            heard = Heard(status, _answer(status, content), _said(content), headers, seconds)
            self.heard.append(heard)
            if status not in RETRIED:
                break
            await asyncio.sleep(min(30.0, max(0.5, retry_after(headers.get("retry-after"), headers.get("date")))))
        if heard.status == 429:
            raise Outage(f"endpoint {self.client.name} answered 429: {heard.said}")
        return heard

    async def rows(self) -> AsyncIterator[Row]:
        """Every capability in turn; ends early where the model does not answer a plain question."""
        yield await self.model()
        if self.client.connection.mode == "batch":
            yield await self.batches()
        yield (limit := await self.limit())
        if not self.limited:
            return
        for name in SENT_IF_SET:
            if (value := getattr(self.who, name)) is not None:
                heard = await self.ask(SKY, {name: value})
                verdict = ("accepted", "ok") if heard.answer else (_refusal(heard), "wrong", f"{name}: null")
                yield Row(name, str(value), *verdict)
        yield await self.structured()
        if self.who.sees_images and self.who.provider != "embedded":
            yield await self.image()
            if self.who.images == "inline":
                yield await self.dialect()
        if limit.verdict != "wrong":
            yield await self.as_configured()
        for row in self.usage():
            yield row

    async def model(self) -> Row:
        """Does the server list the model?"""
        status, content, *_ = await self.client.once()
        try:
            listed = [str(m["id"]) for m in orjson.loads(content)["data"]] if status == 200 else None
        except (ValueError, KeyError, TypeError):
            listed = None
        if listed is None:
            return Row("model", self.who.model, f"the server has no list of models ({status})", "note")
        if self.who.model in listed:
            return Row("model", self.who.model, "listed")
        names = ", ".join(sorted(listed)[:5]) + (" …" if len(listed) > 5 else "")
        return Row(
            "model", self.who.model, f"not listed; {names or 'none are'}", "note", "right for an alias or deployment"
        )

    async def batches(self) -> Row:
        """Can this installation send batches, and does the server have them?"""
        try:
            provider = await provider_of(self.client)
            try:
                await provider.there()
            finally:
                await provider.close()
        except BadInput as bad:
            return Row("mode", "batch", bad.found, "wrong", bad.remedy)
        except Outage as refusal:
            return Row("mode", "batch", str(refusal), "wrong", "mend it by this message, or set mode: online")
        return Row("mode", "batch", "batches are listed")

    async def limit(self) -> Row:
        """Is a plain question answered, and its token limit accepted under the configured name and obeyed?"""
        field, most = self.who.max_tokens_field, self.who.max_tokens
        heard = {}
        for name in (field, OTHER_FIELD[field]):
            self.limited = {name: most}
            heard[name] = await self.ask(SKY)
            if heard[name].answer:
                break
        else:
            self.limited = {}
            if all(h.status in RETRIED for h in heard.values()):
                raise Outage(f"endpoint {self.client.name} answered {_refusal(heard[field])}")
            return Row(
                "plain question", field, _refusal(heard[field]), "wrong", "mend model or base_url by this message"
            )
        if name != field:
            return Row("max_tokens_field", field, _refusal(heard[field]), "wrong", f"max_tokens_field: {name}")
        answer = (await self.ask(COUNT, {field: SHORT})).answer
        if answer and answer.finish != "length" and answer.output_tokens > SHORT:
            return Row("max_tokens_field", field, f"accepted, not obeyed ({answer.output_tokens} tokens)", "note")
        return Row("max_tokens_field", field, "accepted and obeyed" if answer else "accepted")

    async def structured(self) -> Row:
        """Which ways to demand JSON work? The strongest that does is the remedy."""
        strict = (await self.ask(SKY, json_demand("json_schema", ANSWERS))).answer
        loose = (await self.ask(JSON, json_demand("json_object", ANSWERS))).answer
        works = {
            "json_schema": strict is not None and fits(strict),
            "json_object": loose is not None and is_object(loose),
            "none": True,
        }
        best = next(name for name, good in works.items() if good)
        found = ", ".join(f"{name} {'obeyed' if good else 'not'}" for name, good in works.items() if name != "none")
        configured = self.who.structured
        if not works[configured]:
            return Row("structured", configured, found, "wrong", f"structured: {best}")
        better = configured != best
        return Row("structured", configured, found, "note" if better else "ok", f"structured: {best}" if better else "")

    async def image(self) -> Row:
        """Is a picture accepted, and seen? By address: is one of the study's taken from there?"""
        if self.who.images == "url":
            heard = await self.ask(SEE, image=self.address) if self.address else None
            if heard is None or heard.answer:
                found = f"accepted from {self.address}" if heard else "not tried: the study has no picture yet"
                return Row("images", "url", found, "ok" if heard else "note")
            return Row(
                "images",
                "url",
                f"{self.address}: {_refusal(heard)}",
                "wrong",
                "mend images_base_url, or images: inline",
            )
        heard = await self.ask(SEE, image=picture())
        if heard.answer is None:
            return Row("sees_images", "true", _refusal(heard), "wrong", "sees_images: false, or another model")
        text = heard.answer.text.lower()
        if COLOUR in text and any(number in text for number in (str(DISCS), "three")):
            return Row("sees_images", "true", "accepted and seen")
        return Row(
            "sees_images", "true", f"accepted, not seen: {heard.answer.text[:60]!r}", "note", "is it the right model?"
        )

    async def dialect(self) -> Row:
        """Which numbers does the model give for a box? Advice alone: a model may follow what a prompt asks for."""
        heard = await self.ask(BOX, image=picture())
        found = dialect_of(heard.answer.text if heard.answer else "")
        configured = self.who.box_dialect
        if found is None:
            return Row("box_dialect", configured, "no box that can be told", "note")
        return Row("box_dialect", configured, found, "ok" if found == configured else "note", f"box_dialect: {found}")

    async def as_configured(self) -> Row:
        """The request as the study sends it, everything together."""

        async def body() -> bytes:
            return self.client.body(JSON)

        try:
            answer = await self.client.send(body, {"X-MMEvol-Content-Attempt": "0"})
        except Outage as refusal:
            return Row("as configured", "", str(refusal), "wrong", "see the rows above")
        if answer.finish == "length":
            return Row("as configured", f"max_tokens {self.who.max_tokens}", "cut", "note", "a larger max_tokens")
        good = fits(answer)
        return Row("as configured", "", "answered" if good else "not in the form asked for", "ok" if good else "note")

    def usage(self) -> list[Row]:
        """What the server reports of tokens, caching, limits and time."""
        said = [h.answer for h in self.heard if h.answer]
        counted = all(a.input_tokens for a in said)
        prices = self.client.connection.prices
        costs = bool(prices.input or prices.output)
        rows = [
            Row("usage", "prices" if costs else "", "reported")
            if counted
            else Row(
                "usage", "prices" if costs else "", "not reported", "wrong" if costs else "note", "no cost, no budget"
            )
        ]
        cached, thought = max(a.cached_tokens for a in said), max(a.reasoning_tokens for a in said)
        rows.append(Row("cached_tokens", "", f"up to {cached}" if cached else "none seen", "ok" if cached else "note"))
        if thought:
            found = f"up to {thought} for these small questions"
            rows.append(
                Row("reasoning_tokens", f"max_tokens {self.who.max_tokens}", found, "note", "leave room for them")
            )
        limits = {k: v for h in self.heard for k, v in h.headers.items() if k.startswith("x-ratelimit-limit")}
        if limits:
            rows.append(
                Row("limits", "", ", ".join(f"{k.removeprefix('x-ratelimit-')} {v}" for k, v in limits.items()))
            )
        waits = [h.headers["retry-after"] for h in self.heard if "retry-after" in h.headers]
        rows.append(
            Row("Retry-After", "", f"sent: {waits[0]}" if waits else "no 429 was met", "ok" if waits else "note")
        )
        slowest, patience = max(h.seconds for h in self.heard), self.client.connection.timeout
        found = f"{sorted(h.seconds for h in self.heard)[len(self.heard) // 2]:.2f} s, at most {slowest:.2f} s"
        slow = slowest > patience / 4
        rows.append(
            Row(
                "latency",
                f"timeout {patience:g} s",
                found,
                "note" if slow else "ok",
                "a larger timeout" if slow else "",
            )
        )
        return rows


def _answer(status: int, content: bytes) -> Answer | None:
    try:
        return read_answer(content) if status == 200 else None
    except ValueError:
        return None


def _said(content: bytes) -> str:
    """The message of an error body, or its beginning."""
    try:
        value = orjson.loads(content)
        return str(value["error"]["message"])[:160]
    except (ValueError, KeyError, TypeError):
        return content[:160].decode(errors="replace")


def _refusal(heard: Heard) -> str:
    return f"{heard.status}: {heard.said}" if heard.status != 200 else "200 without a chat completion"


def address_of(study: Study, endpoint: Endpoint) -> str | None:
    """The address of the first picture of the study's records; None where there is none."""
    if endpoint.images_base_url is None or not Path(study.records).exists():
        return None
    name = next((raw["image"] for _, raw in read(Path(study.records)) if raw.get("image")), None)
    return f"{endpoint.images_base_url.rstrip('/')}/{quote(name)}" if name else None


async def examine(name: str, endpoint: Endpoint, address: str | None = None) -> list[Row]:
    """The rows of one endpoint, planted faults left out. Raises `Outage` and `BadInput`."""
    sound = endpoint.model_copy(update={"faults": None, "patience": min(endpoint.patience, PATIENCE)})
    async with Clients(Run(connections={name: sound.connection()})) as clients:
        return [row async for row in Examination(clients.client(name, sound.identity()), address).rows()]


def doctor(path: Path, names: list[str]) -> int:
    """`mmevol doctor --endpoint`: print a table an endpoint (all of the study, or those named). Returns the exit code."""
    study = load(path)
    for name in names:
        if name not in study.endpoints:
            raise BadInput(
                file=str(path),
                field="endpoints",
                found=f"no {name}",
                expected=f"one of: {', '.join(study.endpoints)}",
                remedy="name an existing one, or none to examine all",
            )
    wrong = False
    for name in names or study.endpoints:
        endpoint = study.endpoints[name]
        rows = asyncio.run(examine(name, endpoint, address_of(study, endpoint)))
        show(f"{name}: {endpoint.model} at {endpoint.base_url or 'a server of its own'}", rows)
        wrong = wrong or any(row.verdict == "wrong" for row in rows)
    return 2 if wrong else 0
