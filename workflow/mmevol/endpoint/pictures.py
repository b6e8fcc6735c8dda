"""The encoded pictures of a job: each encoded once, off the event loop, however many requests want it at the same time."""

import asyncio
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from weakref import WeakValueDictionary

from pybase64 import b64encode

from mmevol.endpoint.images import encode, image_key
from mmevol.endpoint.prompt import Picture
from mmevol.replies import ReplyStore

HELD = 12 * 2**20
"""Bytes of pictures that are held ready: enough for the judge to find what the evolver was just sent."""


class Pictures:
    """Pictures in the form in which requests carry them, kept in a reply store; askers of one job share them."""

    def __init__(self, store: ReplyStore) -> None:
        self.store = store
        self._held: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._encoding: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def base64(self, picture: Picture, side: int, bucket: int) -> bytes:
        """A picture as base64 of a JPEG, its longest side at most `side` px. The store must be owned.

        Raises `OSError` that names the file where it cannot be read.
        """
        key = image_key(picture.digest, side)
        held = self._held.get(key)
        if held is None:
            jpeg = self.store.image(bucket, key) or await self._made(key, picture, side, bucket)
            held = self._held.get(key) or self._hold(key, b64encode(jpeg))
        return held

    async def _made(self, key: bytes, picture: Picture, side: int, bucket: int) -> bytes:
        """The JPEG of a picture that was not kept when somebody looked: encoded by the first who comes, and kept."""
        async with self._encoding.setdefault(key, asyncio.Lock()):
            jpeg = self.store.image(bucket, key)
            if jpeg is None:
                jpeg = await asyncio.to_thread(_encoded, picture, side)
                self.store.put_image(bucket, key, jpeg)
            return jpeg

    def _hold(self, key: bytes, encoded: bytes) -> bytes:
        self._held[key] = encoded
        self._size += len(encoded)
        while self._size > HELD:
            self._size -= len(self._held.popitem(last=False)[1])
        return encoded


def _encoded(picture: Picture, side: int) -> bytes:
    return encode(BytesIO(picture.made()) if picture.made else Path(picture.path), side)
