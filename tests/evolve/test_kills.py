"""A long round killed fifty times: no record lost, none doubled, nothing asked again that was kept, the same bytes in the end."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mmevol.cache.survey import stats, verify
from mmevol.config import AskSettings, Run
from mmevol.replies import Log
from mmevol.segments import frames, live
from mmevol.store import order_of, shard_of, write_rows
from scripted import Heard, Server, connection, good, identity, record

RECORDS, SHARDS, KILLS, WIDTH = 2000, 8, 50, 8

STARTER = """
import json, os, sys
from pathlib import Path
import pyarrow.parquet, pyreqwest.client
from mmevol import replies, segments
from mmevol.config import AskSettings, Run
from mmevol.evolve.ask import ask
replies.SEAL, segments.FEW = 4 * 32, 2  # so that sealing and merging are met in the act
for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.environ |= order["environment"]
        settings, run = AskSettings(**order["settings"]), Run(**order["run"])
        for shard in range(settings.shards):  # as the workflow does: what is done is not begun again
            seeds, out, usage = (Path(f"{name}/{shard}.parquet") for name in ("seeds", "candidates", "usage"))
            if not out.with_suffix(".json").exists():
                ask(settings, run, shard=shard, seeds=seeds, frontier=None, out=out, usage=usage)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Runs:
    """Runs of one round in processes that are forked ready to go; each has a key of its own, by which the server knows it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server, self.number = folder, server, 0
        self.heard: list[tuple[int, bytes]] = []
        self.kill_after: int | None = None
        self.pid = 0
        server.answer = self._answer
        self._starter = subprocess.Popen(
            [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )
        self._settings = AskSettings(
            seed=1, shards=SHARDS, round=1, directions={"reasoning": 1}, evolver="e", evolver_identity=identity()
        )

    @property
    def replies(self) -> Path:
        return self.folder / "replies"

    def _answer(self, n: int, heard: Heard) -> Any:
        run = int(heard.headers["Authorization"].removeprefix("Bearer key-of-run-"))
        self.heard.append((run, bytes.fromhex(heard.headers["X-MMEvol-Request"])))
        if run == self.number and self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after <= 0:
                os.kill(self.pid, signal.SIGKILL)
                self.kill_after = None
        return good(heard.block)

    def run(self, *, asks: int | None = None, seconds: float | None = None) -> int:
        """One run to its end, or until it has asked so often or for so long; its exit code."""
        self.number += 1
        self.kill_after = None
        to = connection(self.server, api_key_env="RUN", concurrency=WIDTH)
        order = {
            "environment": {"MMEVOL_REPLIES": str(self.replies), "RUN": f"key-of-run-{self.number}"},
            "settings": json.loads(self._settings.dump()),
            "run": json.loads(Run(connections={"e": to}).dump()),
        }
        assert self._starter.stdin and self._starter.stdout
        print(json.dumps(order), file=self._starter.stdin, flush=True)
        self.pid, self.kill_after = int(self._starter.stdout.readline()), asks
        if seconds is not None:
            time.sleep(seconds)
            os.kill(self.pid, signal.SIGKILL)
        return int(self._starter.stdout.readline())

    def kept(self) -> set[bytes]:
        """The keys of all answers in the store, each once."""
        folders = list((self.replies / "requests").iterdir()) if self.replies.exists() else []
        keys = [key for folder in folders for s in live(folder) for key, _, _ in frames(s.log(folder))]
        assert len(keys) == len(set(keys))
        return set(keys)

    def close(self) -> None:
        self._starter.communicate()


@pytest.fixture
def runs(tmp_path: Path, server: Server) -> Any:
    made = []

    def make(name: str) -> Runs:
        records = sorted((record(str(n)) for n in range(RECORDS)), key=lambda r: order_of(r.key))
        for shard in range(SHARDS):
            rows = [r for r in records if shard_of(r.key, SHARDS) == shard]
            write_rows(tmp_path / name / f"seeds/{shard}.parquet", "seed", rows)
        made.append(Runs(tmp_path / name, server))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_fifty_kills_lose_double_and_ask_again_nothing(runs: Any) -> None:
    chance = random.Random(50)
    killed: Runs = runs("killed")
    kept: list[set[bytes]] = [set()]
    for n in range(KILLS):
        early = n % 5 == 4  # before, while or after the buckets are taken over and merged
        points = {"seconds": chance.uniform(0, 0.2)} if early else {"asks": chance.randrange(1, 70)}
        assert killed.run(**points) == -signal.SIGKILL
        kept.append(killed.kept())
        assert kept[-2] <= kept[-1]
    assert 0.5 * RECORDS < len(kept[-1]) < RECORDS
    assert killed.run() == 0

    heard = list(killed.heard)
    for number in range(1, killed.number + 1):
        asked = {key for run, key in heard if run == number}
        assert not asked & kept[number - 1]
        if number <= KILLS:
            assert len(asked - kept[number]) <= WIDTH
    in_flight = [len({key for run, key in heard if run == n} - kept[n]) for n in range(1, KILLS + 1)]
    assert 0 < len(heard) - RECORDS <= sum(in_flight)
    assert len(killed.kept()) == RECORDS == stats(killed.replies).answers
    assert not [
        finding for finding in verify(killed.replies) if finding.lost
    ]  # a torn tail may be there: no answer yet

    calm: Runs = runs("calm")
    assert calm.run() == 0
    assert len(calm.heard) == RECORDS
    assert calm.kept() == killed.kept()
    for path in sorted((calm.folder / "candidates").iterdir()):
        assert path.read_bytes() == (killed.folder / "candidates" / path.name).read_bytes()
    for folder in (killed.replies / "requests").iterdir():
        assert all(Log(folder).get(key) for s in live(folder) for key, _, _ in frames(s.log(folder)))
