"""The reply store: every complete answer that a model gave, kept once, shared by all studies.

Journal and cache in one. 256 buckets by record key; in each, append-only segments of frames, ``<n>.log``, and for a finished
segment its sorted index, ``<n>.idx``, that is searched on disk. A frame is length (4 bytes), CRC-32 (4), key (32), payload.
Only frames whose checksum fits count, so a torn tail after a crash is not seen. Encoded images lie beside the replies in the
same form. One process writes a bucket at a time (`owner.Owner`); reading needs no ownership.
"""

import mmap
import os
import resource
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from mmevol.owner import Owner
from mmevol.store import replacing

HEAD = struct.Struct(">II32s")
ENTRY = struct.Struct(">32sQ")
SEAL = 2048
"""Entries after which a segment is finished and its index leaves memory."""


FILES = 65536
"""Open files that a process asks for."""


def default_root() -> Path:
    """``MMEVOL_REPLIES`` or ``replies`` in the working folder."""
    return Path(os.environ.get("MMEVOL_REPLIES", "replies"))


def frames(path: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """The whole frames of a segment: key, offset, payload."""
    with open(path, "rb") as file:
        offset, size = 0, os.fstat(file.fileno()).st_size
        while len(head := file.read(HEAD.size)) == HEAD.size:
            length, crc, key = HEAD.unpack(head)
            if offset + HEAD.size + length > size:
                return
            payload = file.read(length)
            if zlib.crc32(key + payload) == crc:  # else this frame is damaged; those behind it were paid for too
                yield key, offset, payload
            offset += HEAD.size + length


class Index:
    """The sorted index of a finished segment, searched in place."""

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def get(self, key: bytes) -> int | None:
        """The offset of a key's frame."""
        low, high = 0, len(self._map) // ENTRY.size
        while low < high:
            middle = (low + high) // 2
            found, offset = ENTRY.unpack_from(self._map, middle * ENTRY.size)
            if found == key:
                return int(offset)
            low, high = (middle + 1, high) if found < key else (low, middle)
        return None

    @staticmethod
    def write(path: Path, entries: dict[bytes, int]) -> None:
        """Write the index of a segment, whole or not at all."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            file.writelines(ENTRY.pack(key, offset) for key, offset in sorted(entries.items()))
            file.flush()
            os.fsync(file.fileno())


class Log:
    """One bucket: a keyed append-only log in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sealed: dict[int, Index] = {}
        self._open: dict[int, dict[bytes, int]] = {}
        self._writing: int | None = None
        self._fd, self._end = -1, 0
        self.refresh()

    def refresh(self) -> None:
        """Take notice of what others wrote since."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.log")):
            number = int(path.stem)
            if number in self._sealed or number == self._writing:
                continue
            if (index := path.with_suffix(".idx")).exists() and index.stat().st_size:
                self._sealed[number] = Index(index)
                self._open.pop(number, None)
            else:
                self._open[number] = {}
                for key, offset, _ in frames(path):
                    self._open[number].setdefault(key, offset)

    def get(self, key: bytes) -> bytes | None:
        """The payload of a key, the oldest if there are several."""
        for number in sorted([*self._sealed, *self._open]):
            offset = self._sealed[number].get(key) if number in self._sealed else self._open[number].get(key)
            if offset is not None:
                return self._read(number, offset)
        return None

    def put(self, key: bytes, payload: bytes) -> None:
        """Append a frame. After this the answer survives the death of the process.

        Raises `OSError` (disk full, read-only folder); the segment then ends where it ended before.
        """
        if self._writing is None:
            self._begin()
        assert self._writing is not None
        frame = HEAD.pack(len(payload), zlib.crc32(payload, zlib.crc32(key)), key) + payload
        try:
            written = os.write(self._fd, frame)
            while written < len(frame):
                written += os.write(self._fd, frame[written:])
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._open[self._writing].setdefault(key, self._end)
        self._end += len(frame)
        if len(self._open[self._writing]) >= SEAL:
            self.seal()

    def seal(self) -> None:
        """Finish the segment that is being written, and those that a dead writer left. Needs ownership."""
        if self._writing is not None:
            self._writing = None
            os.fsync(self._fd)
            os.close(self._fd)
        for number, entries in list(self._open.items()):
            if entries:
                path = self._path(number).with_suffix(".idx")
                Index.write(path, entries)
                self._sealed[number] = Index(path)
                del self._open[number]

    def sync(self) -> None:
        """Bring what was written to the disk itself. May be called from any thread: it has a descriptor of its own."""
        if (number := self._writing) is not None:
            fd = os.open(self._path(number), os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def close(self) -> None:
        """Finish the segment that was written."""
        if self._writing is not None:
            self.seal()

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.refresh()
        number = max([*self._sealed, *self._open], default=-1) + 1
        self._fd = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._open[number], self._writing, self._end = {}, number, 0

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.log"

    def _read(self, number: int, offset: int) -> bytes:
        log = self._path(number)
        fd = os.open(log, os.O_RDONLY)
        try:
            length, crc, key = HEAD.unpack(os.pread(fd, HEAD.size, offset).ljust(HEAD.size))
            payload = os.pread(fd, min(length, os.fstat(fd).st_size), offset + HEAD.size)
        finally:
            os.close(fd)
        if zlib.crc32(payload, zlib.crc32(key)) != crc:
            raise OSError(
                f"{log}: the answer at byte {offset} is damaged; delete {log.with_suffix('.idx').name} beside it, "
                "then every other answer is kept and this one is asked again"
            )
        return payload


class ReplyStore:
    """The buckets that one job uses. Look-ups at once; the first `own` waits until this job is their only writer."""

    def __init__(
        self,
        buckets: range | list[int],
        *,
        job: str,
        root: Path | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self.root, self.buckets = root or default_root(), frozenset(buckets)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a bucket's every segment has its index open
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
        self._logs: dict[tuple[str, int, bool], Log] = {}
        self._owner = Owner([self._folder("requests", b) for b in buckets], job, on_wait)
        self._owning = threading.Lock()
        self.owned = False
        self.synced = time.monotonic()

    def get(self, bucket: int, key: bytes) -> dict[str, Any] | None:
        """The answer kept under a key."""
        payload = self._log("requests", bucket).get(key)
        return None if payload is None else orjson.loads(payload)

    def put(self, bucket: int, key: bytes, answer: dict[str, Any]) -> None:
        """Keep a complete answer; needs `own` first."""
        assert self.owned, "a bucket has one writer: call own() first"
        self._log("requests", bucket).put(key, orjson.dumps(answer))

    def image(self, bucket: int, key: bytes) -> bytes | None:
        """The encoded image kept under a key."""
        return self._log("images", bucket).get(key)

    def put_image(self, bucket: int, key: bytes, data: bytes) -> None:
        """Keep an encoded image; needs `own` first."""
        assert self.owned, "a bucket has one writer: call own() first"
        self._log("images", bucket).put(key, data)

    def own(self) -> None:
        """Wait to become the only writer of the buckets, and see what was written meanwhile. May be called from any thread."""
        with self._owning:
            if not self.owned:
                self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._owner.acquire()
                self.owned = True

    def sync(self) -> None:
        """Bring everything written to the disk itself (group commit: call it every so often)."""
        self.synced = time.monotonic()
        for log in list(self._logs.values()):
            log.sync()

    def close(self) -> None:
        """Finish segments and give the buckets back."""
        try:
            for log in self._logs.values():
                log.close()
        finally:
            self._logs.clear()
            self._owner.release()
            self.owned = False

    def __enter__(self) -> "ReplyStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _folder(self, kind: str, bucket: int) -> Path:
        return self.root / kind / f"{bucket:02x}"

    def _log(self, kind: str, bucket: int) -> Log:
        log = self._logs.get((kind, bucket, self.owned))  # opened anew once owned: others wrote before
        if log is None:
            log = self._logs[kind, bucket, self.owned] = Log(self._folder(kind, bucket))
        return log
