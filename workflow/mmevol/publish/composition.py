"""What the seeds are made of: sources, licences, and where their Q&A came from."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mmevol.config.publish import CompositionSettings
from mmevol.publish.table import Cell, Table, write_table
from mmevol.store import read_dicts

COLUMNS = ("group", "source", "licence", "records", "pictures", "share", "own Q&A", "curated records", "curated Q&A")

_READ = ["key", "image", "source", "licence", "curated", "qas"]


@dataclass
class Part:
    """Counts of one source under one licence."""

    records: int = 0
    pictures: int = 0
    own: int = 0
    curated_records: int = 0
    curated: int = 0


def composition_table(settings: CompositionSettings, shards: Iterable[Path], heldout: int) -> Table:
    """A row a source and licence, largest first, over the training side of the seeds."""
    parts: dict[tuple[str, str], Part] = defaultdict(Part)
    for shard in shards:
        for row in read_dicts(shard, _READ):
            part = parts[row["source"] or "unnamed", row["licence"]]
            part.records += 1
            part.pictures += row["image"] is not None
            if row["curated"]:
                part.curated_records += 1
                part.curated += len(row["qas"])
            else:
                part.own += len(row["qas"])
    total = sum(p.records for p in parts.values())
    rows: list[list[Cell]] = [
        [
            *(settings.groups.get(source, source), source, licence),
            *(p.records, p.pictures, p.records / total, p.own, p.curated_records, p.curated),
        ]
        for (source, licence), p in sorted(parts.items(), key=lambda item: (-item[1].records, item[0]))
    ]
    notes = [
        f"Counted are the records that are evolved and trained on; {heldout:,} records are held out for the benchmarks.",
        "Own Q&A came with the record; curated Q&A were written by the teacher for records that had only a caption.",
    ]
    return Table("The seeds by source and licence", COLUMNS, rows, notes)


def composition(settings: CompositionSettings, *, shards: list[Path], audit: Path, out: Path) -> None:
    """`mmevol publish composition`: write the table `out` (path without suffix) from the seed shards and the audit."""
    heldout = json.loads(audit.read_text(encoding="utf-8"))["heldout"]
    write_table(out, composition_table(settings, shards, heldout))
