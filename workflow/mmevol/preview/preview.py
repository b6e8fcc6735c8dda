"""``mmevol preview``: evolve a few records and write one page that shows them, headed with what the whole run will take."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmevol.config.study import Study
from mmevol.preview.page import page
from mmevol.preview.plan import Plan, make
from mmevol.preview.sample import sample, source_of
from mmevol.preview.trial import Trial
from mmevol.records import BadInput
from mmevol.store import write_text


def preview(study: Study, *, n: int, evolution: str | None, out: Path, machines: int = 1) -> Plan:
    """Evolve the first `n` records in hash order and write the page `out`. Returns the plan of the whole run, which knows now
    what answers are like. Raises `BadInput` and `Outage` as the run would."""
    name = _evolution(study, evolution)
    with source_of(study) as source, TemporaryDirectory(prefix="mmevol-preview-") as folder:
        records = sample(study, source, first=n).first
        trial, began = Trial(study, name, source, Path(folder)), time.monotonic()
        tried = trial.run(records)
        seconds = time.monotonic() - began
        plan = make(study, source, latency=latency(trial.usage()), machines=machines)
        write_text(out, page(study, name, tried, plan, trial.usage(), seconds, source.images))
    return plan


def _evolution(study: Study, name: str | None) -> str:
    rewriting = [n for n, e in study.evolve.evolutions.items() if e.from_ == "seeds"]
    if not rewriting or (name is not None and name not in rewriting):
        raise BadInput(
            file="--evolution" if name else "the study",
            field="evolve.evolutions",
            found=name or "no evolution that rewrites seeds",
            expected=f"one of: {', '.join(rewriting) or '(none defined)'}",
            remedy="name an evolution of the study that rewrites seeds",
        )
    return name or rewriting[0]


def latency(usage: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds until an answer was complete, by endpoint; of endpoints that were asked."""
    waited: dict[str, list[float]] = {}
    for row in (row for job in usage for row in job["endpoints"]):
        sums = waited.setdefault(row["endpoint"], [0.0, 0])
        sums[0] += row.get("waited", 0.0)
        sums[1] += row["asked"]
    return {name: total / asked for name, (total, asked) in waited.items() if asked and total}
