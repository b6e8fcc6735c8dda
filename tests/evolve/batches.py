"""A shard in batch mode against the embedded teacher, a server of its own that writes down what it answered."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Batch, Blind, Connection, Faults, Identity, Judge
from mmevol.config.endpoints import Endpoint
from mmevol.endpoint.parcel import Parcel
from mmevol.endpoint.provider import Provider
from mmevol.teacher.faults import transport_fault
from scripted import record
from shards import Shard

TOKEN = "a token of this test"
CONTENT = {"malformed_json": 0.1, "truncated_json": 0.1, "unimproved_copy": 0.1, "refusal": 0.1, "judge_wrong": 0.1}
QUIET = Faults(**CONTENT)
LOUD = Faults(**CONTENT, http_429=0.02, http_500=0.05, hang=0.07, drop=0.03)
"""Of every six rows one fails, expires or is lost, and as many calls to the routes of files and batches."""


class Teacher:
    """A running teacher, what it was asked, and shards that ask it."""

    def __init__(self, root: Path, faults: Faults) -> None:
        self.root, self.faults, self.log, self.base_url = root, faults, root / "asked.jsonl", ""
        self.identity: Identity = Endpoint(launch="embedded", faults=faults).identity()

    def start(self, *options: str) -> "subprocess.Popen[bytes]":
        ready, about = self.root / "ready", ["--model", self.identity.model, "--faults", self.faults.dump()]
        command = [sys.executable, "-m", "mmevol.teacher", *about, "--log", str(self.log), "--ready", str(ready)]
        process = subprocess.Popen(
            [*command, "--until-eof", *options],
            stdin=subprocess.PIPE,
            env=os.environ | {"MMEVOL_TEACHER_TOKEN": TOKEN},
        )
        while not ready.exists():
            assert process.poll() is None
            time.sleep(0.02)
        self.base_url = ready.read_text().strip()
        return process

    def connection(self, mode: str = "batch", **batch: Any) -> Connection:
        to = {"base_url": self.base_url, "api_key_env": "TEACHER_KEY", "timeout": 1.5, "patience": 60}
        return Connection(**to, mode=mode, batch=Batch(poll=0.02, **batch))

    def shard(self, name: str, to: Connection, records: int = 8, **more: Any) -> Shard:
        settings = {
            "directions": {"perceptual": 1, "reasoning": 1, "interactive": 1},
            "evolver_identity": self.identity,
            "judge": Judge(endpoint="j", blind=Blind(draws=2)),
            "judge_identity": self.identity.model_copy(update={"temperature": 0.0}),
        }
        some = [record(f"k{i}", 1 + i % 2) for i in range(records)]
        own = {k: more.pop(k) for k in ("budget",) if k in more}
        return Shard(self.root / name, some, dict.fromkeys("ej", to), settings | more, **own)

    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def assert_each_was_answered_once(self) -> None:
        """Every row was submitted until it got through, and not once more."""
        heard = Counter((line["key"], line["content_attempt"]) for line in self.asked())
        assert heard
        for (key, attempt), times in heard.items():
            needed = next(n for n in range(99) if transport_fault(self.faults, key, attempt, n) is None) + 1
            assert times == needed, (key, attempt)


@contextmanager
def teaching(
    tmp_path: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch, name: str = "t", *options: str
) -> Iterator[Teacher]:
    (root := tmp_path / name).mkdir()
    teacher = Teacher(root, faults)
    process = teacher.start(*options)
    monkeypatch.setenv("TEACHER_KEY", TOKEN)
    try:
        yield teacher
    finally:
        process.communicate()


def rounds(shard: Shard, n: int) -> dict[str, bytes]:
    """The data of the first rounds."""
    for round_ in range(1, n + 1):
        shard.ask(round_)
        shard.eliminate(round_)
    return shard.data()


def parcels(shard: Shard) -> list[Path]:
    return list((shard.root / "replies/batches").glob("*"))


def asked(shard: Shard, run: int = 0) -> dict[str, int]:
    """What each endpoint was asked in a run of the first round."""
    rows = json.loads(shard.file(1, "usage", "runs.json").read_text())[run]["endpoints"]
    return {name: sum(row["asked"] for row in rows if row["endpoint"] == name) for name in ("e", "j")}


def every_other_ends_late(looks: int) -> None:
    """Every other batch is seen under way so many times first, so that the roles' waves overlap."""
    real, seen = Provider.look, Counter[str]()

    async def look(provider: Provider, parcel: Parcel) -> Any:
        seen[parcel.name] += 1
        batch = await real(provider, parcel)
        if batch and [*seen].index(parcel.name) % 2 and seen[parcel.name] <= looks:
            batch.status = "in_progress"
        return batch

    Provider.look = look  # type: ignore[method-assign]
