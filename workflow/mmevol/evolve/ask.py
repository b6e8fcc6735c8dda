"""One round of one shard: rewrite every Q&A of the frontier, check, judge. No threshold is applied here.

A record's Q&A that are in the frontier go together, a few a request; the direction is drawn once a record and round. Records
stream through in order of their key, many at a time; what comes out is in that order too, whatever came first over the wire.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import uvloop

from mmevol.config import AskSettings, Run, ScratchSettings
from mmevol.endpoint.ask import Asker, Try, in_order
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.pictures import Pictures
from mmevol.endpoint.prompt import picture_of
from mmevol.evolve import prompts
from mmevol.evolve.blind import answered_blind
from mmevol.evolve.checks import read_candidates
from mmevol.evolve.direction import Direction, direction
from mmevol.evolve.judge import verdicts
from mmevol.evolve.target import last_taken
from mmevol.progress import Heartbeat
from mmevol.records import (
    QA,
    Candidate,
    Frontier,
    Reason,
    SeedRecord,
    Verdict,
    Version,
    canonical,
    fraction,
    qa_id,
)
from mmevol.replies import ReplyStore
from mmevol.store import buckets_of, rank_of, read_dicts, read_rows, replacing, write_json, writing


def draw_direction(weights: dict[str, float], seed: int, record: str, round_: int) -> str:
    """The direction of a record in a round, by weight, from a hash."""
    at = fraction(seed, record, round_, "direction") * sum(weights.values())
    for name, weight in sorted(weights.items()):
        at -= weight
        if at < 0:
            return name
    return max(name for name, weight in weights.items() if weight)


def seed_version(record: SeedRecord, qa: QA) -> Version:
    """The version 0 of a line."""
    id_ = qa_id(record.key, "", 0, "seed", qa)
    return Version(id=id_, line=id_, record=record.key, parent="", round=0, direction="seed", qa=qa)


def seed_versions(record: SeedRecord) -> list[Version]:
    """The record's seed Q&A, equal ones once, sorted by id."""
    return sorted({v.id: v for v in (seed_version(record, qa) for qa in record.qas)}.values(), key=lambda v: v.id)


def records_in(seeds: Path, frontier: Path | None) -> int:
    """How many records `with_frontier` gives."""
    if frontier is None:
        return sum(1 for row in read_dicts(seeds, ["qas.list.element.question"]) if row["qas"])
    return sum(1 for _ in groupby(row["version"]["record"] for row in read_dicts(frontier, ["version.record"])))


def with_frontier(seeds: Path, frontier: Path | None) -> Iterator[tuple[SeedRecord, list[Version]]]:
    """Each record of the shard that has Q&A, with the newest version of every line. Both files are sorted by record key."""
    rows: Iterator[Frontier] = read_rows(frontier, "frontier") if frontier else iter(())
    row = next(rows, None)
    for record in read_rows(seeds, "seed"):
        if frontier is None:
            versions = seed_versions(record)
        else:
            versions = []
            while row and row.version.record == record.key:
                versions.append(row.version)
                row = next(rows, None)
        if versions:
            yield record, versions
    assert row is None, f"{frontier} has record {row.version.record}, {seeds} has it not, or elsewhere"


QA_TOKENS, VERDICT_TOKENS = 400, 150
"""Of a long candidate with its steps, and of a verdict with its reason: what a reply must have room for, an item."""


