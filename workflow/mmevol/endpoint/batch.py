"""Batch mode: requests gather until nobody can go on without an answer, then travel as files of a provider's Batch API.

Every step is written down before the next (`parcel`), so that a job that died finds its batches and collects them. Rows that
expired or failed in passing travel again, the others are kept as they come.
"""

import asyncio
import base64
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from mmevol.endpoint.client import Client, Outage, Refused
from mmevol.endpoint.parcel import Draft, Parcel, parcels
from mmevol.endpoint.response import Answer
from mmevol.endpoint.results import results
from mmevol.records import BadInput, canonical, digest
from mmevol.replies import ReplyStore

if TYPE_CHECKING:
    from openai.types import Batch

    from mmevol.endpoint.provider import Provider

ENDED = {"completed", "failed", "expired", "cancelled"}
BARREN = 5
"""Batches without a single answer, one after the other, after which the job gives up."""
TURNS = 50
"""Turns of the event loop without anything to do after which everybody counts as waiting; chains of tasks are shorter."""
LONGEST = 600.0
"""Seconds that a back-off is at most."""


def custom_id(key: bytes, attempt: int) -> str:
    """A row's id: key (32 bytes, base64url) and content attempt; under the 64 characters that some providers take."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=") + f"-{attempt}"


async def provider_of(client: Client) -> "Provider":
    """The provider's side of an endpoint, once that is reached. Raises `BadInput`, also where `mmevol[batch]` is missing."""
    try:
        from mmevol.endpoint.provider import Provider
    except ModuleNotFoundError as error:
        raise BadInput(
            file="the installation",
            field=f"endpoints.{client.name}.mode",
            found=f"batch, and no package {error.name}",
            expected="the packages of batch mode",
            remedy="pip install 'mmevol[batch]'",
        ) from error
    return Provider(client, *await client.reached())


def batches_of(client: Client, store: ReplyStore) -> "Batches":
    """The batches of an endpoint, made when first asked for: one for all roles of the job that it plays.

    Two would take each other's batches for those of a job that died. Raises `BadInput` where a role reaches it in another way.
    """
    batches = client.job.batches.get(client.identity)
    if batches is None:
        batches = client.job.batches[client.identity] = Batches(client, store)
    if (first := batches.client).connection != client.connection:
        raise BadInput(
            file="the study",
            field=f"endpoints.{client.name}",
            found=f"the same model and sampling as endpoints.{first.name}, reached in another way",
            expected="one way to send a model's batches: address, key, limits and prices",
            remedy=f"give {client.name} those of {first.name}, or set mode: online for one of them",
        )
    return batches


