"""`mmevol cache stats`, `verify` and `prune` as a user meets them, on stores that are whole, damaged or in use."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mmevol.cache.prune import prune
from mmevol.cache.survey import repair, stats, verify
from mmevol.owner import process_start
from mmevol.records import BadInput, digest
from mmevol.replies import KINDS, Log, ReplyStore
from mmevol.segments import frames, live
from mmevol.store import bucket_of


def cache(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmevol", "cache", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)


def key(*parts: object) -> bytes:
    return bytes.fromhex(digest(*parts))


def answer(record: str, model: str, task: str, n: int = 0, image: str | None = None) -> dict[str, Any]:
    kept = {"answer": {"text": f"{record} {n}"}, "record": record, "draw": 0, "attempt": 0, "model": model}
    return {**kept, "request": {"task": task}} | ({"image": image} if image else {})


RECORDS = ["a", "b", "c", "d"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store: of each record two answers of one model, one of another, and a picture; a and b share one more."""
    folder = tmp_path / "replies"
    for job, n in (("first", 0), ("second", 1)):
        with ReplyStore([bucket_of(r) for r in RECORDS], job=job, root=folder) as store:
            store.own()
            for record in RECORDS:
                bucket, own = bucket_of(record), key("image", record)
                store.put(bucket, key(record, n), answer(record, "large", "evolve", n, own.hex()))
                if n == 0:
                    store.put(bucket, key(record, "j"), answer(record, "small", "judge", image=own.hex()))
                    store.put_image(bucket, own, record.encode() * 100)
    return folder


def test_stats_count_by_model_and_task(root: Path) -> None:
    found = stats(root)
    assert (found.answers, found.images, found.duplicates) == (12, 4, 0)
    assert found.by == {("large", "evolve"): 8, ("small", "judge"): 4}
    assert found.segments == sum(len(live(p)) for kind in KINDS for p in (root / kind).iterdir()) == 12
    on_disk = sum(p.stat().st_size for p in root.rglob("*.*"))
    assert found.answer_bytes + found.image_bytes == on_disk
    done = cache("stats", "--root", root)
    assert done.returncode == 0
    assert "answers     12" in done.stdout
    assert "8  evolve      large" in done.stdout


def test_stats_tell_duplicates(root: Path) -> None:
    log = Log(root / "requests" / f"{bucket_of('a'):02x}")
    log.put(key("a", 0), log.get(key("a", 0)) or b"")
    log.close()
    assert (stats(root).answers, stats(root).duplicates) == (12, 1)


def test_no_store_is_bad_input(tmp_path: Path) -> None:
    for command in (["stats"], ["verify"], ["prune", "--record", "a"]):
        done = cache(*command, "--root", tmp_path / "nothing")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no reply store" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_whole_store_is_found_whole(root: Path) -> None:
    done = cache("verify", "--root", root)
    assert (done.returncode, done.stdout) == (0, "nothing is damaged\n")


def log_of(root: Path, record: str, kind: str = "requests") -> Path:
    return sorted((root / kind / f"{bucket_of(record):02x}").glob("*.log"))[0]


def test_damage_is_told_exactly_and_mended(root: Path) -> None:
    spoiled = log_of(root, "a")
    second = [offset for _, offset, _ in frames(spoiled)][1]
    content = bytearray(spoiled.read_bytes())
    content[second + 50] ^= 255
    spoiled.write_bytes(content)
    torn = log_of(root, "b")
    torn.write_bytes(torn.read_bytes() + b"x" * 20)
    wrong = log_of(root, "c").with_suffix(".idx")
    wrong.write_bytes(wrong.read_bytes()[:-40])
    left = log_of(root, "d").with_name(".00000007.idx.host.1.tmp")
    left.touch()
    told = {(f.path, f.damage) for f in verify(root)}
    assert told == {(spoiled, True), (torn, True), (wrong, True), (left, False)}
    done = cache("verify", "--root", root)
    assert done.returncode == 1
    assert f"{spoiled}: what lies at byte {second} is damaged and lost" in done.stdout
    assert f"{torn}: its last 20 bytes" in done.stdout
    assert "3 damaged, 1 lost" in done.stdout
    done = cache("verify", "--repair", "--root", root)
    assert done.returncode == 0
    assert "3 repaired; 1 lost" in done.stdout
    assert list(verify(root)) == []
    assert (stats(root).answers, stats(root).images) == (11, 4)
    assert Log(spoiled.parent).get(key("a", "j")) is None
    assert Log(spoiled.parent).get(key("a", 0)) is not None
    assert not list(root.rglob("*owner*"))


