"""The control without evolution: as many calls as another evolution made, all spent on fresh Q&A.

A shard's calls are dealt to its records evenly, the first records in order getting one more. Each call is a draw of its own and
stands as a round in the lineage; it is not tried again. There is no judge; a Q&A that a record already has goes as a duplicate.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import uvloop

from mmevol.config import Run, ScratchSettings
from mmevol.endpoint.ask import Asker, in_order
from mmevol.endpoint.clients import Clients
from mmevol.evolve.ask import qas_together, rewrite, with_frontier
from mmevol.evolve.direction import direction
from mmevol.evolve.eliminate import closed, text_of
from mmevol.progress import Heartbeat
from mmevol.records import Candidate, Outcome, Reason, SeedRecord, Version
from mmevol.replies import ReplyStore
from mmevol.store import buckets_of, write_json, writing

Row = tuple[Candidate, Outcome]


def calls_of(ledgers: list[Path]) -> int:
    """How many answers the rounds of an evolution rest on in this shard."""
    return sum(sum(json.loads(path.read_text())["requests"].values()) for path in ledgers)


def dealt(seeds: Path, calls: int) -> Iterator[tuple[SeedRecord, list[Version], int]]:
    """Each record with the number of calls that it gets."""
    records = sum(1 for _ in with_frontier(seeds, None))
    for place, (record, parents) in enumerate(with_frontier(seeds, None)):
        yield record, parents, calls // records + (place < calls % records)


async def fresh(
    asker: Asker, settings: ScratchSettings, record: SeedRecord, parents: list[Version], calls: int
) -> list[Row]:
    """The rows of a record: in each call, the seed Q&A name the places that are filled anew."""
    rows: list[Row] = []
    anew = direction("fresh")
    seen = {text_of(p.qa) for p in parents}
    for draw in range(1, calls + 1):
        places = parents[: qas_together(settings)]
        made, failed = await rewrite(asker, record, places, anew, settings, draw=draw, attempts=1)
        for parent in places:
            version = made.get(parent.id)
            again = version is not None and text_of(version.qa) in seen
            if version:
                seen.add(text_of(version.qa))
            candidate = Candidate(
                parent=parent,
                round=draw,
                direction="fresh",
                version=version,
                failed=failed.get(parent.id),
                prompt=anew.prompt,
                model=asker.client.identity.model,
            )
            outcome = Outcome(
                record=record.key,
                line=parent.line,
                parent=parent.id,
                round=draw,
                direction="fresh",
                outcome="failed" if version is None else "eliminated" if again else "survived",
                reason=str(Reason.NEAR_DUPLICATE) if again else str(failed.get(parent.id) or ""),
                candidate=version.id if version else "",
            )
            rows.append((candidate, outcome))
    return rows


async def _scratch(
    settings: ScratchSettings,
    run: Run,
    *,
    shard: int,
    seeds: Path,
    ledgers: list[Path],
    out: Path,
    outcomes: Path,
    ledger: Path,
    usage: Path,
) -> None:
    job = f"evolve/{out.parent.parent.parent.name}/round_1/{shard}"
    calls = calls_of(ledgers)
    counts: Counter[tuple[str, str]] = Counter()
    with (
        Heartbeat(run, job=job) as beat,
        ReplyStore(buckets_of(shard, settings.shards), job=job, on_wait=beat.waits) as store,
    ):
        async with Clients(run, settings.shards, usage=usage, beat=beat) as clients:
            asker = Asker(clients.client(settings.evolver, settings.evolver_identity), store)
            width = clients.width()
            with writing(out, "candidate") as add, writing(outcomes, "outcome") as tell:
                work = dealt(seeds, calls)
                async for rows in in_order(work, lambda item: fresh(asker, settings, *item), width):
                    for candidate, outcome in rows:
                        add(candidate)
                        tell(outcome)
                        counts[outcome.outcome, outcome.reason] += 1
                    beat.advance(1)
            requests = {"requests": dict(asker.requests)}
            write_json(out.with_suffix(".json"), requests)
            write_json(ledger, closed(counts, counts.total()) | requests)


def scratch(
    settings: ScratchSettings,
    run: Run,
    *,
    shard: int,
    seeds: Path,
    ledgers: list[Path],
    out: Path,
    outcomes: Path,
    ledger: Path,
    usage: Path,
) -> None:
    """`mmevol evolve scratch`: see the module. `ledgers`: of each round of the evolution whose calls are matched."""
    paths = {"seeds": seeds, "out": out, "outcomes": outcomes, "ledger": ledger, "usage": usage}
    uvloop.run(_scratch(settings, run, shard=shard, ledgers=ledgers, **paths))
