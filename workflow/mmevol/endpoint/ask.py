"""Asking through the reply store: what was answered before is not asked again.

A question goes through content attempts until every item has a usable answer. Validity is decided on reading: the attempts
are walked anew each time, and only what is absent is asked, so a mended parser or a changed gate asks nothing twice.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from mmevol.endpoint.batch import batches_of
from mmevol.endpoint.client import Client, Refused
from mmevol.endpoint.dialect import from_dialect
from mmevol.endpoint.images import image_key
from mmevol.endpoint.pictures import Pictures
from mmevol.endpoint.prompt import Prompt, key_of
from mmevol.endpoint.response import Answer
from mmevol.records import Reason
from mmevol.replies import ReplyStore
from mmevol.store import bucket_of

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


@dataclass(frozen=True)
class Rejected:
    """Why an item of a reply cannot be used, and what the model is told about it."""

    reason: Reason
    message: str


MISSING = Rejected(Reason.MISSING, "no item with this id was in the reply")


@dataclass(frozen=True)
class Try:
    """One content attempt of a question: key (hex), what was asked (JSON), what became of each item ('' where it was usable)."""

    key: str
    attempt: int
    request: bytes
    items: dict[str, str]


class Asker:
    """A client and the reply store together. ``requests`` counts the answers that the data rest on, by task.

    `pictures`: shared by the askers of a job that send the same ones.
    """

    def __init__(self, client: Client, store: ReplyStore, pictures: Pictures | None = None) -> None:
        self.client, self.store = client, store
        self.pictures = pictures or Pictures(store)
        self.requests: Counter[str] = Counter()

    async def answer(
        self, first: Prompt, now: Prompt, *, record: str, draw: int, attempt: int, more_tokens: int = 1
    ) -> Answer:
        """The answer of one content attempt: from the store, or asked and kept. `first` keys it, `now` is sent."""
        key = key_of(first, self.client.identity, draw=draw, attempt=attempt)
        self.requests[now.request.task] += 1
        self.client.job.asking += 1
        try:
            return await self._answer(key, now, record=record, draw=draw, attempt=attempt, more_tokens=more_tokens)
        finally:
            self.client.job.asking -= 1

    async def _answer(
        self, key: bytes, now: Prompt, *, record: str, draw: int, attempt: int, more_tokens: int
    ) -> Answer:
        bucket = bucket_of(record)
        kept = self.store.get(bucket, key)
        if kept is None and not self.store.owned:
            async with self.client.job.owning:
                if not self.store.owned:
                    await asyncio.to_thread(self.store.own)
            kept = self.store.get(bucket, key)
        if kept is not None:
            self.client.usage.from_store += 1
            return Answer(**kept["answer"])
        meta = {"record": record, "draw": draw, "attempt": attempt, "model": self.client.identity.model}
        if now.picture and self.client.identity.sees_images:
            meta["image"] = image_key(now.picture.digest, self.client.identity.image_side).hex()
        kept = meta | {"request": orjson.Fragment(now.asked)}
        if self.client.connection.mode == "batch":
            return await batches_of(self.client, self.store).answer(
                self.client, key, bucket, attempt, kept, lambda: self._body(now, bucket, more_tokens)
            )
        headers = {"X-MMEvol-Request": key.hex(), "X-MMEvol-Content-Attempt": str(attempt)}
        try:
            answer = await self.client.send(lambda: self._body(now, bucket, more_tokens), headers)
        except Refused as error:
            raise error.of(record, now.request.task) from None
        self.store.put(bucket, key, {"answer": answer, **kept})
        if time.monotonic() >= self.store.sync_at:
            await self._sync()
        return answer

    async def _body(self, prompt: Prompt, bucket: int, more_tokens: int) -> bytes:
        """The request body; with ``images: url`` a picture goes by its address."""
        identity, picture = self.client.identity, prompt.picture
        shown: bytes | str | None = None
        if picture and identity.sees_images:
            base = self.client.connection.images_base_url
            if base:
                shown = f"{base.rstrip('/')}/{quote(picture.name)}"
            else:
                shown = await self.pictures.base64(picture, identity.image_side, bucket)
        return self.client.body(prompt, shown, more_tokens=more_tokens)

    async def _sync(self) -> None:
        """Group commit: bring the store to the disk every so often, one answer waiting for it and the others going on."""
        self.store.sync_at = float("inf")
        await asyncio.to_thread(self.store.sync)

    async def items(
        self,
        ids: Sequence[str],
        prompt: Callable[[Sequence[str], tuple[str, ...]], Prompt],
        read: Callable[[dict[str, Any], Sequence[str]], tuple[dict[str, T], dict[str, Rejected]]],
        *,
        record: str,
        attempts: int,
        draw: int = 0,
        more_tokens: int = 1,
        tries: list[Try] | None = None,
    ) -> tuple[dict[str, T], dict[str, Reason]]:
        """Ask about items until each has a usable answer or the content attempts are used up.

        `prompt(ids, errors)` builds the question for the items that are still open; `read(reply, ids)` sorts a JSON reply into
        usable items and rejected ones (an id that is in neither is missing). One bad item never costs its neighbours. Returns
        the usable items and the last reason of each other; `tries`, if given, is told every attempt.

        A reply that was cut is asked for with more tokens. Items whose reply was lost whole twice (cut, refused, not readable), or
        once to a content filter, are halved, and each half is a question of its own for the attempts that are left.
        """
        first, open_, found, why = prompt(ids, ()), list(ids), {}, {}  # type: ignore[var-annotated]
        errors: tuple[str, ...] = ()
        lost = 0
        identity = self.client.identity
        for attempt in range(attempts):
            now = prompt(open_, errors) if attempt else first
            answer = await self.answer(first, now, record=record, draw=draw, attempt=attempt, more_tokens=more_tokens)
            reply = _json_of(answer)
            if isinstance(reply, Rejected):
                good: dict[str, T] = {}
                bad = dict.fromkeys(open_, reply)
                more_tokens = min(8, more_tokens * 2) if reply.reason is Reason.TRUNCATED else more_tokens
                lost += 2 if reply.reason is Reason.CONTENT_FILTER else 1
            else:
                if identity.box_dialect != "unit":
                    reply = from_dialect(reply, identity.box_dialect, now.size(identity))
                good, bad = read(reply, open_)
            found |= {i: item for i, item in good.items() if i in open_}
            why = {i: bad.get(i, MISSING) for i in open_ if i not in found}
            if tries is not None:
                results = {i: str(why[i].reason) if i in why else "" for i in open_}
                key = key_of(first, identity, draw=draw, attempt=attempt)
                tries.append(Try(key.hex(), attempt, now.asked, results))
            open_ = list(why)
            errors = tuple(f"{i}: {r.message}" for i, r in why.items())
            if not open_:
                break
            if lost >= 2 and not good and len(open_) > 1 and (left := attempts - attempt - 1):
                middle = (len(open_) + 1) // 2
                halves = [
                    self.items(
                        half,
                        prompt,
                        read,
                        record=record,
                        attempts=left,
                        draw=draw,
                        more_tokens=more_tokens,
                        tries=tries,
                    )
                    for half in (open_[:middle], open_[middle:])
                ]
                (one, bad_one), (two, bad_two) = await asyncio.gather(*halves)
                return found | one | two, bad_one | bad_two
        return found, {i: r.reason for i, r in why.items()}


AHEAD = 16
"""Widths of finished results that may wait for an earlier one: a request that hangs must not hold up all that come after it."""


async def in_order(items: Iterable[A], work: Callable[[A], Awaitable[B]], width: int) -> AsyncIterator[B]:
    """Work on up to `width` items at a time; results come in the items' order. The first error cancels the rest."""
    source, running = iter(items), deque[asyncio.Task[B]]()
    free, changed = width, asyncio.Event()

    def ended(_: object) -> None:
        nonlocal free
        free += 1
        changed.set()

    try:
        while True:
            for item in islice(source, min(free, AHEAD * width - len(running))):
                running.append(asyncio.ensure_future(work(item)))
                running[-1].add_done_callback(ended)
                free -= 1
            if not running:
                return
            if running[0].done():
                yield running.popleft().result()
            else:
                changed.clear()
                await changed.wait()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _json_of(answer: Answer) -> dict[str, Any] | Rejected:
    """The JSON object of a complete answer, or why there is none. Text around the one object is tolerated, a cut one is not."""
    if answer.finish == "length":
        return Rejected(Reason.TRUNCATED, "the reply was cut at the token limit; be shorter")
    if answer.finish == "content_filter":
        return Rejected(Reason.CONTENT_FILTER, "the reply was withheld by a content filter")
    if answer.refusal:
        return Rejected(Reason.REFUSAL, "the request was refused")
    try:
        return _object(orjson.loads(answer.text))
    except orjson.JSONDecodeError:
        pass  # what stands around it is left out
    start, end = answer.text.find("{"), answer.text.rfind("}") + 1
    if start < 0:
        return Rejected(Reason.REFUSAL, "the reply holds no JSON")
    try:
        return _object(orjson.loads(answer.text[start:end]))
    except orjson.JSONDecodeError as error:
        return Rejected(Reason.INVALID_JSON, f"the reply is not valid JSON: {error}")


def _object(value: Any) -> dict[str, Any] | Rejected:
    return value if isinstance(value, dict) else Rejected(Reason.SCHEMA, "the reply is not a JSON object")