def qas_together(settings: AskSettings | ScratchSettings) -> int:
    """How many Q&A share a request: as the study says, but no more than the reply's token limits have room for."""
    room = [settings.qas_per_request, settings.evolver_identity.max_tokens // QA_TOKENS]
    if isinstance(settings, AskSettings):
        _, *judges = settings.asked()
        room += [who.max_tokens // VERDICT_TOKENS for _, who in judges]
    return max(1, min(room))


class RoundAsker:
    """What one round does with a record. Evolver and `judges` (none, one or two) may share an endpoint, never an `Asker`."""

    def __init__(self, settings: AskSettings, evolver: Asker, judges: list[Asker]) -> None:
        self.settings, self.evolver, self.judges = settings, evolver, judges
        self.plugins = {p.name: p for p in settings.plugins}

    async def record(self, item: tuple[SeedRecord, list[Version]]) -> tuple[list[Candidate], list[Try]]:
        """The candidates of a record's parents, one row a parent, sorted by parent id, and every attempt of the embedded
        teacher."""
        record, parents = item
        s = self.settings
        name = draw_direction(s.directions, s.seed, record.key, s.round)
        width = qas_together(s)
        chunks = [parents[i : i + width] for i in range(0, len(parents), width)]
        tries: list[Try] | None = [] if s.evolver_identity.provider == "embedded" else None
        done = await asyncio.gather(*(self.chunk(record, chunk, name, tries) for chunk in chunks))
        candidates = sorted((c for part in done for c in part), key=lambda c: c.parent.id)
        return candidates, sorted(tries or (), key=lambda t: t.key)

    async def chunk(
        self, record: SeedRecord, parents: list[Version], name: str, tries: list[Try] | None
    ) -> list[Candidate]:
        """Rewrite some Q&A of a record in one request, then judge what is valid."""
        toward = direction(name, self.plugins.get(name))
        n, attempts = self.settings.round, self.settings.content_attempts
        made, failed = await rewrite(
            self.evolver, record, parents, toward, self.settings, draw=n, attempts=attempts, tries=tries
        )
        said = await self.judged(record, parents, made, toward) if made and self.judges else {}
        return [
            Candidate(
                parent=parent,
                round=self.settings.round,
                direction=name,
                version=made.get(parent.id),
                failed=failed.get(parent.id),
                verdicts=said.get(parent.id, []),
                prompt=toward.prompt,
                model=self.evolver.client.identity.model,
            )
            for parent in parents
        ]

    async def judged(
        self, record: SeedRecord, parents: list[Version], made: dict[str, Version], toward: Direction
    ) -> dict[str, list[Verdict]]:
        """The verdicts of the judges and the blind check, by parent id."""
        settings, attempts = self.settings.judge, self.settings.content_attempts
        assert settings
        before = {p.id: p.qa for p in parents}
        if settings.compare_with == "seed":
            seeds = {v.line: v.qa for v in seed_versions(record)}
            before = {p.id: seeds[p.line] for p in parents}
        pairs = [(made[p.id].id, made[p.id].qa, before[p.id]) for p in parents if p.id in made]
        picture = picture_of(record, self.settings.images_root)
        aim = (toward.name, toward.base)
        by_id: dict[str, list[Verdict]] = {}
        for said in await asyncio.gather(
            *(verdicts(judge, settings, record, picture, aim, pairs, attempts=attempts) for judge in self.judges)
        ):
            for id_, some in said.items():
                by_id.setdefault(id_, []).extend(some)
        if settings.blind:
            draws = settings.blind.draws
            checks = await asyncio.gather(
                *(answered_blind(self.judges[0], v, draws=draws, attempts=attempts) for v in made.values())
            )
            for version, verdict in zip(made.values(), checks, strict=True):
                if verdict and version.id in by_id:
                    by_id[version.id].append(verdict)
        return {parent: by_id[version.id] for parent, version in made.items() if version.id in by_id}


async def rewrite(
    asker: Asker,
    record: SeedRecord,
    parents: list[Version],
    toward: Direction,
    settings: AskSettings | ScratchSettings,
    *,
    draw: int,
    attempts: int,
    tries: list[Try] | None = None,
) -> tuple[dict[str, Version], dict[str, Reason]]:
    """Ask for a candidate of each parent: the structurally valid ones by parent id, and why the others have none."""
    by_id, data = {p.id: p for p in parents}, toward.data(settings.seed, record.key, draw)
    picture = picture_of(record, settings.images_root)
    size = picture.sent(settings.evolver_identity) if picture else None

    def prompt(ids: Any, errors: tuple[str, ...]) -> Any:
        return prompts.evolve(record, picture, [by_id[i] for i in ids], toward, data, errors)

    read = partial(read_candidates, record=record, direction=toward, checks=settings.checks, size=size)
    found, failed = await asker.items(
        [p.id for p in parents], prompt, read, record=record.key, attempts=attempts, draw=draw, tries=tries
    )
    made = {
        i: Version(
            id=qa_id(record.key, i, draw, toward.name, qa),
            line=by_id[i].line,
            record=record.key,
            parent=i,
            round=draw,
            direction=toward.name,
            qa=qa,
        )
        for i, qa in found.items()
    }
    return made, failed


class SeedJudge(RoundAsker):
    """Round 0: the seeds judged against themselves, which gives the difficulty of version 0."""

    async def chunk(
        self, record: SeedRecord, parents: list[Version], name: str, tries: list[Try] | None
    ) -> list[Candidate]:
        """Judge seed Q&A as they are."""
        settings, attempts = self.settings.judge, self.settings.content_attempts
        assert settings
        picture = picture_of(record, self.settings.images_root)
        pairs = [(p.id, p.qa, p.qa) for p in parents]
        by_id = await verdicts(self.judges[0], settings, record, picture, ("seed", ""), pairs, attempts=attempts)
        return [
            Candidate(
                parent=p, round=0, direction="seed", version=p, failed=None, verdicts=by_id.get(p.id, []), model="seed"
            )
            for p in parents
        ]


def tries_of(candidates: Path) -> Path:
    """Where the attempts behind a candidates file stand, one JSON line each; empty unless the evolver is the embedded teacher,
    whose planted faults are found again by them."""
    return candidates.with_suffix(".tries.jsonl")


def requests_of(askers: list[Asker]) -> dict[str, int]:
    """How many answers a job's data rest on, by task; a second judge's are counted apart."""
    counted = sum((asker.requests for asker in askers[:2]), Counter[str]())
    return dict(counted) | {f"second {task}": n for asker in askers[2:] for task, n in asker.requests.items()}


def parents_of(settings: AskSettings, seeds: Path, frontier: Path | None) -> Iterator[tuple[SeedRecord, list[Version]]]:
    """What a round asks about: each record with its parents. Round 0 judges seeds, of the records in `frontier` if it is given."""
    pairs = with_frontier(seeds, frontier)
    return ((record, seed_versions(record)) for record, _ in pairs) if settings.round == 0 else pairs


async def _taken(
    settings: AskSettings, seeds: Path, worker: RoundAsker, share: int, width: int, survived: Callable[[int], None]
) -> Iterator[tuple[SeedRecord, list[Version]]]:
    """The records that a shard with a target takes. They have been asked about; the counts begin anew."""
    assert settings.elimination
    last = await last_taken(
        lambda: with_frontier(seeds, None),
        worker.record,
        seed=settings.seed,
        share=share,
        elimination=settings.elimination,
        width=width,
        survived=survived,
    )
    for asker in (worker.evolver, *worker.judges):
        asker.requests.clear()
    return (pair for pair in with_frontier(seeds, None) if rank_of(settings.seed, pair[0].key) <= last)


async def _ask(
    settings: AskSettings,
    run: Run,
    *,
    shard: int,
    seeds: Path,
    frontier: Path | None,
    out: Path,
    usage: Path,
    buckets: list[int] | None,
) -> None:
    job = f"evolve/{out.parent.parent.parent.name}/round_{settings.round}/{shard}"
    share = settings.target.share(shard, settings.shards) if settings.target else None
    total = records_in(seeds, frontier) if share is None else share
    unit = "records" if share is None else "survivors"
    mine = buckets_of(shard, settings.shards) if buckets is None else buckets
    with (
        Heartbeat(run, job=job, total=total, unit=unit) as beat,
        ReplyStore(mine, job=job, on_wait=beat.waits) as store,
    ):
        async with Clients(run, settings.shards, usage=usage, beat=beat) as clients:
            pictures = Pictures(store)
            askers = [Asker(clients.client(name, who), store, pictures) for name, who in settings.asked()]
            worker = (SeedJudge if settings.round == 0 else RoundAsker)(settings, askers[0], askers[1:])
            width = clients.width()
            with (
                writing(out, "candidate") as add,
                replacing(tries_of(out)) as temporary,
                open(temporary, "w", encoding="utf-8") as log,
            ):
                parents = parents_of(settings, seeds, frontier)
                if share is not None:
                    parents = await _taken(settings, seeds, worker, share, width, beat.advance)
                async for candidates, tries in in_order(parents, worker.record, width):
                    for candidate in candidates:
                        add(candidate)
                    log.writelines(canonical(asdict(t) | {"request": orjson.loads(t.request)}) + "\n" for t in tries)
                    beat.advance(1 if share is None else 0)
            if share is not None:  # all that was written came from the store a moment after it was asked
                for asker in askers:
                    asker.client.usage.from_store -= asker.requests.total()
            write_json(out.with_suffix(".json"), {"requests": requests_of(askers)})


def ask(
    settings: AskSettings,
    run: Run,
    *,
    shard: int,
    seeds: Path,
    frontier: Path | None,
    out: Path,
    usage: Path,
    buckets: list[int] | None = None,
) -> None:
    """`mmevol evolve ask`: see the module. Writes `out` (Parquet), its ``.json`` with request counts, and `usage`. `buckets`:
    those of its records, where it is known that they are fewer than the shard's."""
    uvloop.run(_ask(settings, run, shard=shard, seeds=seeds, frontier=frontier, out=out, usage=usage, buckets=buckets))
