"""A few records through all rounds of an evolution, by the very commands of the run, in a folder that is thrown away.

What a model answers stays in the reply store, under the keys that the run will look for.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmevol.config import Run
from mmevol.config.study import Study
from mmevol.evolve.ask import ask
from mmevol.evolve.dataset import lineages
from mmevol.evolve.eliminate import eliminate
from mmevol.preview.sample import Source
from mmevol.records import SeedRecord, Verdict
from mmevol.seeds.curate import curate
from mmevol.store import bucket_of, read_rows, write_rows

Row = dict[str, Any]
"""A row of the evolved dataset (`evolve.dataset`)."""


@dataclass(frozen=True)
class Tried:
    """A record, the rows of its lineage in order, and the judge's word on its seeds, by id."""

    record: SeedRecord
    rows: list[Row]
    seeds: dict[str, list[Verdict]]


class Trial:
    """One evolution of a study, on `records` alone."""

    def __init__(self, study: Study, evolution: str, source: Source, folder: Path) -> None:
        self.study, self.evolution, self.folder = study, evolution, folder
        self.here = {"shards": 1, "images_root": str(source.images) if source.images else None}
        online = {"mode": "online"}  # a batch may take a day; the keys are the same
        connections = {name: e.connection().model_copy(update=online) for name, e in study.endpoints.items()}
        self.facts = Run(connections=connections, budget=study.evolve.budget)
        self.seeds = folder / "seeds" / "audited" / "0.parquet"

    def run(self, records: list[SeedRecord]) -> list[Tried]:
        """Curate, judge the seeds, and ask and eliminate round by round. Raises `Outage` and `BadInput` as the commands do."""
        write_rows(self.seeds, "seed", records)
        self.buckets = sorted({bucket_of(r.key) for r in records})  # a study that runs keeps all others
        if self.study.seeds.curate:
            self._curate()
        evolution = self.study.evolve.evolutions[self.evolution]
        judged = bool(evolution.judge and evolution.judge.seeds)
        for round_ in [0] * judged + list(self.study.rounds(self.evolution)):
            self._round(round_)
        rounds = [(self._file(r, "candidates"), self._file(r, "ledger")) for r in self.study.rounds(self.evolution)]
        said = {c.parent.id: c.verdicts for c in read_rows(self._file(0, "candidates"), "candidate")} if judged else {}
        tried = [Tried(record, rows, said) for record, rows in lineages(self.seeds, rounds)]
        without = {r.key for r in records} - {t.record.key for t in tried}
        return tried + [Tried(r, [], {}) for r in read_rows(self.seeds, "seed") if r.key in without]

    def usage(self) -> list[dict[str, Any]]:
        """What the jobs wrote of what they asked."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.rglob("usage/0.json"))]

    def _file(self, round_: int, kind: str, suffix: str = "parquet") -> Path:
        return self.folder / "evolve" / self.evolution / f"round_{round_}" / kind / f"0.{suffix}"

    def _curate(self) -> None:
        out = self.folder / "seeds" / "shards" / "0.parquet"
        settings = self.study.curate_settings().model_copy(update=self.here)
        usage = self.folder / "seeds" / "usage" / "0.json"
        curate(settings, self.facts, shard=0, records=self.seeds, out=out, usage=usage, buckets=self.buckets)
        self.seeds = out

    def _round(self, round_: int) -> None:
        before = self._file(round_ - 1, "frontier") if round_ > 1 else None
        candidates = self._file(round_, "candidates")
        ask(
            self.study.ask_settings(self.evolution, round_).model_copy(update=self.here),
            self.facts,
            shard=0,
            seeds=self.seeds,
            frontier=before,
            out=candidates,
            usage=self._file(round_, "usage", "json"),
            buckets=self.buckets,
        )
        if round_ > 0:
            eliminate(
                self.study.eliminate_settings(self.evolution, round_),
                candidates=candidates,
                before=before,
                requests=candidates.with_suffix(".json"),
                frontier=self._file(round_, "frontier"),
                outcomes=self._file(round_, "ledger"),
                ledger=self._file(round_, "ledger", "json"),
            )
