"""The reply store: every complete answer that a model gave, kept once, shared by all studies.

Journal and cache in one. 256 buckets by record key; in each, append-only segments (`mmevol.segments`). Encoded images lie beside
the replies in the same form. One process writes a bucket at a time (`owner.Owner`); reading needs no ownership.
"""

import os
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from mmevol.disk import at
from mmevol.owner import Owner
from mmevol.segments import HEAD, Index, Segment, checksum, framed, frames, live, merge, sync_folder, tidy

SEAL = 16384
"""Entries, over all buckets of a job, after which segments are finished and their indexes leave memory (150 bytes each)."""

KINDS = ("requests", "images")

AT_ONCE = 16
"""Buckets that are brought to the disk at a time: a file system does as much for all of them in one go as for each alone."""

FILES = 65536
"""Open files that a process asks for."""


def default_root() -> Path:
    """``MMEVOL_REPLIES`` or ``replies`` in the working folder."""
    return Path(os.environ.get("MMEVOL_REPLIES", "replies"))


class Damaged(OSError):
    """An answer that was kept cannot be read any more."""


class Log:
    """One bucket: a keyed append-only log in a folder. `of`: how many buckets its job has."""

    def __init__(self, folder: Path, of: int = 1) -> None:
        self.folder, self._full = folder, -(-SEAL // of)
        self._sealed: dict[Segment, Index] = {}
        self._open: dict[Segment, dict[bytes, int]] = {}
        self._order: list[Segment] = []
        self._reading: tuple[Segment, FileIO] | None = None  # one, as a process may not have many open
        self._writing: Segment | None = None
        self._fd, self._end = -1, 0
        self._synced: tuple[Segment | None, int] = (None, 0)
        self.refresh()

    def refresh(self) -> None:
        """Take notice of what others wrote, merged and removed since."""
        if not self.folder.is_dir():
            return
        self._order = live(self.folder)
        sealed, self._sealed = self._sealed, {}
        open_, self._open = self._open, {}
        for segment in self._order:
            if segment == self._writing:
                self._open[segment] = open_[segment]
            elif segment in sealed:
                self._sealed[segment] = sealed[segment]
            elif (index := segment.idx(self.folder)).exists() and index.stat().st_size:
                self._sealed[segment] = Index(index)
            else:
                entries = self._open[segment] = {}
                for key, offset, _ in frames(segment.log(self.folder)):
                    entries.setdefault(key, offset)

    def get(self, key: bytes) -> bytes | None:
        """The payload of a key, the oldest if there are several. Raises `Damaged`."""
        try:
            return self._find(key)
        except (FileNotFoundError, Damaged):  # the bucket's owner may have merged or pruned it since we looked
            self._sealed.clear()
            self._reading = None
            self.refresh()
            return self._find(key)

    def _find(self, key: bytes) -> bytes | None:
        for segment in self._order:
            sealed = self._sealed.get(segment)
            offset = sealed.get(key) if sealed else self._open[segment].get(key)
            if offset is not None:
                return self._read(segment, key, offset)
        return None

    def put(self, key: bytes, payload: bytes) -> None:
        """Append a frame. After this the answer survives the death of the process.

        Raises `OSError` (disk full, read-only folder); the segment then ends where it ended before.
        """
        if self._writing is None:
            self._begin()
        assert self._writing is not None
        frame = framed(key, payload)
        try:
            written = os.write(self._fd, frame)
            while written < len(frame):
                written += os.write(self._fd, frame[written:])
        except OSError as error:
            os.ftruncate(self._fd, self._end)
            raise OSError(error.errno, error.strerror, str(self._writing.log(self.folder))) from error
        self._open[self._writing].setdefault(key, self._end)
        self._end += len(frame)
        if len(self._open[self._writing]) >= self._full:
            self.seal()

    def seal(self) -> None:
        """Finish the segment that is being written, and those that a dead writer left. Needs ownership."""
        if self._writing is not None:
            log, self._writing = self._writing.log(self.folder), None
            try:
                with at(log):
                    os.fsync(self._fd)
            finally:
                os.close(self._fd)
        finished = {segment: entries for segment, entries in self._open.items() if entries}
        for segment, entries in finished.items():
            Index.write(segment.idx(self.folder), entries)
            self._sealed[segment] = Index(segment.idx(self.folder))
            del self._open[segment]
        if finished:
            sync_folder(self.folder)

    def sync(self) -> None:
        """Bring what was written to the disk itself. May be called from any thread: it has a descriptor of its own."""
        state = segment, _ = self._writing, self._end
        if segment is not None and state != self._synced:
            fd = os.open(segment.log(self.folder), os.O_RDONLY)
            try:
                with at(segment.log(self.folder)):
                    os.fsync(fd)
            finally:
                os.close(fd)
            if segment != self._synced[0]:
                sync_folder(self.folder)  # else a power failure could take the whole new file away
            self._synced = state

    def close(self) -> None:
        """Finish the segment that was written."""
        if self._writing is not None:
            self.seal()

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.refresh()
        number = self._order[-1].last + 1 if self._order else 0
        segment = Segment(number, number)
        self._fd = os.open(segment.log(self.folder), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._open[segment], self._writing, self._end = {}, segment, 0
        self._order.append(segment)

    def _read(self, segment: Segment, key: bytes, offset: int) -> bytes:
        if self._reading is None or self._reading[0] != segment:
            self._reading = segment, FileIO(segment.log(self.folder))
        fd = self._reading[1].fileno()
        file = os.fstat(fd)
        if not file.st_nlink:  # removed since it was opened; another may have its name
            raise FileNotFoundError(segment.stem)
        length, crc, found = HEAD.unpack(os.pread(fd, HEAD.size, offset).ljust(HEAD.size))
        payload = os.pread(fd, min(length, file.st_size), offset + HEAD.size)
        if found != key or checksum(key, payload) != crc:
            raise Damaged(
                f"{segment.log(self.folder)}: the answer at byte {offset} is damaged; run `mmevol cache verify --repair`: "
                "every other answer is kept and this one is asked again"
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
        self._buckets = buckets
        self._owner = Owner([self._folder("requests", b) for b in buckets], job, on_wait)
        self._owning = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self.owned = False
        self.sync_at = time.monotonic() + 1

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
        """Wait to become the only writer of the buckets, see what was written meanwhile, and merge where segments have become
        many. May be called from any thread."""
        with self._owning:
            if not self.owned:
                self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._owner.acquire()
                for folder in (self._folder(kind, b) for kind in KINDS for b in self._buckets):
                    if folder.is_dir():
                        tidy(folder)
                        merge(folder)
                self.owned = True

    def sync(self) -> None:
        """Bring everything written to the disk itself (group commit). ``sync_at``, a monotonic time, says when to call it next:
        after a second, or later where it takes long, so that it is at work a tenth of the time at most."""
        began = time.monotonic()
        list(self._pool.map(Log.sync, list(self._logs.values())))
        now = time.monotonic()
        self.sync_at = now + max(1.0, 9 * (now - began))

    def close(self) -> None:
        """Finish segments and give the buckets back."""
        try:
            list(self._pool.map(Log.close, self._logs.values()))
        finally:
            self._pool.shutdown()
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
            log = self._logs[kind, bucket, self.owned] = Log(self._folder(kind, bucket), max(1, len(self.buckets)))
        return log
