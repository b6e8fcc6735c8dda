"""``mmevol plan``: requests, tokens, money, time and disk of a study before anything is asked, from a sample of its records."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

from mmevol.config import Run
from mmevol.config.study import Study
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.images import encode
from mmevol.preview.forecast import Assumed, Cell, Cells, Evolver, Forecast, Measured, Place
from mmevol.preview.sample import Sample, Source, sample
from mmevol.preview.wall import Wall, wall
from mmevol.records import SeedRecord
from mmevol.replies import ReplyStore

FIRST, SPREAD = 32, 96
"""Records of the sample: the first in hash order, which a preview or pilot has asked about, and others from everywhere."""
OFF = {"input": 0.2, "output": 0.5}
"""By how much, as a share, tokens may be off where nobody has counted them."""
OFF_REQUESTS = 0.1
"""By how much the number of requests may be off: how many replies are unusable and how often the blind check asks is assumed."""
NORMAL = 1.96
"""Standard errors of a 95 % interval."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Plan:
    """What a run of the study will take. ``taken``: records by evolution. ``cells``: sums by place; the others are totals of
    what is still to be asked. ``hours``: time on so many `machines`, in batch mode an upper bound; ``wall``: what it is made of."""

    study: Study
    population: float
    sampled: int
    taken: dict[str, float]
    survivors: dict[str, list[float]]
    cells: Cells
    requests: Interval
    input: Interval
    output: Interval
    money: Interval
    hours: Interval
    wall: Wall
    machines: int
    bytes: float
    measured: dict[str, int] = field(default_factory=dict)

    @property
    def free(self) -> float:
        """Requests that the reply store answers, or that another evolution asks too."""
        return sum(c.free for c in self.cells.values())

    @property
    def rows(self) -> list[tuple[str, str, Cell]]:
        """Place, role and sum, in the study's order; where two endpoints have one role, it names them."""
        endpoints = Counter((p.evolution, p.round, p.role) for p in self.cells)
        return [
            (p.where, f"{p.role} ({p.endpoint})" if endpoints[p.evolution, p.round, p.role] > 1 else p.role, c)
            for p, c in self.cells.items()
        ]

    @property
    def currency(self) -> str:
        """The money's name; several are only named, nothing is converted."""
        names = {self.study.endpoints[place.endpoint].prices.currency for place in self.cells}
        return "/".join(sorted(names)) or "USD"

    @property
    def priced(self) -> bool:
        """Whether the endpoints that are asked have prices."""
        return any(p.input or p.output for p in (self.study.endpoints[place.endpoint].prices for place in self.cells))

    def warnings(self) -> list[str]:
        """Where the study's budget will stop the run."""
        budget = self.study.evolve.budget
        tokens = Interval(*(a + b for a, b in zip(astuple(self.input), astuple(self.output), strict=True)))
        limits = [
            ("requests", budget.requests, self.requests),
            ("tokens", budget.tokens, tokens),
            ("money", budget.money, self.money),
        ]
        return [
            f"evolve.budget.{name} is {limit:,g}: {'that stops the run' if limit < need.low else 'that may stop the run'}"
            f" at about {limit / need.value:.0%}"
            for name, limit, need in limits
            if limit is not None and limit < need.high
        ]

    def assumptions(self) -> list[str]:
        """What the figures rest on, in sentences."""
        seen = ", ".join(f"{task} {n:,}" for task, n in self.measured.items())
        lines = [
            f"From {self.sampled:,} of about {self.population:,.0f} records; the intervals are meant to hold in 95 of 100 cases.",
            f"Tokens as providers counted them in answers of this sample ({seen})."
            if seen
            else "No answers yet: a token is taken as 4 characters, answers as long as they usually are "
            f"(prompts may be off by {OFF['input']:.0%}, answers by {OFF['output']:.0%}). A preview measures both.",
        ]
        if self.requests.value:
            lines.append(
                "Assumed: 5 % of replies are unusable and asked again; 70, 87 and 92 % of candidates survive rounds 1, 2, 3"
                f" (numbers of requests may be off by {OFF_REQUESTS:.0%})."
            )
        if self.wall.batches:
            lines.append(
                f"Batch mode: up to {self.wall.batches:,} batches one after the other, each up to {self.wall.window};"
                " most providers are faster."
            )
        if judge := self.study.evaluate.judge:
            lines.append(f"Not counted: what scoring will ask the benchmark judge (evaluate.judge: {judge}).")
        return lines


def make(study: Study, source: Source, *, latency: Mapping[str, float] | None = None, machines: int = 1) -> Plan:
    """The plan of a study. `latency`: measured seconds an answer, by endpoint. Raises `BadInput` for bad records."""
    chosen = sample(study, source, first=FIRST, spread=SPREAD)
    return asyncio.run(_plan(study, chosen, source, latency or {}, machines))


