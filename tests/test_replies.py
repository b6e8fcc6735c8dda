"""The reply store against a dictionary, against kill -9, a full disk and damage."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from mmevol import replies as module
from mmevol import segments
from mmevol.records import digest
from mmevol.replies import Log, ReplyStore
from mmevol.segments import HEAD, frames


def key(n: int) -> bytes:
    return bytes.fromhex(digest("key", n))


class LogAgainstDict(RuleBasedStateMachine):
    """Whatever is put, sealed, closed, opened anew or left by a dead writer: the log says what a dictionary would."""

    @initialize(seal=st.integers(2, 6))
    def begin(self, seal: int) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.before = module.SEAL, segments.FEW
        module.SEAL, segments.FEW = seal, 1
        self.log, self.model = Log(Path(self.folder.name) / "b"), dict[bytes, bytes]()

    @rule(n=st.integers(0, 12), payload=st.binary(max_size=60))
    def put(self, n: int, payload: bytes) -> None:
        self.log.put(key(n), payload)
        self.model.setdefault(key(n), payload)

    @rule()
    def seal(self) -> None:
        self.log.seal()

    @rule()
    def close_and_open(self) -> None:
        self.log.close()
        self.log = Log(self.log.folder)

    @rule()
    def merge_and_open(self) -> None:
        """As the next owner does; a reader that looked before goes on."""
        self.log.close()
        early = Log(self.log.folder)
        segments.tidy(self.log.folder)
        segments.merge(self.log.folder)
        assert {n: early.get(key(n)) for n in range(13)} == {n: self.model.get(key(n)) for n in range(13)}
        self.log = Log(self.log.folder)

    @rule()
    def die_and_open(self) -> None:
        self.log = Log(self.log.folder)

    @rule(torn=st.binary(min_size=1, max_size=39))
    def die_in_the_middle_of_a_frame(self, torn: bytes) -> None:
        if self.log._writing is not None:
            with open(self.log._writing.log(self.log.folder), "ab") as file:
                file.write(torn)
        self.log = Log(self.log.folder)

    @rule()
    def refresh(self) -> None:
        self.log.refresh()
        self.log.sync()

    @invariant()
    def same_as_the_dictionary(self) -> None:
        if hasattr(self, "model"):
            assert {n: self.log.get(key(n)) for n in range(13)} == {n: self.model.get(key(n)) for n in range(13)}

    def teardown(self) -> None:
        if hasattr(self, "before"):
            module.SEAL, segments.FEW = self.before
            self.folder.cleanup()


TestLogAgainstDict = LogAgainstDict.TestCase
TestLogAgainstDict.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.data())
def test_a_torn_tail_costs_the_last_frame_alone(tmp_path: Path, payloads: list[bytes], data: st.DataObject) -> None:
    path = tmp_path / digest(*payloads, os.urandom(8)) / "00000000.log"
    log = Log(path.parent)
    for n, payload in enumerate(payloads):
        log.put(key(n), payload)
    whole = path.read_bytes()
    ends = [offset + HEAD.size + len(payload) for _, offset, payload in frames(path)]
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    assert [p for _, _, p in frames(path)] == payloads[: sum(end <= cut for end in ends)]


def test_damage_costs_one_answer_and_says_how_to_mend(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for n in range(3):
        log.put(key(n), b"answer %d" % n)
    path = tmp_path / "00000000.log"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"answer 1", b"answer X"))
    assert [payload for _, _, payload in frames(path)] == [b"answer 0", b"answer 2"]
    log.close()
    sealed = Log(tmp_path)
    assert sealed.get(key(2)) == b"answer 2"
    with pytest.raises(OSError, match=r"00000000\.log.*mmevol cache verify --repair"):
        sealed.get(key(1))
    (tmp_path / "00000000.idx").unlink()
    mended = Log(tmp_path)
    assert [mended.get(key(n)) for n in range(3)] == [b"answer 0", None, b"answer 2"]
    mended.put(key(1), b"answer 1 again")
    assert mended.get(key(1)) == b"answer 1 again"


def test_a_damaged_length_is_not_believed(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.put(key(0), b"one")
    log.put(key(1), b"two")
    path = tmp_path / "00000000.log"
    content = bytearray(path.read_bytes())
    content[0:4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert [payload for _, _, payload in frames(path)] == [b"two"]
    with pytest.raises(OSError, match="damaged"):
        log.get(key(0))
    assert log.get(key(1)) == b"two"


WRITER = """
import os, sys
from pathlib import Path
from mmevol import replies
from mmevol.records import digest
replies.SEAL = 50
with replies.ReplyStore(range(2), job="writer", root=Path(sys.argv[1])) as store:
    store.own()
    for n in range(int(sys.argv[2])):
        key = bytes.fromhex(digest("key", n))
        if store.get(n % 2, key) is None:
            store.put(n % 2, key, {"n": n, "text": "x" * 3000})
            os.write(1, b"%d\\n" % n)
