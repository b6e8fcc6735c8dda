"""How records reach disk: atomic files, one Parquet writer, provenance sidecars.

A data file is written under a temporary name that carries host and pid and renamed when it is whole, so that nothing is ever
there half. The same records give the same bytes.
"""

import glob
import hashlib
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmevol.disk import at
from mmevol.owner import process_start
from mmevol.records import BadInput, Candidate, Frontier, Outcome, Record, SeedRecord, canonical, digest, fraction

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BUCKETS = 256
ROW_GROUP = 6 * 2**20
"""Bytes of a Parquet row group: what a stage holds in memory at a time, as columns. Parquet keeps 80 KB of each to the end."""
ROWS_READ = 256
"""Rows that are read at a time, as columns."""
AT_ONCE = 32
"""Rows that are Python objects at a time on their way from or to a file."""

ROWS: dict[str, type[Record]] = {"seed": SeedRecord, "candidate": Candidate, "frontier": Frontier, "outcome": Outcome}


def _host() -> str:
    """This host as it stands in the names of temporary files: without dots."""
    return socket.gethostname().replace(".", "_")


def _left(path: Path) -> dict[Path, int]:
    """Temporary neighbours of `path` that writers on other hosts made, with the time of their last change.

    Those that dead processes of this host left are removed.
    """
    elsewhere = {}
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.*.tmp"):
        host, _, pid = left.name.removeprefix(f".{path.name}.").removesuffix(".tmp").partition(".")
        if not pid.isdigit():
            continue  # of another file, whose name begins like this one's
        if host != _host():
            with suppress(FileNotFoundError):
                elsewhere[left] = left.stat().st_mtime_ns
        elif process_start(int(pid)) is None:
            left.unlink(missing_ok=True)
    return elsewhere


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary neighbour of `path` that takes its place when the block ends well and is removed when it does not.

    A file has one writer. So what another host's writer left, and did not touch while the block ran, is removed when it ends well.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    elsewhere = _left(path)
    temporary = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.tmp")
    try:
        with at(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    for left, changed in elsewhere.items():
        with suppress(FileNotFoundError):
            if left.stat().st_mtime_ns == changed:
                left.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value in canonical form (sorted keys), one line."""
    write_text(path, canonical(value) + "\n")


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(4096)
def bucket_of(key: str) -> int:
    """The bucket, 0..255, of a record key."""
    return int(digest(key)[:2], 16)


def order_of(key: str) -> tuple[int, str]:
    """The order of records in every file: by bucket, then key, so that shards one after the other are in order too."""
    return bucket_of(key), key


def rank_of(seed: int, key: str) -> float:
    """The place of a record in hash order, 0..1: what is kept by `seeds.limit`, planned by, and evolved first under a target."""
    return fraction(seed, "limit", key)


def shard_of(key: str, shards: int) -> int:
    """The shard of a record key: a fixed range of buckets; `shards` is a power of two up to 256."""
    return bucket_of(key) * shards // BUCKETS


def buckets_of(shard: int, shards: int) -> range:
    """The buckets that a shard holds."""
    width = BUCKETS // shards
    return range(shard * width, (shard + 1) * width)


def arrow_schema(kind: str) -> "pa.Schema":
    """The Parquet schema of a row kind: ``seed``, ``candidate``, ``frontier`` (records.py), ``version`` (the dataset) …"""
    import pyarrow as pa

    s, i, f = pa.string(), pa.int32(), pa.float64()
    strings = pa.list_(s)
    step = pa.struct([("manipulation", s), ("description", s)])
    qa = pa.struct(
        [
            ("question", s),
            ("answer", s),
            ("format", s),
            ("options", strings),
            ("objects", strings),
            ("skills", strings),
            ("steps", pa.list_(step)),
            ("image_position", s),
        ]
    )
    version = pa.struct(
        [("id", s), ("line", s), ("record", s), ("parent", s), ("round", i), ("direction", s), ("qa", qa)]
    )
    verdict = pa.struct([("judge", s), ("name", s), ("value", f), ("reason", s)])
    thing = pa.struct([("label", s), ("bbox", pa.list_(f)), ("attributes", pa.map_(s, s))])
    fields: dict[str, list[tuple[str, pa.DataType]]] = {
        "seed": [
            ("key", s),
            ("id", s),
            ("image", s),
            ("image_digest", s),
            ("width", i),
            ("height", i),
            ("caption", s),
            ("objects", pa.list_(thing)),
            ("qas", pa.list_(qa)),
            ("curated", pa.bool_()),
            ("split", s),
            ("source", s),
            ("licence", s),
            ("attribution", s),
            ("topics", strings),
        ],
        "candidate": [
            ("parent", version),
            ("round", i),
            ("direction", s),
            ("version", version),
            ("failed", s),
            ("verdicts", pa.list_(verdict)),
            ("prompt", s),
            ("model", s),
        ],
        "frontier": [("version", version), ("history", strings)],
        "mixture": [("record", s), ("qa", s), ("source", s), ("round", i)],
        "outcome": [
            ("record", s),
            ("line", s),
            ("parent", s),
            ("round", i),
            ("direction", s),
            ("outcome", s),
            ("reason", s),
            ("candidate", s),
        ],
        "planted": [
            ("round", i),
            ("parent", s),
            ("direction", s),
            ("attempt", i),
            ("fault", s),
            ("outcome", s),
            ("reason", s),
        ],
        "version": [
            ("id", s),
            ("line", s),
            ("record", s),
            ("parent", s),
            ("round", i),
            ("direction", s),
            ("outcome", s),
            ("reason", s),
            ("question", s),
            ("answer", s),
            ("format", s),
            ("options", strings),
            ("objects", strings),
            ("skills", strings),
            ("steps", pa.list_(step)),
            ("verdicts", pa.list_(verdict)),
            ("prompt", s),
            ("model", s),
            ("image", s),
            ("caption", s),
            ("source", s),
            ("licence", s),
            ("attribution", s),
        ],
    }
    fields["smoke_version"] = [*fields["version"], ("smoke", pa.bool_())]
    return pa.schema(fields[kind])


class _NoPandas:
    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


@cache
def _frugal() -> None:
    """Make pyarrow frugal. Its own memory pool keeps 30 MB that the system's gives back. It is to find no pandas, which it looks
    for once, with the first array that it makes, and would import where it is installed: half a second and 50 MB."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    sys.meta_path.insert(0, _NoPandas)
    pa.array([0])
    sys.meta_path.remove(_NoPandas)


@contextmanager
def writing(path: Path, kind: str) -> Iterator[Callable[[Record | dict[str, Any]], None]]:
    """Write rows to Parquet as they come: yields the function that takes a row. The only Parquet writer of the project."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _frugal()
    schema = arrow_schema(kind)
    rows: list[dict[str, Any]] = []
    batches: list[pa.RecordBatch] = []
    held = 0
    settings: dict[str, Any] = {
        "compression": "zstd",
        "version": "2.6",
        "write_statistics": False,
        "store_schema": False,
    }
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, **settings) as out:

        def pack() -> None:
            nonlocal held
            batches.append(pa.RecordBatch.from_pylist(rows, schema=schema))
            held += batches[-1].nbytes
            rows.clear()

        def flush() -> None:
            nonlocal held
            pack()
            out.write_table(pa.Table.from_batches(batches))
            batches.clear()
            held = 0
            pa.default_memory_pool().release_unused()  # what Parquet keeps of each row group lies between what it frees

        def add(row: Record | dict[str, Any]) -> None:
            rows.append(row.model_dump(mode="json") if isinstance(row, Record) else row)
            if len(rows) == AT_ONCE:
                pack()
                if held >= ROW_GROUP:
                    flush()

        yield add
        flush()


def write_rows(path: Path, kind: str, rows: Iterable[Record | dict[str, Any]]) -> None:
    """Write rows to Parquet in the order given, streaming."""
    with writing(path, kind) as add:
        for row in rows:
            add(row)


def _open(path: Path) -> "pq.ParquetFile":
    import pyarrow as pa
    import pyarrow.parquet as pq

    _frugal()
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInput(
            file=str(path),
            field="(file)",
            found=str(error),
            expected="a Parquet file of this study",
            remedy="delete it and run the target again",
        ) from error


def read_dicts(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Stream the rows of a Parquet file as plain dictionaries.

    Raises `BadInput` where the file is missing or is no Parquet.
    """
    with _open(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_READ, columns=columns):
            for at in range(0, len(batch), AT_ONCE):
                yield from batch.slice(at, AT_ONCE).to_pylist()


def columns_of(path: Path) -> list[str]:
    """The names of a Parquet file's columns. Raises `BadInput` as `read_dicts`."""
    with _open(path) as file:
        return list(file.schema_arrow.names)


def read_rows(path: Path, kind: str) -> Iterator[Any]:
    """Stream the rows of a Parquet file as records of `kind`."""
    record = ROWS[kind]
    for row in read_dicts(path):
        if kind == "seed":
            for thing in row["objects"]:
                thing["attributes"] = dict(thing["attributes"])
        yield record.model_validate(row)