async def _plan(study: Study, chosen: Sample, source: Source, latency: Mapping[str, float], machines: int) -> Plan:
    looked = Forecast(Assumed())
    await _walk(study, chosen, looked)  # what is in the reply store shows what answers are like
    walked = await _walk(study, chosen, Forecast(Measured.better(Assumed(), looked.measured)))
    taken = _taken(study, chosen, walked)
    shares = {name: chosen.shares(n) for name, n in taken.items()}
    parts = [[(p, c, shares[p.evolution][i]) for p, c in cells.items()] for i, (cells, _) in enumerate(walked)]
    cells: Cells = defaultdict(Cell)
    for place, cell, share in (one for part in parts for one in part):
        cells[place].add(cell, share)
    spread = parts[len(chosen.first) :]
    rest = max(1.0, max(taken.values()) - len(chosen.first))
    missed = sqrt(max(0.0, 1 - len(spread) / rest))
    guess = {place: (c.guessed / c.asked if c.asked else 0.0) for place, c in cells.items()}

    def total(of: Callable[[Cell], float], off: Callable[[Place, Cell], float]) -> Interval:
        value = sum(of(c) for c in cells.values())
        drawn = [sum(share * of(c) for _, c, share in part) for part in spread]
        error = NORMAL * stdev(drawn) * sqrt(len(drawn)) * missed if len(drawn) > 1 else 0.0
        assumed = OFF_REQUESTS * value + sum(guess[p] * off(p, c) for p, c in cells.items())
        error = sqrt(error**2 + assumed**2)
        return Interval(value, max(0.0, value - error), value + error)

    def money_off(p: Place, c: Cell) -> float:
        prices = study.endpoints[p.endpoint].billed().prices
        return (c.input * OFF["input"] * prices.input + c.output * OFF["output"] * prices.output) / 1e6

    requests = total(lambda c: c.asked, lambda p, c: 0.0)
    order = {name: i for i, name in enumerate(["", *study.evolve.evolutions])}
    time = wall(study, cells, taken, latency, machines)
    return Plan(
        study=study,
        population=chosen.population,
        sampled=len(walked),
        taken={name: n for name, n in taken.items() if name},
        survivors={name: _survivors(walked, name, shares[name]) for name in study.evolve.evolutions},
        cells=dict(sorted(cells.items(), key=lambda item: (order[item[0].evolution], item[0]))),
        requests=requests,
        input=total(lambda c: c.input, lambda p, c: c.input * OFF["input"]),
        output=total(lambda c: c.output, lambda p, c: c.output * OFF["output"]),
        money=total(lambda c: c.money, money_off),
        hours=_hours(time, requests, 0.5 if latency else 1.0),
        wall=time,
        machines=machines,
        bytes=sum(c.size for c in cells.values()) + _image_bytes(study, chosen, source, max(taken.values())),
        measured={task: m.answers for task, m in sorted(looked.measured.items())},
    )


Walked = list[tuple[Cells, dict[str, list[int]]]]
"""For each record of the sample what it takes, and by evolution how many of its Q&A survive each round."""


async def _walk(study: Study, chosen: Sample, forecast: Forecast) -> Walked:
    facts = Run(connections={name: e.connection() for name, e in study.endpoints.items()})
    async with Clients(facts) as clients:
        with ReplyStore(range(256), job="plan") as store:
            known = {name: clients.client(name, study.identity(name)) for name in study.endpoints}
            evolver = Evolver(study, forecast, known, store)
            return [await evolver.record(record) for record in chosen.records]


def _survivors(walked: Walked, evolution: str, shares: list[float]) -> list[float]:
    """How many Q&A survive each round."""
    rounds: Counter[int] = Counter()
    for (_, survivors), share in zip(walked, shares, strict=True):
        rounds.update({r: share * n for r, n in enumerate(survivors.get(evolution, []))})
    return [rounds[r] for r in sorted(rounds)]


def _taken(study: Study, chosen: Sample, walked: Walked) -> dict[str, float]:
    """How many records are curated (under '') and evolved, by evolution: all, or so many that the target is reached."""
    everybody = dict.fromkeys(["", *study.evolve.evolutions], chosen.population)
    if target := study.evolve.target:
        for name, e in study.evolve.evolutions.items():
            as_ = e.calls.same_as if e.calls else name
            survivors = sum(_survivors(walked, as_, chosen.shares(chosen.population))[:1])
            if survivors > target.survivors:
                everybody[name] *= target.survivors / survivors
    return everybody


def _hours(time: Wall, requests: Interval, slow: float) -> Interval:
    """Wall time; besides the requests, an answer may take longer or shorter by the share `slow`. Batches count as long as they
    may take, and at the low end not at all."""
    hours, late = time.seconds / 3600, time.batch_hours
    off = (requests.high / requests.value - 1 if requests.value else 0.0) + slow
    return Interval(hours + late, hours / (1 + off), hours * (1 + off) + late)


def _image_bytes(study: Study, chosen: Sample, source: Source, taken: float) -> float:
    """Bytes of all pictures as they will be kept, once an endpoint's size."""
    sides = {e.image_side for e in study.endpoints.values() if e.sees_images}
    some = [r for r in chosen.records if r.image][:16]
    if not some or not source.images:
        return 0.0
    each = sum(fmean(_encoded(source.images, r, side) for r in some) for side in sides)
    pictured = sum(share for r, share in zip(chosen.records, chosen.shares(taken), strict=True) if r.image)
    return each * pictured


def _encoded(images: Path, record: SeedRecord, side: int) -> int:
    assert record.image
    return len(encode(images / record.image, side))