def test_a_bucket_in_use_is_named_and_left_alone(root: Path) -> None:
    with ReplyStore([bucket_of("a")], job="evolve/full/round_1/0", root=root) as store:
        store.own()
        store.put(bucket_of("a"), key("new"), answer("a", "large", "evolve"))
        log = sorted(log_of(root, "a").parent.glob("*.log"))[-1]
        with open(log, "ab") as file:
            file.write(b"half a fra")
        (found,) = verify(root)
        assert not found.damage
        assert "in use by evolve/full/round_1/0 (pid" in str(found)


def test_a_dead_owner_is_named_and_is_no_damage(root: Path) -> None:
    path = log_of(root, "a").with_name("owner")
    dead = {"host": socket.gethostname(), "pid": os.getpid(), "start": "1", "job": "the late job"}
    assert process_start(os.getpid()) != "1"
    path.write_text(json.dumps(dead))
    (found,) = verify(root)
    assert (found.path, found.damage) == (path, False)
    assert "the late job" in str(found)
    assert [str(f) for f in repair(root)] == []
    assert not path.exists()


def texts(root: Path) -> set[str]:
    logs = [p for kind in ("requests",) for p in root.glob(f"{kind}/*/*.log")]
    return {json.loads(payload)["answer"]["text"] for p in logs for _, _, payload in frames(p)}


def test_a_record_is_forgotten_with_its_pictures(root: Path) -> None:
    before = stats(root)
    done = cache("prune", "--record", "b", "--dry-run", "--root", root)
    assert done.stdout.startswith("would remove 3 answers and 1 encoded images")
    assert stats(root) == before
    done = cache("prune", "--record", "b", "--root", root)
    assert done.stdout.startswith("removed 3 answers and 1 encoded images")
    assert texts(root) == {f"{r} {n}" for r in "acd" for n in (0, 1)}
    assert not [p for p in root.rglob("*.*") if b"b 0" in p.read_bytes() or b"bbbb" in p.read_bytes()]
    assert (stats(root).answers, stats(root).images) == (9, 3)
    assert list(verify(root)) == []
    done = cache("prune", "--record", "b", "--root", root)
    assert done.stdout.startswith("removed 0 answers and 0 encoded images")


def test_a_picture_that_another_record_was_asked_about_stays(tmp_path: Path) -> None:
    twin = next(f"twin{n}" for n in range(9999) if bucket_of(f"twin{n}") == bucket_of("a"))
    bucket, shared = bucket_of("a"), key("picture")
    with ReplyStore([bucket], job="job", root=tmp_path) as store:
        store.own()
        store.put_image(bucket, shared, b"jpeg")
        for name in ("a", twin):
            store.put(bucket, key(name), answer(name, "m", "evolve", image=shared.hex()))
    assert prune(tmp_path, records=["a"], models=[], dry_run=False).images == 0
    assert prune(tmp_path, records=[twin], models=[], dry_run=False).images == 1


def test_a_death_between_answers_and_pictures_is_made_good_by_running_again(root: Path) -> None:
    bucket = root / "requests" / f"{bucket_of('b'):02x}"
    pictures = log_of(root, "b", "images").read_bytes()
    prune(root, records=["b"], models=[], dry_run=False)
    (root / "images" / bucket.name / "00000005.log").write_bytes(pictures)
    assert prune(root, records=["b"], models=[], dry_run=False).images == 1


def test_a_model_is_forgotten(root: Path) -> None:
    gone = prune(root, records=[], models=["small"], dry_run=False)
    assert (gone.answers, gone.images) == (4, 0)
    assert stats(root).by == {("large", "evolve"): 8}
    gone = prune(root, records=["a", "c"], models=["large", "small"], dry_run=False)
    assert (gone.answers, gone.images) == (4, 2)
    assert (stats(root).answers, stats(root).images) == (4, 2)


def test_something_to_forget_must_be_named(root: Path) -> None:
    done = cache("prune", "--root", root)
    assert done.returncode == 2
    assert "--record" in done.stderr
    assert stats(root).answers == 12
    with pytest.raises(BadInput, match="no reply store"):
        prune(root / "nowhere", records=["a"], models=[], dry_run=True)


def test_pruning_waits_for_the_owner(root: Path) -> None:
    import threading

    with ReplyStore([bucket_of("a")], job="a job", root=root) as store:
        store.own()
        waits = list[str]()
        options: Any = {"records": ["a"], "models": [], "dry_run": False, "on_wait": waits.append}
        thread = threading.Thread(target=prune, args=[root], kwargs=options, daemon=True)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        store.put(bucket_of("a"), key("a", "late"), answer("a", "large", "evolve"))
    thread.join(20)
    assert not thread.is_alive()
    assert "a job" in waits[0]
    assert stats(root).answers == 9
