"""Which record's lineage figure 1 shows, and what it needs to know of it."""

from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from mmevol.records import BadInput, SeedRecord
from mmevol.store import read_dicts, read_rows

Row = dict[str, Any]
"""A row of ``evolved.parquet``."""
LANES = 2
"""Q&A lines of a record that fit on the page."""
COLUMNS = [
    "id",
    "line",
    "record",
    "parent",
    "round",
    "direction",
    "outcome",
    "reason",
    "question",
    "answer",
    "format",
    "options",
    "verdicts",
    "image",
]


def richness(rows: Sequence[Row]) -> tuple[int, ...]:
    """How much a record's lineage shows; larger is better. Few lanes, many directions, something eliminated, long lines."""
    survived = [r for r in rows if r["outcome"] == "survived"]
    return (
        sum(r["outcome"] == "seed" for r in rows) <= LANES,
        any(r["outcome"] == "eliminated" for r in rows),
        len({r["direction"] for r in survived}),
        len({r["round"] for r in survived}),
        sum(r["outcome"] == "seed" for r in rows) == 1,
        -max(len(r["question"]) + len("".join(r["options"])) for r in rows),
    )


def chosen(dataset: Path, wanted: str | None) -> list[Row]:
    """The rows of the record that is wanted, or of the richest; of equals the first by key. Streams record by record.

    Raises `BadInput` where there is no such record.
    """
    best: list[Row] = []
    rank: tuple[Any, ...] = ()
    for key, some in groupby(read_dicts(dataset, COLUMNS), key=lambda row: row["record"]):
        rows = list(some)
        if wanted is None and (
            not best or richness(rows) > rank or (richness(rows) == rank and key < best[0]["record"])
        ):
            best, rank = rows, richness(rows)
        elif key == wanted:
            return rows
    if not best:
        raise BadInput(
            file=str(dataset),
            field="publish.figures.fig1_lineage.record",
            found=repr(wanted),
            expected="the key of an evolved record",
            remedy="leave the key out, or name a record of the dataset",
        )
    return best


def seed_record(shards: Iterable[Path], key: str) -> SeedRecord:
    """The seed record of that key. Raises `KeyError` where no shard holds it."""
    every: Iterable[SeedRecord] = chain.from_iterable(read_rows(shard, "seed") for shard in shards)
    for record in every:
        if record.key == key:
            return record
    raise KeyError(key)
