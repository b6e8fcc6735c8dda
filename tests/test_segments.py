"""Merging and rewriting segments: against a dictionary, and with death at every step."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmevol import replies, segments
from mmevol.records import digest
from mmevol.replies import Log, ReplyStore
from mmevol.segments import FEW, Segment, examine, frames, leftovers, live, merge, named, rewrite, tidy


def key(n: int) -> bytes:
    return bytes.fromhex(digest("key", n))


def bucket(folder: Path, sizes: list[int], payload: int = 50) -> dict[bytes, bytes]:
    """A bucket of finished segments of so many answers each, as that many jobs leave it; what it holds."""
    held = {}
    for size in sizes:
        log = Log(folder)
        for _ in range(size):
            name = key(len(held))
            held[name] = os.urandom(8) * (payload // 8)
            log.put(name, held[name])
        log.close()
    return held


def content(folder: Path) -> list[tuple[bytes, bytes]]:
    return sorted((k, payload) for s in live(folder) for k, _, payload in frames(s.log(folder)))


@given(st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 99))
def test_a_name_says_what_it_stands_for(first: int, last: int, generation: int) -> None:
    segment = Segment(first, last if generation else first, generation)
    assert named(segment.log(Path("x"))) == named(segment.idx(Path("x"))) == segment


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=25))
def test_merging_changes_nothing_but_the_number(tmp_path: Path, sizes: list[int]) -> None:
    folder = tmp_path / digest(sizes, os.urandom(8))
    held = bucket(folder, sizes)
    early = Log(folder)
    merge(folder)
    assert content(folder) == sorted(held.items())
    left = [s.log(folder).stat().st_size for s in live(folder)]
    if len(sizes) > FEW:
        assert all(size > sum(left[place + 1 :]) for place, size in enumerate(left))
    assert not leftovers(folder)
    for log in (early, Log(folder)):
        assert {k: log.get(k) for k in held} == held
    late = Log(folder)
    late.put(key(-1), b"goes on")
    late.close()
    assert Log(folder).get(key(-1)) == b"goes on"


def test_writing_costs_grow_with_the_logarithm_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    write = segments.framed

    def counted(name: bytes, payload: bytes) -> bytes:
        nonlocal written
        written += 1
        return write(name, payload)

    monkeypatch.setattr(segments, "framed", counted)
    jobs = 200
    for n in range(jobs):
        log = Log(tmp_path)
        log.put(key(n), b"x" * 50)
        log.close()
        merge(tmp_path)
    assert len(live(tmp_path)) <= FEW + 1
    assert written <= jobs * jobs.bit_length()
    assert len(content(tmp_path)) == jobs


def test_large_segments_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "LARGE", 5000)
    held = bucket(tmp_path, [1, 1, 100, 1, 1, 1, 1, 1, 1, 1, 1])
    merge(tmp_path)
    assert live(tmp_path) == [Segment(0, 1, 1), Segment(2, 2), Segment(3, 10, 1)]
    assert content(tmp_path) == sorted(held.items())


def test_of_a_key_that_is_there_twice_the_oldest_stays(tmp_path: Path) -> None:
    for n in range(FEW + 1):
        log = Log(tmp_path)
        log.put(key(0), b"%d" % n)
        log.put(key(n + 1), b"other")
        log.close()
    merge(tmp_path)
    assert len(live(tmp_path)) == 1
    assert Log(tmp_path).get(key(0)) == b"0"
    assert len(content(tmp_path)) == FEW + 2


def test_a_damaged_segment_is_not_merged(tmp_path: Path) -> None:
    held = bucket(tmp_path, [3] * 12)
    path = Segment(5, 5).log(tmp_path)
    spoiled = bytearray(path.read_bytes())
    spoiled[-1] ^= 1
    path.write_bytes(spoiled)
    merge(tmp_path)
    assert live(tmp_path) == [Segment(0, 4, 1), Segment(5, 5), Segment(6, 11, 1)]
    lost = key(3 * 6 - 1)
    with pytest.raises(replies.Damaged, match="cache verify --repair"):
        Log(tmp_path).get(lost)
    assert dict(content(tmp_path)) == {k: v for k, v in held.items() if k != lost}


STEPS = [(os, "replace"), (os, "fsync"), (Path, "unlink"), (os, "open")]


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process of its own that dies, as by kill -9, just before its `step`-th touch of the disk. Did it die?"""
    pid = os.fork()
    if pid == 0:
        count = 0

        def patched(function: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **more: object) -> object:
                nonlocal count
                count += 1
                if count > step:
                    os._exit(9)
                return function(*args, **more)

            return call

        for module, name in STEPS:
            setattr(module, name, patched(getattr(module, name)))
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9


