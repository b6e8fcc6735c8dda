from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Judge
from mmevol.records import SeedRecord
from scripted import Server, connection, identity, record
from shards import Make, Shard


@pytest.fixture
def shard(tmp_path: Path, server: Server) -> Make:
    """Makes a shard that asks the scripted server, judging too unless told otherwise."""
    made: list[Shard] = []

    def make(records: Iterable[SeedRecord] | None = None, judge: bool = True, **settings: Any) -> Shard:
        own = {k: settings.pop(k) for k in ("budget",) if k in settings}
        to = dict.fromkeys("ej", connection(server, **settings.pop("connection", {})))
        some = list(records or [record("a", 2), record("b"), record("c", 3), record("empty", 0)])
        if judge:
            settings = {"judge": Judge(endpoint="j"), "judge_identity": identity(temperature=0)} | settings
        made.append(Shard(tmp_path / f"s{len(made)}", some, to, settings, **own))
        return made[-1]

    return make
