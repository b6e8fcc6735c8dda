"""What a shard has spent of the study's budget before a job begins: a hard stop counts over jobs and runs, or it is none."""

import json
from pathlib import Path

Spent = dict[str, float]
"""``requests``, ``tokens`` and ``money``, by the names of `config.Budget`."""
NOTHING: Spent = {"requests": 0, "tokens": 0, "money": 0.0}


def spent_before(usage: Path) -> Spent:
    """What the shard of a job's `usage` file has spent in all its runs: this job's earlier ones, and those of its neighbours, which
    are curation and every round of every evolution below the same results."""
    file = usage.with_suffix(".runs.json")
    root = _results_of(usage)
    patterns = (f"seeds/usage/{file.name}", f"evolve/*/round_*/usage/{file.name}")
    neighbours = [path for pattern in patterns for path in root.glob(pattern)] if root else []
    files = {*neighbours, *([file] if file.exists() else [])}
    rows = [row for path in files for run in json.loads(path.read_text()) for row in run["endpoints"]]
    return {
        "requests": sum(row["asked"] for row in rows),
        "tokens": sum(row["input_tokens"] + row["output_tokens"] for row in rows),
        "money": sum(row["money"] for row in rows),
    }


def _results_of(usage: Path) -> Path | None:
    """The study's results around ``evolve/<evolution>/round_<n>/usage/<shard>.json`` or ``seeds/usage/<shard>.json``."""
    above = list(usage.parents)
    if len(above) > 4 and above[3].name == "evolve":
        return above[4]
    return above[2] if len(above) > 2 and above[1].name == "seeds" else None
