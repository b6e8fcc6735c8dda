"""Which records a shard takes where the study wants so many survivors (`evolve.target`) and no more.

Records are taken in hash order until as many of their Q&A as the shard's share have survived round 1; the later rounds evolve
only those. They are asked about in waves, each just as many Q&A as survivors are missing, so that nothing is asked for in vain,
and what is taken follows from the data alone, whatever came first over the wire.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from mmevol.config import EliminateSettings
from mmevol.endpoint.ask import in_order
from mmevol.evolve.eliminate import outcome_of, text_of
from mmevol.records import Candidate, SeedRecord, Version
from mmevol.store import rank_of

Pair = tuple[SeedRecord, list[Version]]


async def last_taken(
    pairs: Callable[[], Iterator[Pair]],
    ask: Callable[[Pair], Awaitable[tuple[list[Candidate], Any]]],
    *,
    seed: int,
    share: int,
    elimination: EliminateSettings,
    width: int,
    survived: Callable[[int], None],
) -> float:
    """The rank of the last record that is taken; all whose `rank_of` is not above it are.

    `pairs` goes through the shard's records anew; `ask` is what round 1 does with one; `survived` is told of survivors as they
    come. A shard that has too little is taken whole.
    """
    ranked = sorted((rank_of(seed, record.key), len(versions)) for record, versions in pairs())
    begin, missing = 0, share
    while missing > 0 and begin < len(ranked):
        end, parents = begin, 0
        while end < len(ranked) and parents < missing:
            parents += ranked[end][1]
            end += 1
        first, last = ranked[begin][0], ranked[end - 1][0]
        wave = (pair for pair in pairs() if first <= rank_of(seed, pair[0].key) <= last)
        async for candidates, _ in in_order(wave, ask, width):
            found = sum(outcome_of(c, [text_of(c.parent.qa)], elimination).outcome == "survived" for c in candidates)
            missing -= found
            survived(found)
        begin = end
    return ranked[begin - 1][0] if begin else -1.0
