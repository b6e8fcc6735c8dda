"""What the gates did with the faults that the embedded teacher planted: a conformance test of the gates.

The teacher says afterwards, from the requests alone, which item of which reply it spoiled (``mmevol teacher faults``). Here that is
joined with what became of each item: turned down by the structural gate and asked again, eliminated, or survived.
"""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from mmevol.evolve.ask import tries_of
from mmevol.records import Outcome
from mmevol.store import read_rows, write_rows


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


def rows(faults: Path, outcomes: dict[str, Outcome], tries: Path) -> Iterator[dict[str, Any]]:
    """A row an item and attempt: round, parent, direction, attempt, fault ('' none), outcome, reason.

    ``outcome`` is ``rejected`` where the structural gate turned the item down, else that of the parent. `faults` and `tries` tell
    of the same requests in the same order.
    """
    planted = groupby(_lines(faults), key=lambda row: row["key"])
    for one, (key, items) in zip(_lines(tries), planted, strict=True):
        assert key == one["key"], f"{faults} and {tries} tell of different requests"
        fault_of = {item["id"]: item["fault"] or "" for item in items}
        for id_, reason in one["items"].items():
            outcome = outcomes[id_]
            yield {
                "round": outcome.round,
                "parent": id_,
                "direction": outcome.direction,
                "attempt": one["attempt"],
                "fault": fault_of[id_],
                "outcome": "rejected" if reason else outcome.outcome,
                "reason": reason or outcome.reason,
            }


def planted(*, faults: list[Path], candidates: list[Path], ledgers: list[Path], out: Path) -> None:
    """`mmevol evolve planted`: join faults (JSONL of ``mmevol teacher faults``, one a round and shard) with what became of them."""

    def every() -> Iterator[dict[str, Any]]:
        for told, asked, ledger in zip(faults, candidates, ledgers, strict=True):
            outcomes = {o.parent: o for o in read_rows(ledger, "outcome")}
            yield from rows(told, outcomes, tries_of(asked))

    write_rows(out, "planted", every())
