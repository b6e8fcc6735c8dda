"""The evolution round by round: what was sent, what became of it and why, how hard and how rich the survivors are."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmevol.config.publish import RoundsSettings
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table
from mmevol.publish.versions import judged_difficulty
from mmevol.records import DIRECTIONS, Reason
from mmevol.store import read_dicts

_CANDIDATE = ["parent.id", "parent.record", "version.id", "version.qa.skills", "version.qa.steps", "verdicts"]
NOT_EXECUTABLE = "not_executable"
"""What the embedded teacher's judge says of a question that is outside its grammar."""


@dataclass
class Round:
    """What is counted of one round over all shards. Sums and ``known`` are over survivors; in round 0 over the seeds.

    ``sent_by``, ``survived_by``: by direction. ``known``: survivors with a difficulty. ``unreadable``: candidates that the
    embedded teacher could not execute, None where another model judged. ``curated``: parents sent whose record was curated.
    """

    evolution: str
    number: int
    sent: int = 0
    survived: int = 0
    eliminated: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    sent_by: Counter[str] = field(default_factory=Counter)
    survived_by: Counter[str] = field(default_factory=Counter)
    qas: int = 0
    skills: int = 0
    steps: int = 0
    known: int = 0
    difficulty: float = 0.0
    candidates: int = 0
    unreadable: int | None = None
    curated: int = 0

    def add_ledger(self, ledger: dict[str, Any]) -> None:
        """Count one shard's ledger in."""
        self.sent += ledger["sent"]
        self.survived += ledger["survived"]
        for name in ("eliminated", "failed", "requests"):
            getattr(self, name).update(ledger[name])

    def add_candidate(self, row: dict[str, Any], survived: bool, curated: bool) -> None:
        """Count one candidate (or failed try) in."""
        self.curated += curated
        if row["version"] is None:
            return
        self.candidates += 1
        verdicts = row["verdicts"]
        if any(v["judge"].startswith("symbolic") for v in verdicts):
            self.unreadable = (self.unreadable or 0) + any(NOT_EXECUTABLE in v["reason"] for v in verdicts)
        if not survived:
            return
        self.qas += 1
        self.skills += len(row["version"]["qa"]["skills"])
        self.steps += len(row["version"]["qa"]["steps"])
        if (value := judged_difficulty(verdicts)) is not None:
            self.known += 1
            self.difficulty += value

    def check(self) -> None:
        """Raise `AssertionError` where the ledger does not close."""
        ends = self.survived + self.eliminated.total() + self.failed.total()
        assert self.sent == ends, f"{self.evolution}, round {self.number}: {self.sent} sent, {ends} accounted for"


def curated_records(shard: Path) -> set[str]:
    """Keys of a shard's records whose Q&A were written in the curation step."""
    return {row["key"] for row in read_dicts(shard, ["key", "curated"]) if row["curated"]}


def read_round(evolution: str, number: int, *, folder: Path, seeds: Sequence[Path]) -> Round:
    """Count a round from ``folder/{candidates,ledger}``; `seeds` are the shards in order. Round 0 has no ledger."""
    found = Round(evolution, number)
    for shard, records in enumerate(seeds):
        curated = curated_records(records)
        candidates = read_dicts(folder / "candidates" / f"{shard}.parquet", _CANDIDATE)
        if number == 0:
            for row in candidates:
                found.add_candidate(row, survived=True, curated=row["parent"]["record"] in curated)
            continue
        found.add_ledger(json.loads((folder / "ledger" / f"{shard}.json").read_text(encoding="utf-8")))
        outcomes = read_dicts(folder / "ledger" / f"{shard}.parquet", ["parent", "direction", "outcome"])
        for row, outcome in zip(candidates, outcomes, strict=True):
            assert row["parent"]["id"] == outcome["parent"], f"{folder}: candidates and ledger differ in shard {shard}"
            survived = outcome["outcome"] == "survived"
            found.sent_by[outcome["direction"]] += 1
            found.survived_by[outcome["direction"]] += survived
            found.add_candidate(row, survived, row["parent"]["record"] in curated)
    found.check()
    return found


def share(part: float, whole: int) -> float | None:
    """A share, None of nothing."""
    return part / whole if whole else None


def _ordered(names: Iterable[str], first: Sequence[str] = ()) -> list[str]:
    known = set(names)
    return [n for n in first if n in known] + sorted(known - set(first))


