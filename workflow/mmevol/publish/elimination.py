"""How well the gates work: planted faults against outcomes. A conformance test of the gates, not a property of real models."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from mmevol.config.publish import RoundsSettings
from mmevol.publish.intervals import wilson
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table
from mmevol.store import read_dicts


class Tried(NamedTuple):
    """One parent in one round: the ``fault`` planted in the reply that was used ('' none), its outcome and reason."""

    fault: str
    outcome: str
    reason: str


COLUMNS = ("of", "name", "n", "failed", "eliminated", "survived", "share", "low", "high")

NOTES = (
    "A conformance test of the gates: the embedded teacher plants faults in its replies at known rates, by code that shares "
    "nothing with what detects them, and which reply got which is recomputed afterwards.",
    "Recall: the share of replies with that fault that did not survive. Precision: the share of those stopped for that reason "
    "that carried a planted fault; the others were turned down on their merits (an easy question, a near-duplicate, a copy).",
    "False alarms: the share of replies without a fault that were stopped. Intervals: Wilson, 95 %.",
    "A fault that a gate sees is asked again while content attempts last; what stands here is the reply that was used in the end.",
)


def elimination_table(tried: Iterable[Tried]) -> Table:
    """Recall by fault, false alarms, precision by reason.

    Rows are headed by ``of``: ``recall`` (a fault, or `all faults`), ``false alarms`` (`no fault`), ``precision`` (a reason, or
    `all stopped`); ``share`` is that figure, 0 to 1, with its Wilson interval.
    """
    by_fault: dict[str, Counter[str]] = {}
    by_reason: dict[str, Counter[str]] = {}
    for one in tried:
        by_fault.setdefault(one.fault, Counter())[one.outcome] += 1
        if one.outcome != "survived":
            row = by_reason.setdefault(one.reason, Counter())
            row[one.outcome] += 1
            row["planted"] += bool(one.fault)
    faults = {name: by_fault[name] for name in sorted(by_fault) if name}
    clean = by_fault.get("", Counter())

    def rows() -> Iterator[list[Cell]]:
        if faults:
            yield _row("recall", "all faults", sum(faults.values(), Counter()), stopped=True)
        yield from (_row("recall", name, counts, stopped=True) for name, counts in faults.items())
        yield _row("false alarms", "no fault", clean, stopped=True)
        if by_reason:
            yield _row("precision", "all stopped", sum(by_reason.values(), Counter()), stopped=False)
        yield from (_row("precision", name, by_reason[name], stopped=False) for name in sorted(by_reason))

    return Table("The gates against planted faults", COLUMNS, list(rows()), NOTES)


def _row(of: str, name: str, counts: Counter[str], *, stopped: bool) -> list[Cell]:
    ends = [counts["failed"], counts["eliminated"], counts["survived"]]
    n = sum(ends)
    hits = ends[0] + ends[1] if stopped else counts["planted"]
    low, high = wilson(hits, n) or (None, None)
    return [of, name, n, *ends, hits / n if n else None, low, high]


def joined(faults: Path, ledgers: Iterable[Path]) -> Iterator[Tried]:
    """The faults of an evolution (round, parent, fault) joined with the outcomes in its ledgers. Memory: a row a parent sent.

    Raises `AssertionError` where a parent in a ledger has no row among the faults.
    """
    planted = {(row["round"], row["parent"]): row["fault"] for row in read_dicts(faults, ["round", "parent", "fault"])}
    for row in chain.from_iterable(read_dicts(path, ["round", "parent", "outcome", "reason"]) for path in ledgers):
        key = (row["round"], row["parent"])
        assert key in planted, f"{faults}: nothing about parent {key[1]} in round {key[0]}"
        yield Tried(planted[key], row["outcome"], row["reason"])


def elimination(settings: RoundsSettings, *, evolve: Path, out: Path) -> None:
    """`mmevol publish elimination`: write the table `out` (path without suffix) over all evolutions below `evolve`.

    Reads ``<evolution>/faults.parquet`` and ``<evolution>/round_<n>/ledger/<shard>.parquet``.
    """
    shards = [f"{shard}.parquet" for shard in range(settings.shards)]
    files = {
        evolve / name / "faults.parquet": [
            evolve / name / f"round_{n}" / "ledger" / s for n in numbers if n for s in shards
        ]
        for name, numbers in settings.evolutions.items()
    }
    written = write_table(
        out, elimination_table(one for faults, ledgers in files.items() for one in joined(faults, ledgers))
    )
    record(out, outputs=written, inputs=[*files, *chain.from_iterable(files.values())], settings=settings)
