"""Segments: the files that a bucket of the reply store is made of, how they are read, and how many become one.

A segment is a row of frames: length (4 bytes), CRC-32 (4), key (32), payload. It only grows; a finished one has a sorted index
beside it that is searched on disk. Only frames whose checksum fits count, so a torn tail after a crash is not seen.

Merging and pruning write a new segment that stands for a run of older ones and says so in its name, ``<first>-<last>.<n>``: from
the moment that it has this name it takes the place of all in that range with a smaller n, and those are removed after. A
process that is killed at any point of it therefore loses nothing, and nothing is there twice.
"""

import os
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from isal.isal_zlib import crc32

from mmevol.disk import at
from mmevol.store import replacing

HEAD = struct.Struct(">II32s")
ENTRY = struct.Struct(">32sQ")
KEY = 8
"""Where in a frame the key begins, and with it what the checksum covers."""
FEW = 8
"""Segments of a bucket that are left alone; more are merged."""
LARGE = 2**26
"""Bytes from which on a segment is not merged any more: it bounds how long a job may be kept by merging when it begins."""


class Segment(NamedTuple):
    """A segment by its name: the range of numbers that it stands for, and how often that was rewritten."""

    first: int
    last: int
    generation: int = 0

    @property
    def stem(self) -> str:
        """The name of its files without suffix."""
        return f"{self.first:08d}-{self.last:08d}.{self.generation}" if self.generation else f"{self.first:08d}"

    def log(self, folder: Path) -> Path:
        """The frames."""
        return folder / f"{self.stem}.log"

    def idx(self, folder: Path) -> Path:
        """The index, there once the segment is finished."""
        return folder / f"{self.stem}.idx"


def named(path: Path) -> Segment:
    """The segment that a file belongs to."""
    first, last, generation = re.fullmatch(r"(\d+)(?:-(\d+)\.(\d+))?", path.name[:-4]).groups()  # type: ignore[union-attr]
    return Segment(int(first), int(last or first), int(generation or 0))


def live(folder: Path) -> list[Segment]:
    """The segments of a bucket, oldest first, without those that another has taken the place of."""
    found: list[Segment] = []
    for segment in sorted(map(named, folder.glob("*.log")), key=lambda s: (s.first, -s.last, -s.generation)):
        if not found or segment.first > found[-1].last:
            found.append(segment)
    return found


def checksum(key: bytes, payload: bytes) -> int:
    """Over a frame's key and payload."""
    return crc32(payload, crc32(key))


def framed(key: bytes, payload: bytes) -> bytes:
    """A frame."""
    return HEAD.pack(len(payload), checksum(key, payload), key) + payload


def walk(path: Path) -> Iterator[tuple[bytes, int, bytes | None]]:
    """Everything in a segment: key, offset, payload, which is None where a frame is damaged or, at the end, not whole."""
    with open(path, "rb") as file:
        offset, size = 0, os.fstat(file.fileno()).st_size
        while offset < size:
            length, crc, key = HEAD.unpack(file.read(HEAD.size).ljust(HEAD.size))
            end = offset + HEAD.size + length
            payload = file.read(length) if end <= size else b""
            if end <= size and checksum(key, payload) == crc:
                yield key, offset, payload
                offset = end
            else:
                yield key, offset, None
                offset = _resume(file, offset + 1)


def _resume(file: BinaryIO, offset: int) -> int:
    """Where the next whole frame begins: behind damage nothing is believed, not even a length. The end if there is none."""
    file.seek(offset)
    rest = file.read()
    for start in range(len(rest) - HEAD.size + 1):
        length, crc, _ = HEAD.unpack_from(rest, start)
        end = start + HEAD.size + length
        if end <= len(rest) and crc32(memoryview(rest)[start + KEY : end]) == crc:
            return file.seek(offset + start)
    return offset + len(rest)


def frames(path: Path) -> Iterator[tuple[bytes, int, bytes]]:
    """The whole frames of a segment: key, offset, payload. One that is damaged costs no other: those were paid for too."""
    return ((key, offset, payload) for key, offset, payload in walk(path) if payload is not None)