def quantities(rounds: Sequence[Round]) -> Iterator[tuple[str, list[Cell]]]:
    """Each quantity of the table with its value in every round, in the order in which it is read."""
    reasons = [str(r) for r in Reason]

    def each(value: Any) -> list[Cell]:
        return [value(r) if r.number else None for r in rounds]

    yield "sent", each(lambda r: r.sent)
    yield "survived", each(lambda r: r.survived)
    yield "yield", each(lambda r: share(r.survived, r.sent))
    for name in ("eliminated", "failed"):
        yield name, each(lambda r, name=name: getattr(r, name).total())
        for reason in _ordered((key for r in rounds for key in getattr(r, name)), reasons):
            yield f"{name}: {reason}", each(lambda r, name=name, reason=reason: getattr(r, name)[reason])
    for direction in _ordered((d for r in rounds for d in r.sent_by), DIRECTIONS):
        yield f"sent: {direction}", each(lambda r, d=direction: r.sent_by[d])
        yield f"yield: {direction}", each(lambda r, d=direction: share(r.survived_by[d], r.sent_by[d]))
    yield "difficulty", [share(r.difficulty, r.known) for r in rounds]
    yield "skills", [share(r.skills, r.qas) for r in rounds]
    yield "steps", [share(r.steps, r.qas) for r in rounds]
    yield (
        "not executable",
        [None if r.unreadable is None else share(r.unreadable, r.candidates) for r in rounds],
    )
    yield "curated", [share(r.curated, r.sent if r.number else r.candidates) for r in rounds]
    for task in _ordered(key for r in rounds for key in r.requests):
        yield f"requests: {task}", each(lambda r, task=task: r.requests[task])


NOTES = (
    "Sent = survived + eliminated + failed, checked. Failed: no structurally valid candidate after the content attempts. "
    "Eliminated: a valid candidate turned down by verdicts or as a near-duplicate; its parent is tried again in the next round.",
    "Yield is survived / sent. Difficulty (the judge's, 0 to 10), skills and steps are means over the round's survivors; round 0 "
    "are the seeds, judged against themselves.",
    "Not executable: share of candidates whose text is outside the grammar of the symbolic judge; – where another model judged. "
    "Curated: share of what was sent that comes from records whose Q&A were written from a caption.",
    "Requests are those that the round consists of, whether asked or found in the reply store.",
)


def rounds_tables(rounds: Sequence[Round]) -> tuple[Table, Table]:
    """The table to compute with (a row a round) and the one to read (a column a round)."""
    found = list(quantities(rounds))
    data = Table(
        "The evolution round by round",
        ["evolution", "round", *(name for name, _ in found)],
        [[r.evolution, r.number, *(values[i] for _, values in found)] for i, r in enumerate(rounds)],
        NOTES,
    )
    one = len({r.evolution for r in rounds}) == 1
    heads = [f"round {r.number}" if one else f"{r.evolution}, round {r.number}" for r in rounds]
    shown = Table(
        f"The evolution {rounds[0].evolution} round by round" if one else data.title,
        ["", *heads],
        [[name.replace(": ", " · "), *values] for name, values in found],
        NOTES,
    )
    return data, shown


def rounds(settings: RoundsSettings, *, shards: list[Path], evolve: Path, out: Path) -> None:
    """`mmevol publish rounds`: write the table `out` (path without suffix).

    `shards`: the seeds, a file a shard in order; `evolve`: the folder of all evolutions. Streams; raises `AssertionError` where a
    ledger does not close.
    """
    folders = [
        (name, n, evolve / name / f"round_{n}") for name, numbers in settings.evolutions.items() for n in numbers
    ]
    found = [read_round(name, n, folder=folder, seeds=shards) for name, n, folder in folders]
    written = write_table(out, *rounds_tables(found))
    parts = [f"{part}/{i}" for part in ("candidates", "ledger") for i in range(len(shards))]
    read = [folder / f"{part}.parquet" for _, _, folder in folders for part in parts]
    usage = [folder / "usage" / f"{i}.json" for _, _, folder in folders for i in range(len(shards))]
    record(
        out,
        outputs=written,
        inputs=[*shards, *(path for path in read if path.exists())],
        settings=settings,
        usage=[path for path in usage if path.exists()],
    )
