"""What the seeds are made of: sources, licences, and where their Q&A came from."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmevol.config.publish import CompositionSettings
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table
from mmevol.store import read_dicts

COLUMNS = ("group", "source", "licence", "records", "pictures", "share", "own Q&A", "curated records", "curated Q&A")

ATTRIBUTIONS = 30
"""Attributions named below the table at most; the dataset card and every row of the data have them all."""

_READ = ["key", "image", "source", "licence", "attribution", "curated", "qas"]


@dataclass
class Part:
    """Counts of one source under one licence."""

    records: int = 0
    pictures: int = 0
    own: int = 0
    curated_records: int = 0
    curated: int = 0
    attributions: set[str] = field(default_factory=set)


def composition_table(settings: CompositionSettings, shards: Iterable[Path], heldout: int) -> Table:
    """A row a source and licence, largest first, over the training side of the seeds."""
    parts: dict[tuple[str, str], Part] = defaultdict(Part)
    for shard in shards:
        for row in read_dicts(shard, _READ):
            part = parts[row["source"] or "unnamed", row["licence"]]
            part.records += 1
            part.attributions |= {row["attribution"]} - {""}
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
    if not any(p.pictures for p in parts.values()):
        notes.append("There are no pictures: this study works on captions and boxes alone.")
    owed = sorted(f"{source} ({licence}): {name}" for (source, licence), p in parts.items() for name in p.attributions)
    notes += [f"Attribution, {line}" for line in owed[:ATTRIBUTIONS]]
    if len(owed) > ATTRIBUTIONS:
        notes.append(f"Attribution: {len(owed) - ATTRIBUTIONS:,} more in the dataset card.")
    return Table("The seeds by source and licence", COLUMNS, rows, notes)


def composition(settings: CompositionSettings, *, shards: list[Path], audit: Path, out: Path) -> None:
    """`mmevol publish composition`: write the table `out` (path without suffix) from the seed shards and the audit."""
    heldout = json.loads(audit.read_text(encoding="utf-8"))["heldout"]
    written = write_table(out, composition_table(settings, shards, heldout))
    record(out, outputs=written, inputs=[*shards, audit], settings=settings)