class Index:
    """The sorted index of a finished segment, searched on disk: nothing of it stays in memory.

    Keys are hashes, so where one lies follows from its value, give or take a few: mostly one piece is read.
    """

    PIECE = 128
    """Entries that are read at a time."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._entries = os.fstat(self._file.fileno()).st_size // ENTRY.size

    def get(self, key: bytes) -> int | None:
        """The offset of a key's frame."""
        low, high = 0, self._entries
        below, above, wanted = 0, 2**64, int.from_bytes(key[:8])
        halve = False
        while low < high:
            share = 0.5 if halve else (wanted - below) / max(1, above - below)
            first = max(low, min(int(low + share * (high - low)) - self.PIECE // 2, high - self.PIECE))
            last = min(high, first + self.PIECE) - 1
            piece = os.pread(self._file.fileno(), (last + 1 - first) * ENTRY.size, first * ENTRY.size)
            if (offset := _offset(piece, key)) is not None:
                return offset
            if key < piece[:32]:
                high, above = first, int.from_bytes(piece[:8])
            elif key > (end := piece[-ENTRY.size :])[:32]:
                low, below = last + 1, int.from_bytes(end[:8])
            else:
                return None
            halve = not halve  # keys that are no hashes are found too
        return None

    @staticmethod
    def write(path: Path, entries: dict[bytes, int]) -> None:
        """Write the index of a segment, whole or not at all."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            file.writelines(ENTRY.pack(key, offset) for key, offset in sorted(entries.items()))
            file.flush()
            os.fsync(file.fileno())


def _offset(piece: bytes, key: bytes) -> int | None:
    """What stands beside a key in entries that follow each other."""
    at = piece.find(key)
    while at % ENTRY.size and at > 0:  # across two entries by chance
        at = piece.find(key, at + 1)
    return None if at < 0 else int(ENTRY.unpack_from(piece, at)[1])


def sync_folder(folder: Path) -> None:
    """Bring names that were given or taken in a folder to the disk itself."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        with at(folder):
            os.fsync(fd)
    finally:
        os.close(fd)


@dataclass
class Examined:
    """What a segment holds. ``damaged``: offsets of frames that are lost; ``torn``: bytes of an unfinished one at the end."""

    entries: dict[bytes, int] = field(default_factory=dict)
    damaged: list[int] = field(default_factory=list)
    torn: int = 0
    indexed: bool = True
    """Is the index what the frames ask for, or not written yet?"""


def examine(folder: Path, segment: Segment) -> Examined:
    """Read a segment whole, every checksum, and hold its index against it."""
    found, path, index = Examined(), segment.log(folder), segment.idx(folder)
    told = index.read_bytes() if index.exists() else b""
    for key, offset, payload in walk(path):
        if payload is None:
            found.damaged.append(offset)
        else:
            found.entries.setdefault(key, offset)
    starts = {offset for _, offset in ENTRY.iter_unpack(told[: len(told) // ENTRY.size * ENTRY.size])}
    if found.damaged and found.damaged[-1] not in starts:
        found.torn = _torn(path, found.damaged[-1])
        found.damaged = found.damaged[:-1] if found.torn else found.damaged
    right = b"".join(ENTRY.pack(key, offset) for key, offset in sorted(found.entries.items()))
    found.indexed = told in (right, b"")
    return found


def _torn(path: Path, offset: int) -> int:
    """The bytes from here on, if they are the beginning of a frame that goes on behind the end; else 0."""
    with open(path, "rb") as file:
        file.seek(offset)
        rest = file.read()
    return len(rest) if len(rest) < HEAD.size or HEAD.size + HEAD.unpack_from(rest)[0] > len(rest) else 0


def rewrite(folder: Path, old: list[Segment], keep: Callable[[bytes, bytes], bool] = lambda key, payload: True) -> None:
    """Put one segment in the place of a run of neighbours: of each key the oldest whole frame, if `keep(key, payload)`.

    Needs ownership. Whoever dies in here leaves the old segments or the new one.
    """
    new = Segment(old[0].first, old[-1].last, 1 + max(s.generation for s in old))
    entries: dict[bytes, int] = {}
    with replacing(new.log(folder)) as temporary:
        with open(temporary, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            for segment in old:
                for key, _, payload in frames(segment.log(folder)):
                    if key not in entries and keep(key, payload):
                        entries[key] = file.tell()
                        file.write(framed(key, payload))
            file.flush()
            os.fsync(file.fileno())
        Index.write(new.idx(folder), entries)
    sync_folder(folder)
    tidy(folder)


def leftovers(folder: Path) -> list[Path]:
    """Files that a dead owner left: half-written ones, replaced segments, indexes without a segment, empty segments."""
    logs = live(folder)
    stems = {s.stem for s in logs}
    replaced = [p for suffix in ("log", "idx") for p in sorted(folder.glob(f"*.{suffix}")) if p.name[:-4] not in stems]
    empty = [file for s in logs if not s.log(folder).stat().st_size for file in (s.idx(folder), s.log(folder))]
    return [*sorted(folder.glob(".*.tmp")), *replaced, *(path for path in empty if path.exists())]


def tidy(folder: Path) -> None:
    """Remove what a dead owner or a rewriting left. Needs ownership."""
    left = leftovers(folder)
    for path in left:
        if path.stat().st_size or path.suffix != ".log":
            path.unlink()
    if left:
        sync_folder(folder)  # an empty segment goes last: until then it keeps those that it replaced from coming back
    for path in left:
        path.unlink(missing_ok=True)


def merge(folder: Path) -> None:
    """Make few segments of many. Needs ownership.

    Neighbours are merged from the oldest one on that is no larger than all newer ones together, so each segment ends up
    larger than the sum of those after it, and a byte is written again as often as the bucket doubles. A damaged segment stays
    as it is, for `mmevol cache verify` to tell.
    """
    segments = live(folder)
    if len(segments) <= FEW:
        return
    sizes = {s: s.log(folder).stat().st_size for s in segments}
    for small, run in groupby(segments, key=lambda s: sizes[s] < LARGE and _sound(folder, s)):
        if small and len(chosen := _tier(list(run), sizes)) > 1:
            rewrite(folder, chosen)


def _sound(folder: Path, segment: Segment) -> bool:
    found = examine(folder, segment)
    return not found.damaged and found.indexed


def _tier(run: list[Segment], sizes: dict[Segment, int]) -> list[Segment]:
    """The newest segments of a run that are merged."""
    for place, segment in enumerate(run):
        if sizes[segment] <= sum(sizes[s] for s in run[place + 1 :]):
            return run[place:]
    return []
