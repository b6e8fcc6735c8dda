"""Walking the questions of a study once more, as its stages do, from its seeds and frontiers: which answers do its data rest on?

Nothing has to be logged while a study runs, and what is found is proven to be enough, since the walk asks nobody.
"""

from collections.abc import Iterator
from pathlib import Path

import orjson

from mmevol.config.study import Study
from mmevol.endpoint.ask import Asker
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.images import image_key
from mmevol.endpoint.prompt import Prompt, key_of
from mmevol.endpoint.response import Answer
from mmevol.evolve.ask import RoundAsker, SeedJudge, seed_versions, with_frontier
from mmevol.evolve.scratch import calls_of, dealt, fresh
from mmevol.records import BadInput
from mmevol.replies import ReplyStore
from mmevol.seeds.curate import curated
from mmevol.segments import frames, live
from mmevol.store import bucket_of, read_rows

Used = dict[str, dict[int, set[bytes]]]
"""Keys by kind (`requests`, `images`) and bucket."""


class Walker(Asker):
    """Asks only the reply store, and notes what the answers are kept under."""

    def __init__(self, clients: Clients, name: str, study: Study, store: ReplyStore, used: Used) -> None:
        super().__init__(clients.client(name, study.identity(name)), store)
        self.study, self.used = study, used

    async def answer(
        self, first: Prompt, now: Prompt, *, record: str, draw: int, attempt: int, more_tokens: int = 1
    ) -> Answer:
        """The answer that is kept. Raises `BadInput` where there is none."""
        identity, bucket = self.client.identity, bucket_of(record)
        key = key_of(first, identity, draw=draw, attempt=attempt)
        kept = self.store.get(bucket, key)
        if kept is None:
            raise BadInput(
                file=str(self.store.root),
                field=f"record {record}",
                found=f"no answer of {identity.model} to a question of study {self.study.study} ({now.request.task})",
                expected="every answer that the study rests on",
                remedy="run `snakemake dataset` with this study and this reply store first",
            )
        self.used["requests"][bucket].add(key)
        if now.picture and identity.sees_images:
            self.used["images"][bucket].add(image_key(now.picture.digest, identity.image_side))
        return Answer(**kept["answer"])


class Walk:
    """The questions of a study, shard by shard."""

    def __init__(self, study: Study, clients: Clients, store: ReplyStore, used: Used) -> None:
        self.study = study
        self.askers = {name: Walker(clients, name, study, store, used) for name in study.endpoints}

    async def shard(self, shard: int) -> None:
        """All questions about the records of a shard."""
        audited, curated_ = (
            Path(f"{self.study.results}/seeds/{kind}/{shard}.parquet") for kind in ("audited", "shards")
        )
        if self.study.seeds.curate:
            settings = self.study.curate_settings()
            asker = self.askers[settings.endpoint]
            for record in read_rows(audited, "seed"):
                await curated(asker, record, settings)
        for name, evolution in self.study.evolve.evolutions.items():
            seeds = curated_ if self.study.seeds.curate else audited
            walk = self._scratch if evolution.from_ == "scratch" else self._rounds
            await walk(name, shard, seeds)

    async def _rounds(self, name: str, shard: int, seeds: Path) -> None:
        judged = [0] if self.study.judged_seeds(name) else []
        taken = self.study.taken(name, shard)
        for n in [*judged, *self.study.rounds(name)]:
            settings = self.study.ask_settings(name, n)
            judges = [j.endpoint for j in (settings.judge, settings.judge and settings.judge.second) if j]
            askers: list[Asker] = [self.askers[endpoint] for endpoint in judges]
            worker = (SeedJudge if n == 0 else RoundAsker)(settings, self.askers[settings.evolver], askers)
            before = next(map(Path, taken if n < 2 else self.study.frontier(name, n - 1, shard)), None)
            for record, versions in with_frontier(seeds, before):
                await worker.record((record, seed_versions(record) if n < 2 else versions))

    async def _scratch(self, name: str, shard: int, seeds: Path) -> None:
        settings = self.study.scratch_settings(name)
        calls = calls_of([Path(path) for path in self.study.matched_ledgers(name, shard)])
        asker = self.askers[settings.evolver]
        for item in dealt(seeds, calls):
            await fresh(asker, settings, *item)


def scored(study: Study, root: Path) -> Iterator[tuple[int, bytes]]:
    """Bucket and key of the answers of the study's live judges about its benchmarks: what it was asked depends on predictions,
    so all that it said of these benchmarks counts."""
    judges = {f"benchmark/{name}": judge for name in study.benchmarks if (judge := study.judge_settings(name))}
    for bucket in sorted(set(map(bucket_of, judges))):
        folder = root / "requests" / f"{bucket:02x}"
        for segment in live(folder) if folder.is_dir() else ():
            for key, _, payload in frames(segment.log(folder)):
                kept = orjson.loads(payload)
                judge = judges.get(kept["record"])
                if judge and kept["model"] == judge.identity.model:
                    yield bucket, key


async def walk(study: Study, shard: int, store: ReplyStore, used: Used) -> None:
    """Add to `used` what the data of a shard rest on. Raises `BadInput` where an answer is missing."""
    async with Clients(study.run()) as clients:
        await Walk(study, clients, store, used).shard(shard)
