"""Batch files on their way. Each is a folder beside the replies that outlives the job, so that no batch is paid for twice:

    replies/batches/<name>/requests.jsonl   what is uploaded, a request a line
                           rows.jsonl       what each of them is: id, role, key, bucket, and what the store keeps beside its answer
                           state.json       the journal: which file, which batch

A folder appears whole, by a rename, and goes when every answer is in the store.
"""

import itertools
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from mmevol.owner import process_start
from mmevol.store import replacing

_drafts = itertools.count()


@dataclass(frozen=True)
class State:
    """Where a parcel stands. ``asked_at``: when the batch was asked for (seconds since the epoch), 0 before; ``spent``: batches of
    its file that came to nothing; ``generation``: how often its rows had been under way before."""

    endpoint: str
    server: str
    buckets: list[int]
    rows: int
    bytes: int
    generation: int = 0
    file: str = ""
    asked_at: float = 0.0
    batch: str = ""
    spent: list[str] = field(default_factory=list)


class Parcel:
    """One file of requests, whole and on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        self.state = State(**orjson.loads((folder / "state.json").read_bytes()))

    @property
    def requests(self) -> Path:
        """The file that is uploaded."""
        return self.folder / "requests.jsonl"

    def note(self, **changes: Any) -> None:
        """Write down where it stands, before anything else happens."""
        self.state = replace(self.state, **changes)
        _write(self.folder, self.state)

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each row with the offset at which `row` finds it."""
        with open(self.folder / "rows.jsonl", "rb") as file:
            offset = 0
            for line in file:
                yield offset, orjson.loads(line)
                offset += len(line)

    def row(self, offset: int) -> dict[str, Any]:
        """One row."""
        with open(self.folder / "rows.jsonl", "rb") as file:
            file.seek(offset)
            row: dict[str, Any] = orjson.loads(file.readline())
            return row

    def rest(self, wanted: Callable[[str], bool], max_rows: int) -> "list[Parcel]":
        """The wanted rows as parcels of their own, at most so many rows each; this one stays until it is removed."""
        made, draft = [], None
        with open(self.requests, "rb") as requests, open(self.folder / "rows.jsonl", "rb") as rows:
            for request, line in zip(requests, rows, strict=True):
                row = orjson.loads(line)
                if not wanted(row["id"]):
                    continue
                if draft is None:
                    s = self.state
                    draft = Draft(self.folder.parent, s.endpoint, s.server, generation=s.generation + 1)
                draft.add(request, row)
                if draft.rows == max_rows:
                    made.append(draft.finished())
                    draft = None
        return [*made, draft.finished()] if draft else made

    def remove(self) -> None:
        """Forget it, whole at once."""
        gone = self.folder.with_name(_temporary())
        self.folder.rename(gone)
        shutil.rmtree(gone)


class Draft:
    """A parcel that is being filled, under a temporary name."""

    def __init__(self, root: Path, endpoint: str, server: str, *, generation: int = 0) -> None:
        self.folder = root / _temporary()
        self.folder.mkdir(parents=True, mode=0o700)
        self.rows = self.bytes = 0
        self._state = State(endpoint, server, [], 0, 0, generation)
        self._buckets: set[int] = set()
        self._files = [open(self.folder / name, "wb") for name in ("requests.jsonl", "rows.jsonl")]  # noqa: SIM115

    def add(self, request: bytes, row: dict[str, Any]) -> None:
        """Add a line of `requests.jsonl`, its newline included, and what it is."""
        for file, line in zip(self._files, (request, orjson.dumps(row) + b"\n"), strict=True):
            file.write(line)
        self.rows += 1
        self.bytes += len(request)
        self._buckets.add(row["bucket"])

    def finished(self) -> Parcel:
        """Bring it to the disk and give it its name."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
            file.close()
        state = replace(self._state, rows=self.rows, bytes=self.bytes, buckets=sorted(self._buckets))
        _write(self.folder, state)
        return Parcel(self.folder.rename(self.folder.with_name(uuid.uuid4().hex)))


def parcels(root: Path, endpoint: str, buckets: frozenset[int]) -> list[Parcel]:
    """The parcels of an endpoint with rows of these buckets, those that replace others last; litter of dead jobs is removed."""
    found = []
    for folder in sorted(root.glob("*")) if root.is_dir() else []:
        if folder.name.startswith("."):
            host, _, rest = folder.name[1:].rpartition("@")
            if host == socket.gethostname() and process_start(int(rest.split(".")[0])) is None:
                shutil.rmtree(folder)
        elif (parcel := Parcel(folder)).state.endpoint == endpoint and buckets & {*parcel.state.buckets}:
            found.append(parcel)
    return sorted(found, key=lambda p: p.state.generation)


def _write(folder: Path, state: State) -> None:
    """Write the journal, whole and on the disk itself: what it says decides whether something is paid for again."""
    with replacing(folder / "state.json") as temporary, open(temporary, "wb") as file:
        file.write(orjson.dumps(asdict(state)))
        file.flush()
        os.fsync(file.fileno())


def _temporary() -> str:
    return f".{socket.gethostname()}@{os.getpid()}.{next(_drafts)}.tmp"
