"""What the endpoints were asked and what it cost, step by step: facts of the runs, so the table lies in ``usage/``.

Runs that an outage or a kill ended are in it, and so is what was asked again since; what came from the reply store cost nothing.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmevol.config.publish import CostSettings
from mmevol.endpoint.usage import added
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table

COUNTED = ("asked", "from_store", "input_tokens", "cached_tokens", "output_tokens", "money")
COLUMNS = ("step", "endpoint", "model", *(name.replace("_", " ") for name in COUNTED), "currency", "errors")


def steps(settings: CostSettings, root: Path) -> Iterator[tuple[str, list[Path]]]:
    """Name and usage files of every step that asks an endpoint. `root`: the study's results."""
    folders = {"curation": root / "seeds"} if settings.curated else {}
    for name, rounds in settings.evolutions.items():
        folders |= {
            f"{name}, round {n}" if n else f"{name}, seeds judged": root / "evolve" / name / f"round_{n}"
            for n in rounds
        }
    for step, folder in folders.items():
        yield step, [folder / "usage" / f"{shard}.json" for shard in range(settings.shards)]
    for name in settings.answered:
        yield f"{name}, benchmarks answered", [root / "evaluate" / name / "seed_0" / "usage.json"]
    scores = [
        (b, root / "evaluate" / arm / f"seed_{k}" / b / "usage" / f"{r}.json") for arm, k, b, r in settings.scored
    ]
    for benchmark in dict.fromkeys(b for b, _ in scores):
        yield f"scoring {benchmark}", [path for b, path in scores if b == benchmark]
    if settings.rescored:
        yield "scoring without overlaps", [root / "evaluate" / "contamination" / "usage.json"]


def cost_table(read: dict[str, list[dict[str, Any]]]) -> Table:
    """A row a step and endpoint, then the sum of each currency. `read`: the usage of every job, by step."""
    jobs = [job for of in read.values() for job in of]
    told = {step: [row for job in of for row in job["endpoints"]] for step, of in read.items()}
    parts = {step: added(row for row in rows if row["asked"] or row["from_store"]) for step, rows in told.items()}
    sums = added(
        {"currency": row["currency"], "errors": row["errors"], **{k: row[k] for k in COUNTED}}
        for of in parts.values()
        for row in of
    )
    rows = [_cells(step, row) for step, of in parts.items() for row in of] + [_cells("all", row) for row in sums]
    seconds, runs = sum(job["seconds"] for job in jobs), sum(job["runs"] for job in jobs)
    notes = [
        f"{len(jobs)} jobs in {runs} runs, together {seconds / 3600:.2f} hours. Runs that ended early count with what they asked.",
        "Asked: complete answers that were paid for; from store: answers that had been paid for. Input tokens hold the cached.",
        "Errors: failed sendings by kind, never data, and answers that were truncated, filtered or refused.",
    ]
    return Table("What the endpoints cost", COLUMNS, rows, notes, decimals=4)


def _cells(step: str, row: dict[str, Any]) -> list[Cell]:
    errors = ", ".join(f"{kind} × {n}" for kind, n in Counter(row["errors"]).most_common())
    who = (row.get("endpoint", ""), row.get("model", ""))
    return [step, *who, *(row[name] for name in COUNTED), row["currency"], errors]


def cost(settings: CostSettings, *, root: Path, out: Path) -> None:
    """`mmevol publish cost`: write the table `out` (path without suffix). `root`: ``results/<study>``."""
    files = dict(steps(settings, root))
    read = {step: [json.loads(path.read_text(encoding="utf-8")) for path in paths] for step, paths in files.items()}
    written = write_table(out, cost_table(read))
    record(out, outputs=written, inputs=[path for paths in files.values() for path in paths], settings=settings)
