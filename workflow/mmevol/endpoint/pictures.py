"""The encoded pictures of a job: each encoded once, off the event loop, however many requests want it at the same time."""

import asyncio
from collections import OrderedDict
from pathlib import Path
from weakref import WeakValueDictionary

import orjson
from pybase64 import b64encode

from mmevol.endpoint.images import encode, image_key
from mmevol.endpoint.prompt import Picture
from mmevol.replies import ReplyStore

HELD = 24 * 2**20
"""Bytes of pictures that are held ready: enough for the judge to find what the evolver was just sent."""


class Pictures:
    """Pictures in the form in which requests carry them, kept in a reply store; askers of one job share them."""

    def __init__(self, store: ReplyStore) -> None:
        self.store = store
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._encoding: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def url(self, picture: Picture, side: int, bucket: int) -> orjson.Fragment:
        """A picture's data URL as a JSON string, ready to be spliced into a body. The store must be owned.

        Raises `OSError` that names the file where it cannot be read.
        """
        key = image_key(picture.digest, side)
        jpeg = self._held.get(key)
        if jpeg is None:
            async with self._encoding.setdefault(key, asyncio.Lock()):
                jpeg = self._held.get(key) or self._hold(key, await self._jpeg(key, picture, side, bucket))
        return orjson.Fragment(data_url(jpeg))

    async def _jpeg(self, key: bytes, picture: Picture, side: int, bucket: int) -> bytes:
        jpeg = self.store.image(bucket, key)
        if jpeg is None:
            jpeg = await asyncio.to_thread(encode, Path(picture.path), side)
            self.store.put_image(bucket, key, jpeg)
        return jpeg

    def _hold(self, key: bytes, jpeg: bytes) -> bytes:
        self._held[key] = jpeg
        self._size += len(jpeg)
        while self._size > HELD:
            self._size -= len(self._held.popitem(last=False)[1])
        return jpeg


def data_url(jpeg: bytes) -> bytes:
    """A picture as the JSON string that a request holds."""
    return b"".join((b'"data:image/jpeg;base64,', b64encode(jpeg), b'"'))
