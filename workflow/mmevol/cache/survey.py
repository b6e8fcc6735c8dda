"""What the reply store holds, and whether it is whole."""

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import orjson

from mmevol.owner import LOST, Owner, alive_here
from mmevol.records import BadInput
from mmevol.replies import KINDS
from mmevol.segments import Index, Segment, examine, frames, leftovers, live, rewrite, tidy

T = TypeVar("T")


def buckets(root: Path, kind: str) -> list[Path]:
    """The folders of a kind, `requests` or `images`, in order. Raises `BadInput` where no store is."""
    if not (root / KINDS[0]).is_dir():
        raise BadInput(
            file=str(root),
            field="(folder)",
            found="no reply store",
            expected="the folder that MMEVOL_REPLIES names, or replies/ beside the study",
            remedy="give the store's folder with --root",
        )
    return sorted(path for path in (root / kind).glob("[0-9a-f][0-9a-f]") if path.is_dir())


def steady(read: Callable[[Path], T], folder: Path) -> T:
    """`read(folder)`, again if the bucket's owner merged segments meanwhile."""
    while True:
        before = live(folder)
        try:
            return read(folder)
        except FileNotFoundError:
            if live(folder) == before:
                raise


@dataclass
class Content:
    """What buckets hold. ``bytes``: of segments and indexes; ``duplicates``: answers beyond the first of their key."""

    answers: int = 0
    images: int = 0
    answer_bytes: int = 0
    image_bytes: int = 0
    segments: int = 0
    duplicates: int = 0
    by: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Answers by model and task."""

    def __add__(self, other: "Content") -> "Content":
        return Content(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def _answers(folder: Path) -> Content:
    found, seen = Content(), set[bytes]()
    for segment in live(folder):
        found.segments += 1
        found.answer_bytes += _size(folder, segment)
        for key, _, payload in frames(segment.log(folder)):
            if key in seen:
                found.duplicates += 1
                continue
            seen.add(key)
            kept = orjson.loads(payload)
            found.by[kept["model"], kept["request"]["task"]] += 1
    found.answers = len(seen)
    return found


def _images(folder: Path) -> Content:
    found = Content()
    for segment in live(folder):
        found.segments += 1
        found.image_bytes += _size(folder, segment)
        found.images += sum(1 for _ in frames(segment.log(folder)))
    return found


def _size(folder: Path, segment: Segment) -> int:
    files = (segment.log(folder), segment.idx(folder))
    return sum(path.stat().st_size for path in files if path.exists())


def stats(root: Path) -> Content:
    """Count what a store holds, one bucket in memory at a time."""
    parts = [steady(_answers, folder) for folder in buckets(root, "requests")]
    parts += [steady(_images, folder) for folder in buckets(root, "images")]
    return sum(parts, Content())


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be. ``lost``: answers that cannot be read; ``damage``: does `repair` have to act?"""

    path: Path
    what: str
    lost: int = 0
    damage: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def held(folder: Path) -> tuple[str, bool] | None:
    """Who owns a bucket, and whether it lives as far as this host can know; None if nobody does."""
    try:
        owner = json.loads((folder / "owner").read_text() or LOST)
    except FileNotFoundError:
        return None
    here = owner["host"] == socket.gethostname()
    who = f"{owner['job']} (pid {owner['pid']} on {owner['host'] or 'an unknown host'})"
    return who, bool(owner["host"]) and (not here or alive_here(owner["pid"], owner["start"]))


def inspect(folder: Path) -> list[Finding]:
    """What is wrong with a bucket, one folder of it."""
    found = [
        Finding(path, "left by a job that died; the next one removes it", damage=False) for path in leftovers(folder)
    ]
    for segment in live(folder):
        log, seen = segment.log(folder), examine(folder, segment)
        found += [Finding(log, f"what lies at byte {at} is damaged and lost", lost=1) for at in seen.damaged]
        if seen.torn:
            found.append(
                Finding(log, f"its last {seen.torn} bytes are no whole answer: never finished, nothing is lost")
            )
        if not seen.indexed and not seen.damaged:
            found.append(Finding(segment.idx(folder), "does not fit its segment"))
    return found


def verify(root: Path) -> Iterator[Finding]:
    """Look at every frame of a store, one segment at a time. A bucket in use is named and not looked at."""
    for requests in buckets(root, "requests"):
        owner = held(requests)
        if owner and owner[1]:
            yield Finding(requests, f"in use by {owner[0]}; not looked at", damage=False)
            continue
        if owner:
            yield Finding(requests / "owner", f"{owner[0]} died; the next job takes over", damage=False)
        for kind in KINDS:
            yield from inspect(root / kind / requests.name)


def repair(root: Path, on_wait: Callable[[str], None] | None = None) -> Iterator[Finding]:
    """Put right what `verify` finds, bucket by bucket as their owner; yields what was found. What is damaged goes, to be asked
    again; all else stays."""
    for requests in buckets(root, "requests"):
        owner = Owner([requests], "cache verify --repair", on_wait)
        owner.acquire()
        try:
            for kind in KINDS:
                folder = root / kind / requests.name
                found = inspect(folder)
                tidy(folder)
                if any(finding.damage for finding in found):
                    _mend(folder)
                yield from found
        finally:
            owner.release()


def _mend(folder: Path) -> None:
    for segment in live(folder):
        seen = examine(folder, segment)
        if seen.damaged or seen.torn:
            rewrite(folder, [segment])
        elif not seen.indexed:
            Index.write(segment.idx(folder), seen.entries)
