"""Contamination: what of every benchmark was in the data that each mixture trains on.

The benchmarks are held in memory as hashes; seeds and evolved Q&A stream past once, whatever the number of mixtures, of which eight
bytes a Q&A are held. So time grows with the data, memory with the benchmarks.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmevol.config import Run
from mmevol.config.commands import ContaminationSettings
from mmevol.evaluate.benchmarks import rows
from mmevol.evaluate.overlap import KINDS, Finder, Index, file_hash
from mmevol.progress import Heartbeat
from mmevol.records import BadInput, SeedRecord, qa_id
from mmevol.store import read_dicts, read_rows, write_json

AT_ONCE = 128
"""Pictures that are compared together."""


class Said(NamedTuple):
    """A Q&A of the data: the first eight bytes of its id, and its text."""

    id: int
    question: str
    answer: str


def contamination(
    settings: ContaminationSettings,
    *,
    run: Run,
    shards: list[Path],
    evolved: dict[str, Path],
    mixtures: dict[str, Path],
    images: Path | None,
    data: Path,
    out: Path,
) -> None:
    """Write into `out` (JSON) which rows of the benchmarks below `data` each mixture overlaps with.

    `mixtures`: the ``ids.parquet`` of each; `evolved`: the dataset of each evolution; `images`: where the seeds' pictures lie.
    Raises `BadInput` for broken files and pictures.
    """
    index = Index(settings.contamination)
    for name in settings.benchmarks:
        index.add(name, rows(name, data / name, textual=settings.textual))
    finder, held = index.ready(), {name: Ids(path) for name, path in mixtures.items()}
    found: dict[str, dict[str, set[int]]] = {name: {kind: set() for kind in KINDS} for name in mixtures}
    with Heartbeat(run, job="evaluate/contamination") as beat, ThreadPoolExecutor(settings.threads) as pool:
        stream = talks(shards, evolved)
        while some := list(islice(stream, AT_ONCE)):
            seen = pictures([record for record, _ in some], images, finder, pool)
            for (_, said), (same, near) in zip(some, seen, strict=True):
                _told(finder, held, said, same, near, found)
            beat.advance(len(some))
    write_json(out, summary(index, settings, found))


class Ids:
    """The Q&A of a mixture: eight bytes of each id, sorted."""

    def __init__(self, path: Path) -> None:
        self._ids = np.unique(np.fromiter((_short(row["qa"]) for row in read_dicts(path, ["qa"])), dtype=np.uint64))

    def __contains__(self, id_: int) -> bool:
        at = int(np.searchsorted(self._ids, np.uint64(id_)))
        return at < len(self._ids) and int(self._ids[at]) == id_


def _short(id_: str) -> int:
    return int(id_[:16], 16)


def talks(shards: Iterable[Path], evolved: dict[str, Path]) -> Iterator[tuple[SeedRecord, list[Said]]]:
    """Every seed record with all that was ever asked about it, record by record.

    Raises `BadInput` where a dataset is of other seeds: all files are in the same order.
    """
    streams = {name: groupby(_survivors(path), key=lambda row: row["record"]) for name, path in evolved.items()}
    ahead = {name: next(stream, None) for name, stream in streams.items()}
    for shard in shards:
        for record in read_rows(shard, "seed"):
            said = [Said(_short(qa_id(record.key, "", 0, "seed", q)), q.question, q.answer) for q in record.qas]
            for name, stream in streams.items():
                if (group := ahead[name]) and group[0] == record.key:
                    said += [Said(_short(row["id"]), row["question"], row["answer"]) for row in group[1]]
                    ahead[name] = next(stream, None)
            yield record, said
    for name, group in ahead.items():
        if group:
            raise BadInput(
                file=str(evolved[name]),
                field="record",
                found=str(group[0]),
                expected="records of these seeds, in their order",
                remedy="run the dataset target again",
            )


def _survivors(evolved: Path) -> Iterator[dict[str, str]]:
    for row in read_dicts(evolved, ["record", "id", "outcome", "question", "answer"]):
        if row["outcome"] == "survived":
            yield row


def pictures(
    records: list[SeedRecord], images: Path | None, finder: Finder, pool: ThreadPoolExecutor
) -> list[tuple[set[int], set[int]]]:
    """For each record the rows with its picture's very file, and those with nearly its picture."""
    shown = [(at, r.image, r.image_digest) for at, r in enumerate(records) if r.image and r.image_digest and images]
    found: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in records]
    hashes = list(pool.map(file_hash, [Path(str(images)) / image for _, image, _ in shown]))
    for (at, _, digest), near in zip(shown, finder.near(hashes), strict=True):
        same = finder.same(digest)
        found[at] = same, near - same
    return found


def _told(
    finder: Finder,
    held: dict[str, Ids],
    said: list[Said],
    same: set[int],
    near: set[int],
    found: dict[str, dict[str, set[int]]],
) -> None:
    """Note what one record shares with the benchmarks, in every mixture that has a Q&A of it."""
    for each in said:
        told = finder.told(each.question) | finder.told(each.answer)
        again = (same | near).intersection(finder.asked(each.question)) if same or near else set()
        if not (same or near or told):
            continue
        for name, ids in held.items():
            if each.id in ids:
                for kind, numbers in zip(KINDS, (same, near, told, again), strict=True):
                    found[name][kind] |= numbers


def summary(index: Index, settings: ContaminationSettings, found: dict[str, dict[str, set[int]]]) -> dict[str, object]:
    """The rows of each benchmark, and by mixture, benchmark and kind the keys of those that overlap."""
    count: dict[str, int] = defaultdict(int)
    for benchmark, _ in index.rows:
        count[benchmark] += 1
    overlaps: dict[str, dict[str, dict[str, list[str]]]] = {}
    for mixture, kinds in found.items():
        of = overlaps[mixture] = {name: {kind: [] for kind in KINDS} for name in settings.benchmarks}
        for kind, numbers in kinds.items():
            for number in sorted(numbers):
                benchmark, key = index.rows[number]
                of[benchmark][kind].append(key)
    return {"rows": dict(count), "overlaps": overlaps, "settings": settings.contamination.model_dump(mode="json")}