"""


def writer(root: Path, n: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(n)], stdout=subprocess.PIPE)


def test_kill_9_at_random_points_loses_and_doubles_nothing(tmp_path: Path) -> None:
    chance, told = random.Random(11), list[int]()
    for _ in range(6):
        process = writer(tmp_path, 3000)
        assert process.stdout
        told += [int(process.stdout.readline()) for _ in range(chance.randrange(1, 200))]
        time.sleep(chance.random() * 0.01)
        os.kill(process.pid, signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split()]
        process.wait()
        process.stdout.close()
        for bucket in range(2):
            log = Log(tmp_path / "requests" / f"{bucket:02x}")
            assert all(log.get(key(n)) for n in told if n % 2 == bucket)
    last = writer(tmp_path, 3000)
    assert last.stdout
    told += [int(line) for line in last.stdout.read().split()]
    last.stdout.close()
    assert last.wait() == 0
    kept = [k for path in sorted(tmp_path.rglob("*.log")) for k, _, _ in frames(path)]
    assert sorted(kept) == sorted(key(n) for n in range(3000))
    assert len(told) == len(set(told)) >= 3000 - 6  # put, but killed before it could say so
    assert not list(tmp_path.rglob("owner"))


def test_what_others_wrote_is_seen_once_the_bucket_is_ours(tmp_path: Path) -> None:
    early = ReplyStore([0, 1], job="early", root=tmp_path)
    assert early.get(0, key(0)) is None
    other = writer(tmp_path, 120)
    other.communicate()
    early.own()
    assert [early.get(n % 2, key(n)) is not None for n in range(121)] == [True] * 120 + [False]
    early.put(0, key(500), {"n": 500})
    assert early.get(0, key(500)) == {"n": 500}
    early.close()


def test_two_threads_may_ask_for_ownership(tmp_path: Path) -> None:
    """Evolver and judge share a store, and on a rerun either may be the first that has to ask."""
    store = ReplyStore(range(64), job="me", root=tmp_path)
    threads = [threading.Thread(target=store.own, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    store.put(5, key(1), {"a": 1})
    store.close()
    assert not list(tmp_path.rglob("*owner*"))


def test_nothing_is_put_without_ownership(tmp_path: Path) -> None:
    with ReplyStore([0], job="me", root=tmp_path / "r") as store:
        with pytest.raises(AssertionError, match="own"):
            store.put(0, key(0), {})
        assert store.get(0, key(0)) is None
    assert not (tmp_path / "r").exists()


def test_only_the_owner_reads_the_store(tmp_path: Path) -> None:
    with ReplyStore([7], job="me", root=tmp_path / "r") as store:
        store.own()
        store.put(7, key(0), {"text": "ä"})
        store.put_image(7, key(1), b"jpeg")
        assert store.image(7, key(1)) == b"jpeg"
        assert store.image(7, key(0)) is None
    assert (tmp_path / "r").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*.log"))
    assert {p.relative_to(tmp_path / "r").as_posix() for p in tmp_path.rglob("*.idx")} == {
        "requests/07/00000000.idx",
        "images/07/00000000.idx",
    }


FULL_DISK = """
import resource, sys
from pathlib import Path
from mmevol.replies import Log
log, key = Log(Path(sys.argv[1])), lambda n: bytes([n]) * 32
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        log.put(key(kept), b"x" * 3000)
        kept += 1
except OSError as error:
    print(type(error).__name__, kept)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.put(key(9), b"goes on")
log.close()
"""


def test_a_full_disk_is_an_error_and_corrupts_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["OSError", "3"]
    log = Log(tmp_path)
    assert [log.get(bytes([n]) * 32) for n in range(4)] == [b"x" * 3000] * 3 + [None]
    assert log.get(bytes([9]) * 32) == b"goes on"
    assert (
        sum(HEAD.size + len(p) for _, _, p in frames(tmp_path / "00000000.log"))
        == (tmp_path / "00000000.log").stat().st_size
    )


def test_a_folder_that_cannot_be_written_is_an_error_at_once() -> None:
    with ReplyStore([0], job="me", root=Path("/proc/mmevol")) as store:
        assert store.get(0, key(0)) is None
        with pytest.raises(OSError, match="/proc/mmevol"):
            store.own()
        assert not store.owned