def test_death_at_any_step_of_a_merge_loses_and_doubles_nothing(tmp_path: Path) -> None:
    held = bucket(tmp_path / "before", [2] * (FEW + 2))
    step = 0
    while True:
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "before", folder)
        early = Log(folder)
        died = dies_at(step, lambda folder=folder: merge(folder))  # type: ignore[misc]
        assert content(folder) == sorted(held.items()), step
        for log in (early, Log(folder)):
            assert {k: log.get(k) for k in held} == held, step
        with ReplyStore([0], job="next", root=tmp_path / f"store{step}") as store:
            shutil.copytree(folder, tmp_path / f"store{step}" / "requests" / "00")
            store.own()
            assert not leftovers(tmp_path / f"store{step}" / "requests" / "00"), step
            assert content(tmp_path / f"store{step}" / "requests" / "00") == sorted(held.items()), step
        if not died:
            break
        step += 1
    assert step > 2 * FEW  # it had that many chances to die


def test_death_at_any_step_of_forgetting_leaves_all_or_what_is_kept(tmp_path: Path) -> None:
    held = bucket(tmp_path / "before", [2, 2, 2])
    gone = {key(2), key(3)}  # the middle segment whole
    kept = sorted((k, v) for k, v in held.items() if k not in gone)
    step = 0
    while True:
        folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "before", folder)
        died = dies_at(step, lambda folder=folder: rewrite(folder, [Segment(1, 1)], lambda k, _: k not in gone))  # type: ignore[misc]
        assert content(folder) in (sorted(held.items()), kept), step
        if not died:
            break
        tidy(folder)
        assert not leftovers(folder), step
        assert content(folder) in (sorted(held.items()), kept), step
        step += 1
    assert content(folder) == kept
    assert live(folder) == [Segment(0, 0), Segment(2, 2)]
    assert step > 5


def test_a_reader_goes_on_while_segments_are_merged_and_numbers_used_again(tmp_path: Path) -> None:
    bucket(tmp_path, [1, 1])
    early = Log(tmp_path)
    assert early.get(key(1))
    rewrite(tmp_path, [Segment(1, 1)], lambda k, _: False)
    late = Log(tmp_path)
    late.put(key(7), b"under an old name")
    late.close()
    assert (early.get(key(1)), early.get(key(7))) == (None, b"under an old name")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), sealed=st.booleans())
def test_damage_anywhere_costs_the_frame_that_it_hit(tmp_path: Path, data: st.DataObject, sealed: bool) -> None:
    folder = tmp_path / digest(os.urandom(8))
    held = bucket(folder, [6])
    (segment,) = live(folder)
    path = segment.log(folder)
    starts = [offset for _, offset, _ in frames(path)]
    if not sealed:
        segment.idx(folder).unlink()
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    hit = max(n for n, start in enumerate(starts) if start <= at)
    found = examine(folder, segment)
    assert set(found.entries) == {key(n) for n in range(6)} - {key(hit)}
    assert bool(found.damaged) != bool(found.torn)
    assert found.indexed == (not sealed)
    rewrite(folder, [segment])
    assert dict(content(folder)) == {k: v for k, v in held.items() if k != key(hit)}
