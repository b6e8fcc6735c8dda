import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol import store
from mmevol.evolve.ask import seed_versions
from mmevol.records import BadInput, Candidate, Frontier, Outcome, Reason, SeedRecord, Verdict
from mmevol.store import (
    BUCKETS,
    bucket_of,
    buckets_of,
    file_digest,
    order_of,
    read_dicts,
    read_rows,
    replacing,
    shard_of,
    write_json,
    write_rows,
    write_text,
)
from scripted import record

keys = st.text(min_size=1, max_size=12)
shard_counts = st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128, 256])


@given(keys, shard_counts)
def test_a_key_is_in_one_shard_whose_buckets_hold_it(key: str, shards: int) -> None:
    assert [s for s in range(shards) if bucket_of(key) in buckets_of(s, shards)] == [shard_of(key, shards)]


@given(shard_counts)
def test_shards_share_all_buckets_among_them(shards: int) -> None:
    assert [b for s in range(shards) for b in buckets_of(s, shards)] == list(range(BUCKETS))


@given(st.lists(keys, unique=True, max_size=20), shard_counts)
def test_shards_one_after_the_other_are_in_order(some: list[str], shards: int) -> None:
    by_shard = sorted(some, key=lambda key: (shard_of(key, shards), order_of(key)))
    assert by_shard == sorted(some, key=order_of)


def test_what_is_written_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"b": 1, "a": "ä"})
    assert path.read_bytes() == '{"a":"ä","b":1}\n'.encode()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == '{"a":"ä","b":1}\n'.encode()
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_parquet_file_that_fails_half_way_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ROW_GROUP", 2**14)
    path = tmp_path / "seeds.parquet"
    write_rows(path, "seed", [record("a")])
    before = file_digest(path)

    def some() -> Iterator[SeedRecord]:
        yield from (record(f"k{i}") for i in range(1000))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_rows(path, "seed", some())
    assert file_digest(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["seeds.parquet"]


attributes = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(keys, st.text(max_size=9), attributes, st.integers(0, 3)), max_size=5))
def test_records_come_back_as_they_went(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    seeds = []
    for key, caption, more, qas in rows:
        seed = record(key, qas, caption=caption, topics=[caption], width=3)
        thing = seed.objects[0].model_copy(update={"attributes": more})
        seeds.append(seed.model_copy(update={"objects": [thing]}))
    write_rows(folder / "a", "seed", seeds)
    write_rows(folder / "b", "seed", seeds)
    assert list(read_rows(folder / "a", "seed")) == seeds
    assert file_digest(folder / "a") == file_digest(folder / "b")


def test_every_kind_of_row_comes_back(tmp_path: Path) -> None:
    parent = seed_versions(record("a"))[0]
    said = [Verdict(judge="j", name="difficulty", value=3.5, reason="so")]
    c = Candidate(parent=parent, round=1, direction="reasoning", version=parent, failed=None, verdicts=said)
    lost = Candidate(parent=parent, round=1, direction="reasoning", version=None, failed=Reason.MISSING)
    o = Outcome(record="a", line=parent.line, parent=parent.id, round=1, direction="x", outcome="failed", reason="r")
    for kind, rows in {
        "candidate": [c, lost],
        "frontier": [Frontier(version=parent, history=["x"])],
        "outcome": [o],
    }.items():
        write_rows(tmp_path / kind, kind, rows)
        assert list(read_rows(tmp_path / kind, kind)) == rows


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 1000])
def test_row_groups_are_of_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(store, "ROW_GROUP", 2**14)
    rows = [{"record": f"r{i}", "qa": "q" * 100, "source": "s", "round": i} for i in range(n)]
    write_rows(tmp_path / "m", "mixture", rows)
    assert list(read_dicts(tmp_path / "m")) == rows
    with pq.ParquetFile(tmp_path / "m") as file:
        groups = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
    assert sum(groups) == n
    assert all(128 <= rows_in <= 160 for rows_in in groups[:-1])  # of some 120 bytes a row, in steps of 32


@pytest.mark.parametrize("content", [None, b"", b"PAR1 no PAR1"])
def test_a_file_that_is_no_parquet_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"x\.parquet"):
        list(read_rows(path, "seed"))


FULL_DISK = """
import resource, sys
from pathlib import Path
from mmevol.store import write_json, write_rows
out = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rows = ({"record": str(i * i), "qa": str(i * 7919), "source": "s", "round": i} for i in range(20_000))
for write in (lambda: write_json(out, "x" * 50_000), lambda: write_rows(out, "mixture", rows)):
    try:
        write()
    except OSError as error:
        print(type(error).__name__)
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["OSError", "OSError"], done.stderr
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_what_a_dead_writer_left_is_swept(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = socket.gethostname()
    left = tmp_path / f".a.json.{host}.{dead.pid}.tmp"
    ours = tmp_path / f".a.json.{host}.{os.getppid()}.tmp"
    elsewhere = tmp_path / f".a.json.elsewhere.{dead.pid}.tmp"
    for path in (left, ours, elsewhere):
        path.write_text("half")
    write_json(tmp_path / "a.json", 1)
    assert not left.exists() and ours.exists() and not elsewhere.exists()


def test_what_another_host_still_writes_stays(tmp_path: Path) -> None:
    writing, left = tmp_path / ".a.json.node1.7.tmp", tmp_path / ".a.json.node2.7.tmp"
    other = tmp_path / ".a.json.bak.node2.7.tmp"
    for path in (writing, left, other):
        path.write_text("half")
    with replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("1")
        os.utime(writing, ns=(1, 1))
    assert writing.exists() and other.exists() and not left.exists()
    left.write_text("half")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.json"):
        raise ZeroDivisionError
    assert left.exists()
