"""The provider's side of batch mode: the official client, with patience.

What passes (429, 5xx, lost connections) is tried again with exponential back-off and full jitter, and for as long as the server
asks. A batch whose creation was answered by nothing is looked for in the provider's list before another is created.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx2
import openai

from mmevol.endpoint.client import RETRIED, Client, Outage
from mmevol.endpoint.parcel import Parcel
from mmevol.endpoint.response import retry_after
from mmevol.records import BadInput

if TYPE_CHECKING:
    from openai.types import Batch

T = TypeVar("T")


class Provider:
    """Files and batches of one endpoint. Every method raises `Outage` and `BadInput` as `Client.send` does."""

    def __init__(self, client: Client, url: str, key: dict[str, str]) -> None:
        """`key`: the header that carries it, if there is one."""

        async def with_key(request: httpx2.Request) -> None:
            request.headers.pop("Authorization", None)  # the library's own
            request.headers.update(key)

        self.client, self.settings = client, client.connection.batch
        version = client.connection.api_version
        self._api = openai.AsyncOpenAI(
            base_url=url,
            api_key="set by with_key",
            default_query={"api-version": version} if version else None,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, event_hooks={"request": [with_key]}),
            max_retries=0,
            timeout=client.connection.timeout,
        )
        self._uploading = asyncio.Lock()
        self._heard = time.monotonic()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def submit(self, parcel: Parcel) -> "Batch | None":
        """The batch of a parcel: the one that was noted, that a lost answer tells of, or a new one; None as of `look`."""
        async with self._uploading:  # one at a time: many uploads at once are what rate limits are for
            await self._call(lambda: self._submit(parcel))
        return await self.look(parcel)

    async def sent(self, parcel: Parcel) -> bool:
        """Is there a batch of this parcel? One that was asked for but never noted is noted now."""
        return await self._call(lambda: self._sent(parcel))

    async def look(self, parcel: Parcel) -> "Batch | None":
        """How a parcel's batch stands; None where the provider knows it no more."""
        return await self._call(lambda: self._look(parcel))

    async def there(self) -> None:
        """Does the server have batches at all? Lists one; that costs nothing."""
        await self._call(lambda: self._api.batches.list(limit=1))

    async def fetch(self, file: str, path: Path) -> None:
        """Write a file of the provider's to disk."""
        await self._call(lambda: self._fetch(file, path))

    async def clear_up(self, parcel: Parcel, batch: "Batch | None") -> None:
        """Delete the files at the provider; what is gone already, or will not go, expires there by itself."""
        for file in filter(None, [parcel.state.file, *([batch.output_file_id, batch.error_file_id] if batch else [])]):
            try:
                await self._api.files.delete(file)
            except openai.APIError as error:
                self.client.usage.errors[f"deleting a file: {type(error).__name__}"] += 1

    async def _submit(self, parcel: Parcel) -> None:
        if not parcel.state.file:
            with open(parcel.requests, "rb") as file:
                made = await self._api.files.create(file=(f"{parcel.name}.jsonl", file), purpose="batch")
            parcel.note(file=made.id)
        if not await self._sent(parcel):
            parcel.note(asked_at=time.time())
            parcel.note(batch=(await self._created(parcel)).id)

    async def _sent(self, parcel: Parcel) -> bool:
        if not parcel.state.batch and (batch := await self._found(parcel)):
            parcel.note(batch=batch.id)
        return bool(parcel.state.batch)

    async def _created(self, parcel: Parcel) -> "Batch":
        try:
            return await self._api.batches.create(
                input_file_id=parcel.state.file,
                endpoint="/v1/chat/completions",
                completion_window=self.settings.window,  # type: ignore[arg-type]
                metadata={"mmevol": parcel.name},
            )
        except openai.APIStatusError as error:
            if error.status_code < 500:  # there is none, that is certain
                parcel.note(asked_at=0.0)
            elif error.status_code in (500, 503):  # it is done with it: what it made stands in its list by now
                parcel.note(asked_at=parcel.state.asked_at - self.client.connection.timeout)
            raise

    async def _found(self, parcel: Parcel) -> "Batch | None":
        """The batch that was asked for but never noted. One that is still being made is waited for."""
        asked = parcel.state.asked_at
        while asked:
            async for batch in self._api.batches.list(limit=100):
                if batch.input_file_id == parcel.state.file and batch.id not in parcel.state.spent:
                    return batch
                if batch.created_at < asked - 86_400:
                    break
            if not 0 <= time.time() - asked < self.client.connection.timeout:
                break
            await asyncio.sleep(min(1.0, self.settings.poll))
        return None

    async def _look(self, parcel: Parcel) -> "Batch | None":
        try:
            return await self._api.batches.retrieve(parcel.state.batch)
        except openai.NotFoundError:
            return None

    async def _fetch(self, file: str, path: Path) -> None:
        async with self._api.files.with_streaming_response.content(file) as response:
            await response.stream_to_file(path)

    async def _call(self, do: Callable[[], Awaitable[T]]) -> T:
        """Call the provider until it answers. Raises `Outage` after `patience` seconds without an answer to any call."""
        began = time.monotonic()
        for attempt in itertools.count():
            try:
                value = await do()
                self._heard = time.monotonic()
                return value
            except (openai.APIError, httpx2.TransportError) as error:
                wait = self._passing(error)
            silent = time.monotonic() - max(began, self._heard)
            if silent > self.client.connection.patience:
                raise Outage(f"endpoint {self.client.name}: no answer for {silent:.0f} s; run again to resume")
            await asyncio.sleep(wait + random.uniform(0, min(60, 0.5 * 2**attempt)))
        raise AssertionError("unreachable")

    def _passing(self, error: Exception) -> float:
        """Seconds that the provider asks to wait. Raises where trying again is no use."""
        if not isinstance(error, openai.APIStatusError):
            self.client.usage.errors[type(error).__name__] += 1
            return 0.0
        status = error.status_code
        self.client.usage.errors[str(status)] += 1
        if status in RETRIED:
            return retry_after(error.response.headers.get("retry-after"), error.response.headers.get("date"))
        if status in (404, 405):
            raise BadInput(
                file="the study",
                field=f"endpoints.{self.client.name}.mode",
                found=f"batch, and the server answered {status} to {error.request.url.path}",
                expected="a server with OpenAI's /files and /batches",
                remedy="set mode: online",
            )
        if status in (401, 403) and not self.client.usage.asked:
            raise self.client.unwelcome(status)
        raise Outage(self.client.refused(status, error.response.content))
