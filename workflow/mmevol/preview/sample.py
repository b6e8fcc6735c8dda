"""Which records a study has, and some of them as the audit will see them: no Snakemake, nothing of an earlier run is needed."""

import heapq
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from mmevol.config.study import Study
from mmevol.records import BadInput, SeedRecord, fraction
from mmevol.seeds import audit, reader
from mmevol.store import rank_of


@dataclass(frozen=True)
class Source:
    """The file of seed records and the folder of their pictures."""

    records: Path
    images: Path | None


@contextmanager
def source_of(study: Study) -> Iterator[Source]:
    """Where the seed records lie. What a study draws itself is drawn for the life of the block: what an earlier run drew may be
    of other settings."""
    drawn = {"world": _draw, "photos": _photos}.get(study.seeds.source)
    if drawn is None:
        yield Source(Path(study.records), Path(study.images_root) if study.images_root else None)
        return
    with TemporaryDirectory(prefix="mmevol-seeds-") as folder:
        source = Source(Path(folder, "seeds.jsonl"), Path(folder, "images"))
        drawn(study, source)
        yield source


def _draw(study: Study, source: Source) -> None:
    from mmevol.seeds.world import draw

    assert source.images
    draw(study.draw_settings(), records=source.records, images=source.images)


def _photos(_: Study, source: Source) -> None:
    from mmevol.seeds.photos import export

    assert source.images
    export(records=source.records, images=source.images)


@dataclass(frozen=True)
class Sample:
    """``population``: how many records will be evolved (about: only the audit of all knows what is held out or excluded).
    ``first``: the first of them in hash order; ``spread``: others, drawn evenly from all the rest.
    """

    population: float
    first: list[SeedRecord]
    spread: list[SeedRecord]

    @property
    def records(self) -> list[SeedRecord]:
        """All of them."""
        return [*self.first, *self.spread]

    def shares(self, taken: float) -> list[float]:
        """For how many records each of the sample stands where so many of the population, the first in hash order, are evolved."""
        if not self.spread:
            return [taken / len(self.first)] * len(self.first)
        rest = max(0.0, taken - len(self.first))
        early = [min(1.0, max(0.0, taken - place)) for place in range(len(self.first))]
        return early + [rest / len(self.spread)] * len(self.spread)


def _least(pairs: Iterable[tuple[float, str]], n: int) -> list[str]:
    return [key for _, key in heapq.nsmallest(n, pairs)]


def sample(study: Study, source: Source, *, first: int, spread: int = 0) -> Sample:
    """Some records of the train side, audited. Raises `BadInput` as the audit does, and where there is no record."""
    settings, count = study.audit_settings(), 0
    more = ceil(1.5 * first / max(0.05, 1 - settings.heldout)) + 4  # some of them are held out
    early: list[tuple[float, str]] = []
    even: list[tuple[float, str]] = []
    for _, raw in audit.taken(settings, source.records):
        count += 1
        key = reader.key(raw)
        early.append((rank_of(study.seed, key), key))
        even.append((fraction(study.seed, "plan", key), key))
        if count % 4096 == 0:  # no more is kept than can matter
            early, even = heapq.nsmallest(more, early), heapq.nsmallest(more + spread, even)
    early_keys, even_keys = _least(early, more), _least(even, more + spread)
    looked = {*early_keys, *even_keys}
    records = {r.key: r for r in audit.some(settings, source.records, source.images, looked)}
    train = {key: record for key, record in records.items() if record.split == "train"}
    if not train:
        raise BadInput(
            file=str(source.records),
            field="(records)",
            found=f"none to evolve among {count}",
            expected="at least one record on the train side",
            remedy="see seeds.source, seeds.heldout and seeds.bad_images",
        )
    chosen = [train[key] for key in early_keys if key in train][:first]
    taken = {r.key for r in chosen}
    others = [train[key] for key in even_keys if key in train and key not in taken][:spread]
    share = len(train) / count if len(looked) == count else (1 - settings.heldout) * len(records) / len(looked)
    return Sample(count * share, chosen, others)
