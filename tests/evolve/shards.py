"""A shard of seed records in a folder of its own, and the rounds asked of it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmevol.config import AskSettings, Budget, Connection, Eliminate, EliminateSettings, Run
from mmevol.evolve.ask import ask
from mmevol.evolve.eliminate import eliminate
from mmevol.records import Candidate, SeedRecord
from mmevol.store import order_of, read_rows, write_rows
from scripted import identity


@dataclass
class Shard:
    """A shard of seed records in a folder, with a reply store of its own, and the rounds asked of it."""

    root: Path
    records: list[SeedRecord]
    connections: dict[str, Connection]
    settings: dict[str, Any] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.records.sort(key=lambda r: order_of(r.key))
        write_rows(self.seeds, "seed", self.records)

    @property
    def seeds(self) -> Path:
        return self.root / "seeds.parquet"

    def file(self, round_: int, kind: str, suffix: str = "parquet") -> Path:
        return self.root / f"evolve/full/round_{round_}/{kind}/0.{suffix}"

    def of(self, round_: int) -> AskSettings:
        base = {
            "seed": 7,
            "round": round_,
            "directions": {"reasoning": 1},
            "evolver": "e",
            "evolver_identity": identity(),
        }
        return AskSettings(**base | self.settings)

    def paths(self, round_: int) -> dict[str, Any]:
        frontier = self.file(round_ - 1, "frontier") if round_ > 1 else None
        out, usage = self.file(round_, "candidates"), self.file(round_, "usage", "json")
        return {"shard": 0, "seeds": self.seeds, "frontier": frontier, "out": out, "usage": usage}

    def ask(self, round_: int = 1) -> list[Candidate]:
        before = os.environ.get("MMEVOL_REPLIES")
        os.environ["MMEVOL_REPLIES"] = str(self.root / "replies")
        try:
            ask(self.of(round_), Run(connections=self.connections, budget=self.budget), **self.paths(round_))
        finally:
            os.environ.pop("MMEVOL_REPLIES")
            os.environ |= {"MMEVOL_REPLIES": before} if before else {}
        return list(read_rows(self.file(round_, "candidates"), "candidate"))

    def eliminate(self, round_: int = 1, thresholds: Eliminate | None = None, **more: Any) -> dict[str, Any]:
        eliminate(
            EliminateSettings(thresholds=thresholds or Eliminate(), **more),
            candidates=self.file(round_, "candidates"),
            before=self.paths(round_)["frontier"],
            requests=self.file(round_, "candidates", "json"),
            frontier=self.file(round_, "frontier"),
            outcomes=self.file(round_, "ledger"),
            ledger=self.file(round_, "ledger", "json"),
        )
        ledger: dict[str, Any] = json.loads(self.file(round_, "ledger", "json").read_text())
        return ledger

    def usage(self, round_: int = 1, run: int | None = None) -> dict[str, Any]:
        """What a round has asked in all its runs, or in one."""
        path = self.file(round_, "usage", "json")
        value = json.loads((path if run is None else path.with_suffix(".runs.json")).read_text())
        rows = (value if run is None else value[run])["endpoints"]
        return {k: sum(row[k] for row in rows) for k in ("asked", "from_store", "input_tokens", "output_tokens")}

    def data(self) -> dict[str, bytes]:
        """The data files, without the facts of the run and what a killed writer left under a temporary name."""
        files = {p.relative_to(self.root).as_posix(): p for p in (self.root / "evolve").rglob("[!.]*") if p.is_file()}
        return {name: path.read_bytes() for name, path in sorted(files.items()) if "/usage/" not in name}


Make = Callable[..., Shard]
