"""How long a run will take: what the limits of its endpoints let through, and how many batches come one after the other."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import ceil, inf
from typing import Any

from mmevol.config import Endpoint
from mmevol.config.study import Study
from mmevol.preview.forecast import Cell, Cells, Place
from mmevol.records import BadInput

LATENCY = (1.0, 0.02)
"""Seconds until an answer is complete: at rest, and more for each token of it. Assumed; a preview measures."""
EMBEDDED = 0.006
"""CPU-seconds that a request to the embedded teacher takes, its client's included."""
HOURS = {"m": 1 / 60, "h": 1.0, "d": 24.0}


@dataclass(frozen=True)
class Wall:
    """``seconds`` that the slowest server needs online, and which endpoint's which limit it is (``held_by``). Besides, up to
    ``batches`` one after the other, each up to ``window``: together at most ``batch_hours``."""

    seconds: float
    held_by: str
    batches: int = 0
    window: str = ""
    batch_hours: float = 0.0


def wall(study: Study, cells: Cells, taken: Mapping[str, float], latency: Mapping[str, float], machines: int) -> Wall:
    """The time of what is still to be asked. `taken`: records by evolution; `latency`: measured seconds an answer, by endpoint."""
    seconds, held_by = _online(study, cells, latency, machines)
    batches, batch_hours, windows = 0, 0.0, {0.0: ""}
    sent = [p for p, c in cells.items() if c.asked > 0 and by_batch(study.endpoints[p.endpoint])]
    for _, same in groupby(sorted(sent), key=lambda p: (p.evolution, p.round, p.role)):
        judges = list(same)  # two are asked at once
        place = max(judges, key=lambda p: _hours(study, p.endpoint))
        hours, asked = _hours(study, place.endpoint), max(cells[p].asked for p in judges)
        waves = min(_waves(study, place, cells, taken), ceil(asked)) * _turns(study, place, cells, taken, machines)
        batches, batch_hours = batches + waves, batch_hours + waves * hours
        windows[hours] = study.endpoints[place.endpoint].batch.window
    return Wall(seconds, "batches" if batches else held_by, batches, windows[max(windows)], batch_hours)


def by_batch(endpoint: Endpoint) -> bool:
    """Whether an endpoint's answers come when its provider has time. The embedded teacher answers a batch at once."""
    return endpoint.mode == "batch" and endpoint.launch is None


def _waves(study: Study, place: Place, cells: Cells, taken: Mapping[str, float]) -> int:
    """How many questions of a record wait for one another at a place, at most."""
    if not place.evolution:
        return study.curate_settings().content_attempts
    evolution = study.evolve.evolutions[place.evolution]
    if evolution.calls:
        return ceil(cells[place].requests / max(1.0, taken[place.evolution]))
    blind = evolution.judge.blind if evolution.judge and place.role == "blind" else None
    return evolution.content_attempts * (blind.draws if blind else 1)


def _turns(study: Study, place: Place, cells: Cells, taken: Mapping[str, float], machines: int) -> int:
    """How often all waves come: once for as many records as a job has under way, and for as many shards as run at once."""
    job = {p.endpoint for p in cells if (p.evolution, p.round) == (place.evolution, place.round)}
    asked = [study.endpoints[name] for name in job]
    width = sum(e.batch.records if e.mode == "batch" else 2 * e.concurrency for e in asked)
    shards = study.evolve.shards
    return ceil(taken[place.evolution] / shards / width) * ceil(shards / min(shards, _cores(machines)))


def _hours(study: Study, endpoint: str) -> float:
    window = study.endpoints[endpoint].batch.window
    if not (found := re.fullmatch(r"(\d+)([mhd])", window)):
        raise BadInput(
            file="the study",
            field=f"endpoints.{endpoint}.batch.window",
            found=window,
            expected="minutes, hours or days: 24h, 7d",
            remedy="write it as the provider's documentation does",
        )
    return int(found[1]) * HOURS[found[2]]


def _cores(machines: int) -> int:
    return machines * (os.cpu_count() or 1)


def _online(study: Study, cells: Cells, latency: Mapping[str, float], machines: int) -> tuple[float, str]:
    """Seconds that the slowest server needs, and what holds it up. Endpoints that are one server and account share its limits."""
    servers: dict[tuple[Any, ...], dict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
    for place, cell in cells.items():
        e = study.endpoints[place.endpoint]
        if not by_batch(e):
            servers[e.base_url, e.model, e.api_key_env, e.concurrency, e.limits][place.endpoint].add(cell)
    bounds: list[tuple[float, str]] = [(0.0, "nothing")]
    for (url, _, _, concurrency, limits), totals in servers.items():
        name, asked = " and ".join(sorted(totals)), sum(c.asked for c in totals.values())
        tokens = sum(c.input + c.output for c in totals.values())
        if url is None:
            bounds.append((asked * EMBEDDED / min(study.evolve.shards, _cores(machines)), "cores"))
            continue
        waited = sum(c.asked * latency.get(n, _latency(c)) for n, c in totals.items())
        bounds.append((waited / (concurrency * machines), f"{name}: concurrency"))
        bounds.append((60 * asked / (limits.requests_per_minute or inf), f"{name}: requests_per_minute"))
        bounds.append((60 * tokens / (limits.tokens_per_minute or inf), f"{name}: tokens_per_minute"))
    return max(bounds)


def _latency(cell: Cell) -> float:
    """Seconds an answer, assumed."""
    return LATENCY[0] + LATENCY[1] * (cell.output / cell.asked if cell.asked else 0.0)
