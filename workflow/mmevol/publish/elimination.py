"""How well the gates work: planted faults against outcomes. A conformance test of the gates, not a property of real models."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mmevol.config.publish import RoundsSettings
from mmevol.publish.intervals import wilson
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table
from mmevol.store import read_dicts


class Tried(NamedTuple):
    """One item of one reply: the ``fault`` planted in it ('' none), what became of it and why.

    ``outcome``: ``rejected`` by the structural gate (and asked again), ``failed``, ``eliminated`` or ``survived``.
    """

    fault: str
    outcome: str
    reason: str


COLUMNS = ("of", "name", "n", "rejected", "eliminated", "survived", "share", "low", "high")

NOTES = (
    "A conformance test of the gates: the embedded teacher plants faults in its replies at known rates, by code that shares "
    "nothing with what detects them, and which item of which reply got which is recomputed afterwards.",
    "Counted is every item of every reply: what the structural gate rejects is asked again and counts anew.",
    "Recall: the share of items with that fault that did not survive. Precision: the share of those stopped for that reason "
    "that carried a planted fault; the others were turned down on their merits (an easy question, a near-duplicate, a copy).",
    "False alarms: the share of items without a fault that were stopped. Intervals: Wilson, 95 %.",
)


def elimination_table(tried: Iterable[Tried]) -> Table:
    """Recall by fault, false alarms, precision by reason. Rejected and failed are one column.

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
    ends = [counts["rejected"] + counts["failed"], counts["eliminated"], counts["survived"]]
    n = sum(ends)
    hits = ends[0] + ends[1] if stopped else counts["planted"]
    low, high = wilson(hits, n) or (None, None)
    return [of, name, n, *ends, hits / n if n else None, low, high]


def elimination(settings: RoundsSettings, *, evolve: Path, out: Path) -> None:
    """`mmevol publish elimination`: write the table `out` (path without suffix) over all evolutions below `evolve`.

    Reads ``<evolution>/faults.parquet`` (fault, outcome and reason of every item and attempt); streams.
    """
    files = [evolve / name / "faults.parquet" for name in settings.evolutions]
    rows = (row for path in files for row in read_dicts(path, ["fault", "outcome", "reason"]))
    written = write_table(out, elimination_table(Tried(r["fault"], r["outcome"], r["reason"]) for r in rows))
    record(out, outputs=written, inputs=files, settings=settings)
