"""One reply store for several studies: whoever asks second pays nothing, also at the same time and with other shards."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mmevol.config import AskSettings, Run
from mmevol.store import order_of, read_dicts, shard_of, write_rows
from scripted import Server, connection, identity, record

RECORDS = [record(str(n), n % 3 + 1) for n in range(40)]


def jobs(folder: Path, replies: Path, server: Server, shards: int) -> list[subprocess.Popen[bytes]]:
    """Start the round of a study that is cut in so many shards, all at once."""
    started = []
    for shard in range(shards):
        rows = sorted((r for r in RECORDS if shard_of(r.key, shards) == shard), key=lambda r: order_of(r.key))
        seeds = folder / f"{shard}.parquet"
        write_rows(seeds, "seed", rows)
        settings = AskSettings(
            seed=1, shards=shards, round=1, directions={"reasoning": 1}, evolver="e", evolver_identity=identity()
        )
        options = ["--settings", settings.dump(), "--run", Run(connections={"e": connection(server)}).dump()]
        paths = ["--seeds", seeds, "--out", folder / f"c/{shard}.parquet", "--usage", folder / f"usage/{shard}.json"]
        command = [sys.executable, "-m", "mmevol", "evolve", "ask", *options, "--shard", shard, *paths]
        environment = os.environ | {"MMEVOL_REPLIES": str(replies)}
        started.append(subprocess.Popen(list(map(str, command)), env=environment))
    return started


def rows(folder: Path, shards: int) -> list[dict[str, object]]:
    return [row for shard in range(shards) for row in read_dicts(folder / f"c/{shard}.parquet")]


def asked(folder: Path, shards: int) -> int:
    usage = [json.loads((folder / f"usage/{shard}.json").read_text()) for shard in range(shards)]
    return sum(endpoint["asked"] for u in usage for endpoint in u["endpoints"])


def test_studies_with_other_shards_share_what_was_paid_for(tmp_path: Path, server: Server) -> None:
    for shards in (2, 1):
        assert [job.wait() for job in jobs(tmp_path / str(shards), tmp_path / "replies", server, shards)] == [
            0
        ] * shards
    assert asked(tmp_path / "2", 2) == len(server.heard)
    assert asked(tmp_path / "1", 1) == 0
    assert rows(tmp_path / "1", 1) == rows(tmp_path / "2", 2)


def test_two_studies_at_a_time_pay_once(tmp_path: Path, server: Server) -> None:
    started = [job for shards in (1, 2) for job in jobs(tmp_path / str(shards), tmp_path / "replies", server, shards)]
    assert [job.wait() for job in started] == [0, 0, 0]
    keys = [heard.headers["X-MMEvol-Request"] for heard in server.heard]
    assert len(keys) == len(set(keys)) == asked(tmp_path / "1", 1) + asked(tmp_path / "2", 2)
    assert rows(tmp_path / "1", 1) == rows(tmp_path / "2", 2)
