"""Forgetting: a record with all that was asked about it, or a model's answers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from mmevol.cache.survey import buckets
from mmevol.owner import Owner
from mmevol.segments import frames, live, rewrite, tidy
from mmevol.store import bucket_of


@dataclass
class Removed:
    """What goes, or went."""

    answers: int = 0
    images: int = 0
    bytes: int = 0


def prune(
    root: Path,
    *,
    records: list[str],
    models: list[str],
    dry_run: bool,
    on_wait: Callable[[str], None] | None = None,
) -> Removed:
    """Remove the answers about `records` and those of `models` (given both, what is of both), and every encoded image that no
    answer names any more: one that is needed again is encoded again, for nothing."""
    among = {f"{bucket_of(key):02x}" for key in records}
    removed = Removed()
    for requests in buckets(root, "requests"):
        if records and requests.name not in among:
            continue
        owner = Owner([requests], "cache prune", on_wait)
        if not dry_run:
            owner.acquire()
            tidy(requests)
        try:
            _prune(requests, root / "images" / requests.name, set(records), set(models), dry_run, removed)
        finally:
            owner.release()
    return removed


def _prune(requests: Path, images: Path, records: set[str], models: set[str], dry_run: bool, removed: Removed) -> None:
    """One bucket."""
    named = set[str]()

    def stays(_: bytes, payload: bytes) -> bool:
        kept = orjson.loads(payload)
        if (not records or kept["record"] in records) and (not models or kept["model"] in models):
            return False
        named.add(kept.get("image", ""))
        return True

    gone = _sweep(requests, stays, dry_run)
    removed.answers += len(gone)
    if gone or records:  # records: a run before this one may have died between the two
        unnamed = _sweep(images, lambda key, _: key.hex() in named, dry_run)
        removed.images += len(unnamed)
        gone += unnamed
    removed.bytes += sum(gone)


def _sweep(folder: Path, stays: Callable[[bytes, bytes], bool], dry_run: bool) -> list[int]:
    """Rewrite the segments that hold something that does not stay; the sizes of that."""
    gone: list[int] = []
    for segment in live(folder):
        here = [len(payload) for key, _, payload in frames(segment.log(folder)) if not stays(key, payload)]
        if here and not dry_run:
            rewrite(folder, [segment], stays)
        gone += here
    return gone
