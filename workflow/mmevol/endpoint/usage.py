"""What a job asked and what it cost: facts of its runs, added up over all of them, also those that an outage or a kill ended.

``usage/<shard>.json`` is what the cost table reads: the sum. Beside it stands ``<shard>.runs.json``, a row a run, written again and
again while the run goes on, so that a killed one is missing its last seconds at most. It is no declared output, since Snakemake
removes those of a job that failed.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmevol.config import Prices
from mmevol.endpoint.response import Answer
from mmevol.store import write_json

WHO = ("endpoint", "model", "currency")
"""What of a row is no number."""


@dataclass
class Usage:
    """What one endpoint was asked. ``waited``: seconds that the answers took, added up. ``errors``: failed sendings by kind, and
    answers that were cut, filtered or refused."""

    asked: int = 0
    from_store: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    waited: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)

    def count(self, answer: Answer) -> None:
        """Add a complete answer."""
        self.asked += 1
        self.input_tokens += answer.input_tokens
        self.cached_tokens += answer.cached_tokens
        self.output_tokens += answer.output_tokens
        self.reasoning_tokens += answer.reasoning_tokens
        if answer.refusal:
            self.errors["refusal"] += 1
        elif answer.finish != "stop":
            self.errors["truncated" if answer.finish == "length" else answer.finish] += 1

    def money(self, prices: Prices) -> float:
        """In the price table's currency."""
        fresh = self.input_tokens - self.cached_tokens
        return (fresh * prices.input + self.cached_tokens * prices.cached + self.output_tokens * prices.output) / 1e6

    def row(self, endpoint: str, model: str, prices: Prices) -> dict[str, Any]:
        """As it stands in a usage file."""
        who = {"endpoint": endpoint, "model": model, "currency": prices.currency}
        return {**who, **vars(self), "errors": dict(self.errors), "money": self.money(prices)}


def added(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of usage files summed by endpoint, model and currency, in the order of their first."""
    sums: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        who = {k: row[k] for k in WHO if k in row}
        total = sums.setdefault(tuple(who.get(k, "") for k in WHO), {**who, "errors": Counter()})
        for name, value in row.items():
            if name == "errors":
                total["errors"].update(value)
            elif name not in who:
                total[name] = total.get(name, 0) + value
    return list(sums.values())


class Runs:
    """The runs of one job: those before this one, and this one as it goes on."""

    def __init__(self, path: Path) -> None:
        self.path, self._file = path, path.with_suffix(".runs.json")
        self._before: list[dict[str, Any]] = json.loads(self._file.read_text()) if self._file.exists() else []
        self._began = time.monotonic()

    def tell(self, rows: list[dict[str, Any]], end: str = "") -> None:
        """Write what this run has asked so far. `end`: how it ended; '' while it runs (and ever after, if it was killed)."""
        now = {"endpoints": rows, "seconds": round(time.monotonic() - self._began, 3), "end": end}
        runs = [*self._before, now]
        write_json(self._file, runs)
        if end:
            of = added(row for run in runs for row in run["endpoints"])
            write_json(self.path, {"endpoints": of, "seconds": sum(run["seconds"] for run in runs), "runs": len(runs)})