class Batches:
    """One endpoint in batch mode, as one job uses it. Answers go into the store as they are collected.

    `client` is the role that asked first: what concerns no single row is counted there, and each row at the role that asks it.
    """

    def __init__(self, client: Client, store: ReplyStore) -> None:
        self.client, self.store, self.settings = client, store, client.connection.batch
        self._root = store.root / "batches"
        self._endpoint = digest(canonical(client.identity.model_dump(mode="json")))
        self._server = client.connection.base_url or "embedded"
        self._provider: Provider | None = None
        self._starting = asyncio.Lock()
        self._error: Exception | None = None
        self._draft: Draft | None = None
        self._under_way: dict[str, str] = {}  # id of a row → name of its parcel, '' while it is written
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: set[str] = set()
        self._one_ended = asyncio.Event()
        self._flushing = False
        self._barren = self._crowded = 0
        self._most_rows = self.settings.max_rows  # what the provider's queue had room for
        self._answered = time.monotonic()

    async def close(self) -> None:
        """Let go; what is under way stays in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._provider:
            await self._provider.close()

    async def answer(
        self,
        role: Client,
        key: bytes,
        bucket: int,
        attempt: int,
        kept: dict[str, Any],
        body: Callable[[], Awaitable[bytes]],
    ) -> Answer:
        """The answer to a role's request, which is in the store by then, `kept` beside it. `body` is called if it must be sent.

        Raises `Outage` and `BadInput` as `Client.send` does.
        """
        await self._start()
        id_, job = custom_id(key, attempt), self.client.job
        if id_ not in self._under_way:
            if found := self.store.get(bucket, key):  # it came while others began
                return Answer(**found["answer"])
            self._under_way[id_] = ""
            await job.check_budget()
            self.client.in_flight += 1
            self._add(await body(), {"id": id_, "role": role.name, "key": key.hex(), "bucket": bucket, "kept": kept})
        if self._error:
            raise self._error
        future = self._waiting.setdefault(id_, asyncio.get_running_loop().create_future())
        with job.parked():
            return await future

    # ------------------------------------------------------------------------------------------------ gathering

    def _add(self, body: bytes, row: dict[str, Any]) -> None:
        head = orjson.dumps({"custom_id": row["id"], "method": "POST", "url": "/v1/chat/completions"})
        request = head[:-1] + b',"body":' + body + b"}\n"
        s = self.settings
        if self._draft and (self._draft.rows >= self._most_rows or self._draft.bytes + len(request) > s.max_bytes):
            self._cut()
        if self._draft is None:
            self._draft = Draft(self._root, self._endpoint, self._server)
        self._draft.add(request, row)
        if not self._flushing:
            self._flushing = True
            self._spawn(self._flush())

    async def _flush(self) -> None:
        """Send what has gathered once everybody waits."""
        still, job = 0, self.client.job
        while still < TURNS:
            await asyncio.sleep(0.01 if job.asking > 0 else 0)
            still = 0 if job.asking > 0 else still + 1
        self._flushing = False
        if not self._error:
            self._cut()

    def _cut(self) -> None:
        if self._draft:
            parcel, self._draft = self._draft.finished(), None
            self._send(parcel)

    def _send(self, parcel: Parcel) -> None:
        for _, row in parcel.rows():
            if row["id"] in self._under_way:
                self._under_way[row["id"]] = parcel.name
        self._spawn(self._follow(parcel))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """What goes wrong on the way is raised where answers are waited for."""
        try:
            await work
        except Exception as error:
            self._error = error
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # several wait; the first to hear of it ends the job

    # ------------------------------------------------------------------------------------------------ beginning

    async def _start(self) -> None:
        """Reach the endpoint and take up what an earlier job left under way; once."""
        async with self._starting:
            if self._provider:
                return
            self._provider = await provider_of(self.client)
            for parcel in parcels(self._root, self._endpoint, self.store.buckets):
                if parcel.state.server != self._server:
                    raise BadInput(
                        file=str(parcel.folder),
                        field="server",
                        found=f"a batch that was sent to {parcel.state.server}",
                        expected=f"batches of endpoints.{self.client.name} at {self._server}",
                        remedy="point the endpoint there until it is collected, or delete the folder and pay again",
                    )
                if not await self._provider.sent(parcel):
                    parcel.remove()  # nothing is paid for, and who needs it asks for it
                    continue
                for _, row in parcel.rows():
                    if self._open(row):
                        self.client.in_flight += row["id"] not in self._under_way
                        self._under_way[row["id"]] = parcel.name
                self._spawn(self._follow(parcel))

    def _open(self, row: dict[str, Any]) -> bool:
        """Is a row of this job's, and not answered yet?"""
        mine = row["bucket"] in self.store.buckets
        return mine and self.store.get(row["bucket"], bytes.fromhex(row["key"])) is None

    # ------------------------------------------------------------------------------------------------ on the way

    async def _follow(self, parcel: Parcel) -> None:
        """Bring a parcel to its end, and what is left of it on a new way."""
        batch = await self._ended(parcel)
        if batch and batch.status == "failed":
            left = await self._not_taken(parcel, batch)
        else:
            left = await self._collected(parcel, batch)
        for one in left:
            self._send(one)

    async def _ended(self, parcel: Parcel) -> "Batch | None":
        """A parcel's batch when it has ended; None where the provider knows it no more."""
        assert self._provider
        batch = await self._provider.submit(parcel)
        self._running.add(parcel.name)
        try:
            while batch and batch.status not in ENDED:
                await asyncio.sleep(self.settings.poll * random.uniform(0.5, 1))
                batch = await self._provider.look(parcel)
        finally:
            self._running.discard(parcel.name)
            self._one_ended.set()
        return batch

    async def _not_taken(self, parcel: Parcel, batch: "Batch") -> list[Parcel]:
        """A batch that failed as a whole. Where the provider's queue is full, wait, and then send less at a time."""
        errors = (batch.errors and batch.errors.data) or []
        codes = {error.code or "" for error in errors}
        self.client.usage.errors.update(codes)
        if not any("limit_exceeded" in code for code in codes):
            parcel.remove()
            said = "; ".join(f"{e.code}: {e.message}" for e in errors[:3])
            raise Outage(self.client.refused("a batch with failure", said.encode()))
        parcel.note(batch="", asked_at=0.0, spent=[*parcel.state.spent, batch.id])
        if self._running:
            self._one_ended.clear()
            await self._one_ended.wait()
            return [parcel]
        if time.monotonic() - self._answered > self.settings.patience:
            raise Outage(f"endpoint {self.client.name} has no room for a batch; run again to resume")
        self._crowded += 1
        await self._back_off(self._crowded)
        if parcel.state.rows == 1:
            return [parcel]
        self._most_rows = -(-parcel.state.rows // 2)
        halves = parcel.rest(lambda id_: self._under_way.get(id_) == parcel.name, self._most_rows)
        parcel.remove()
        return halves

    # ------------------------------------------------------------------------------------------------ coming back

    async def _collected(self, parcel: Parcel, batch: "Batch | None") -> list[Parcel]:
        """Keep every answer of a batch, forget it, and tell who waits; what must travel again, in parcels of its own."""
        assert self._provider
        open_ = {row["id"]: offset for offset, row in parcel.rows() if self._under_way.get(row["id"]) == parcel.name}
        before, came = len(open_), dict[str, Answer]()
        refused: Refused | None = None
        for id_, answer in await self._answers(parcel, batch):
            if id_ in open_ and isinstance(answer, Answer):
                self._keep(parcel.row(open_.pop(id_)), answer)
                came[id_] = answer
            elif id_ in open_ and answer and not refused:
                kept = parcel.row(open_[id_])["kept"]
                refused = Refused(answer).of(kept["record"], kept["request"]["task"])
            await asyncio.sleep(0)
        await asyncio.to_thread(self.store.sync)
        for id_ in [i for i in open_ if i not in self._waiting]:  # nobody asks for them, or not yet
            self.client.in_flight -= 1
            del self._under_way[id_], open_[id_]
        left = parcel.rest(open_.__contains__, self._most_rows) if open_ and not refused else []
        if all(self._settled(row) for _, row in parcel.rows()):
            parcel.remove()
            await self._provider.clear_up(parcel, batch)
        if refused:
            raise refused
        for id_, found in came.items():
            if future := self._waiting.pop(id_, None):
                future.set_result(found)
        await self._judged(bool(came) or not before)
        return left

    async def _judged(self, fruitful: bool) -> None:
        """After batches without an answer, wait longer and longer, and in the end give up."""
        if fruitful:
            self._barren = self._crowded = 0
            self._most_rows = min(self.settings.max_rows, 2 * self._most_rows)
            return
        self._barren += 1
        if self._barren >= BARREN:
            kinds = ", ".join(f"{k} × {n}" for k, n in self.client.usage.errors.most_common())
            raise Outage(f"endpoint {self.client.name}: {BARREN} batches without an answer ({kinds}); run again")
        await self._back_off(self._barren)

    def _settled(self, row: dict[str, Any]) -> bool:
        """Does nothing depend on a row's parcel any more? Another job may own its bucket, after a change of shards."""
        mine = row["bucket"] in self.store.buckets
        return mine or self.store.get(row["bucket"], bytes.fromhex(row["key"])) is not None

    def _keep(self, row: dict[str, Any], answer: Answer) -> None:
        """Put an answer into the store and count it."""
        self.store.put(row["bucket"], bytes.fromhex(row["key"]), {"answer": asdict(answer), **row["kept"]})
        self._role(row).usage.count(answer)
        self.client.in_flight -= 1
        self._answered = time.monotonic()
        del self._under_way[row["id"]]

    def _role(self, row: dict[str, Any]) -> Client:
        """Who asked for a row. One that a job of another study left may be of a role that this one does not have."""
        return next((c for c in self.client.job.clients if c.name == row["role"]), self.client)

    async def _answers(self, parcel: Parcel, batch: "Batch | None") -> Iterator[tuple[str, Answer | str]]:
        """Row by row what came back, as of `results`."""
        assert self._provider
        files = [f for f in (batch.output_file_id, batch.error_file_id) if f] if batch else []
        paths = [parcel.folder / f"{i}.results" for i in range(len(files))]
        for file, path in zip(files, paths, strict=True):
            await self._provider.fetch(file, path)
        return itertools.chain.from_iterable(results(path, self.client) for path in paths)

    async def _back_off(self, n: int) -> None:
        """Exponential, with full jitter, from the time between two looks."""
        await asyncio.sleep(random.uniform(0, min(LONGEST, self.settings.poll * 2**n)))
