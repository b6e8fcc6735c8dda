"""The thresholds, and a ledger that closes whatever comes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmevol.config import Eliminate, EliminateSettings
from mmevol.evolve.ask import seed_version
from mmevol.evolve.eliminate import eliminate, elimination, likeness, text_of
from mmevol.records import QA, Candidate, Frontier, Outcome, Reason, Verdict, Version, qa_id
from mmevol.store import file_digest, order_of, read_rows, write_json, write_rows
from scripted import record

texts = st.text(alphabet="ab cd.ä", max_size=20)


@given(texts, texts)
def test_likeness_has_no_order_and_a_range(a: str, b: str) -> None:
    assert likeness(a, b) == likeness(b, a)
    assert 0 <= likeness(a, b) <= 1
    assert likeness(a, a) == 1


def test_likeness_sees_words() -> None:
    assert likeness("What color is the red cup?", "what COLOR is a red cup") == 1
    assert likeness("What color is the cup?", "Why do birds sing at dawn?") == 0
    assert 0 < likeness("What color is the small cup?", "What color is the large cup?") < 0.9


def version(parent: Version, round_: int, text: str, direction: str = "reasoning") -> Version:
    qa = QA(question=text, answer=f"answer to {text}")
    id_ = qa_id(parent.record, parent.id, round_, direction, qa)
    return Version(
        id=id_, line=parent.line, record=parent.record, parent=parent.id, round=round_, direction=direction, qa=qa
    )


def parent(key: str = "r", n: int = 0) -> Version:
    return seed_version(record(key), QA(question=f"Question number {n} about {key}?", answer=f"a{n}"))


def said(**values: float) -> list[Verdict]:
    good = {"improved": 1.0, "difficulty": 5.0, "faithful": 1.0, "image_needed": 1.0, "answered_blind": 0.0}
    return [Verdict(judge="j", name=k, value=v) for k, v in (good | values).items()]


def candidate(
    verdicts: list[Verdict], text: str = "A wholly different thing, is it not?", old: Version | None = None
) -> Candidate:
    old = old or parent()
    return Candidate(
        parent=old, round=1, direction="reasoning", version=version(old, 1, text), failed=None, verdicts=verdicts
    )


@pytest.mark.parametrize(
    ("values", "off", "reason"),
    [
        ({}, {}, None),
        ({"improved": 0}, {"improved": False}, Reason.NOT_IMPROVED),
        ({"faithful": 0}, {"faithful": False}, Reason.UNFAITHFUL),
        ({"image_needed": 0}, {"image_needed": False}, Reason.IMAGE_NOT_NEEDED),
        ({"answered_blind": 1}, {"answered_blind": False}, Reason.ANSWERED_BLIND),
        ({"difficulty": 2.9}, {"min_difficulty": 2.9}, Reason.TOO_EASY),
    ],
)
def test_each_threshold_has_its_reason_and_can_be_switched_off(
    values: dict[str, float], off: dict[str, Any], reason: Reason | None
) -> None:
    assert elimination(candidate(said(**values)), [], Eliminate(min_difficulty=3)) == reason
    assert elimination(candidate(said(**values)), [], Eliminate(min_difficulty=3).model_copy(update=off)) is None


def test_an_unjudged_candidate_goes_unless_nothing_is_asked_of_it() -> None:
    assert elimination(candidate([]), [], Eliminate()) == Reason.UNJUDGED
    assert elimination(candidate([]), [], Eliminate().unjudged()) is None
    assert (
        elimination(candidate([]), [], Eliminate().unjudged().model_copy(update={"min_difficulty": 1}))
        == Reason.UNJUDGED
    )


def pair(first: dict[str, float], second: dict[str, float]) -> Candidate:
    """A candidate that two judges have judged; the blind check is the first's."""
    one, two = (
        [v.model_copy(update={"judge": name}) for v in said(**of)] for name, of in (("a", first), ("b", second))
    )
    return candidate([*one, *(v for v in two if v.name != "answered_blind")])


@pytest.mark.parametrize(
    ("first", "second", "reasons"),
    [
        ({}, {}, (None, None, None)),
        ({"faithful": 0}, {}, (Reason.UNFAITHFUL, Reason.UNFAITHFUL, None)),
        ({}, {"improved": 0}, (None, Reason.NOT_IMPROVED, None)),
        ({"faithful": 0}, {"improved": 0}, (Reason.UNFAITHFUL,) * 3),
    ],
)
def test_two_judges_are_combined_as_the_study_says(
    first: dict[str, float], second: dict[str, float], reasons: tuple[Reason | None, ...]
) -> None:
    found = [
        elimination(pair(first, second), [], Eliminate(combine=rule), ["a", "b"])
        for rule in ("first", "both", "either")
    ]
    assert tuple(found) == reasons


def test_what_is_answered_blind_goes_whoever_decides() -> None:
    c = pair({"answered_blind": 1}, {})
    for rule in ("first", "both", "either"):
        assert elimination(c, [], Eliminate(combine=rule), ["a", "b"]) == Reason.ANSWERED_BLIND


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_both_is_stricter_than_first_and_either_milder(values: list[bool]) -> None:
    names = ("improved", "faithful", "image_needed")
    c = pair(dict(zip(names, values[:3], strict=True)), dict(zip(names, values[3:], strict=True)))
    first, both, either = (
        elimination(c, [], Eliminate(combine=rule), ["a", "b"]) is None for rule in ("first", "both", "either")
    )
    assert both <= first <= either


def test_a_near_duplicate_of_any_earlier_version_goes() -> None:
    c = candidate(said(), "What is to the left of the small red cup here?")
    assert c.version
    again, other = text_of(c.version.qa), "Why do birds sing at dawn?"
    assert elimination(c, [other, again, other], Eliminate()) == Reason.NEAR_DUPLICATE
    assert elimination(c, [other, again], Eliminate(near_duplicate=None)) is None
    assert elimination(c, [other], Eliminate()) is None


@st.composite
def rounds(draw: st.DrawFn) -> tuple[list[Version], list[list[Candidate]]]:
    """Seeds of some records, and two rounds of random candidates made of whatever the frontier then holds."""
    records = sorted(draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4)), key=order_of)
    return [parent(r, n) for r in records for n in range(draw(st.integers(1, 3)))], []


def some(draw: st.DrawFn, old: Version, round_: int) -> Candidate:
    base = {"parent": old, "round": round_, "direction": "reasoning"}
    if draw(st.booleans()):
        return Candidate(**base, version=None, failed=draw(st.sampled_from([Reason.MISSING, Reason.REFUSAL])))
    made = version(
        old, round_, draw(st.sampled_from([old.qa.question, "Something quite new, is it?", "Else entirely, or not?"]))
    )
    values = {k: float(draw(st.booleans())) for k in ("improved", "faithful", "image_needed", "answered_blind")}
    verdicts = said(**values, difficulty=draw(st.integers(0, 10))) if draw(st.booleans()) else []
    return Candidate(**base, version=made, failed=None, verdicts=verdicts)


thresholds = st.none() | st.builds(
    Eliminate,
    improved=st.booleans(),
    faithful=st.booleans(),
    image_needed=st.booleans(),
    answered_blind=st.booleans(),
    min_difficulty=st.floats(0, 10),
    near_duplicate=st.none() | st.floats(0.1, 1),
)


def run(
    folder: Path, round_: int, candidates: list[Candidate], t: Eliminate | None
) -> tuple[list[Frontier], list[Outcome], dict[str, Any]]:
    at = folder / f"round_{round_}"
    write_rows(at / "candidates.parquet", "candidate", candidates)
    write_json(at / "candidates.json", {"requests": {"evolve": 3}})
    eliminate(
        EliminateSettings(thresholds=t),
        candidates=at / "candidates.parquet",
        before=folder / f"round_{round_ - 1}" / "frontier.parquet" if round_ > 1 else None,
        requests=at / "candidates.json",
        frontier=at / "frontier.parquet",
        outcomes=at / "outcomes.parquet",
        ledger=at / "ledger.json",
    )
    frontier = list(read_rows(at / "frontier.parquet", "frontier"))
    return frontier, list(read_rows(at / "outcomes.parquet", "outcome")), json.loads((at / "ledger.json").read_text())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.lists(thresholds, min_size=3, max_size=3))
def test_the_ledger_closes_and_each_line_has_one_row(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, t: list[Eliminate | None]
) -> None:
    folder = tmp_path_factory.mktemp("rounds")
    versions, _ = data.draw(rounds())
    history: dict[str, list[str]] = {v.line: [] for v in versions}
    for round_ in (1, 2, 3):
        candidates = [data.draw(st.composite(some)(v, round_)) for v in versions]
        frontier, outcomes, ledger = run(folder, round_, candidates, t[round_ - 1])
        assert [row.version.line for row in frontier] == [v.line for v in versions]
        assert [o.parent for o in outcomes] == [v.id for v in versions]
        survived = [o for o in outcomes if o.outcome == "survived"]
        assert ledger["sent"] == len(versions) == len(outcomes)
        assert ledger["survived"] == len(survived)
        assert sum(ledger["eliminated"].values()) == sum(o.outcome == "eliminated" for o in outcomes)
        assert sum(ledger["failed"].values()) == sum(o.outcome == "failed" for o in outcomes)
        assert ledger["requests"] == {"evolve": 3}
        for old, c, o, row in zip(versions, candidates, outcomes, frontier, strict=True):
            assert (o.outcome == "failed") == (c.version is None)
            assert bool(o.reason) == (o.outcome != "survived")
            assert t[round_ - 1] or o.outcome != "eliminated"
            if o.outcome == "survived":
                assert row.version == c.version
                history[old.line].append(text_of(old.qa))
            else:
                assert row.version == old
            assert row.history == history[old.line]
        versions = [row.version for row in frontier]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    candidates = [candidate(said(), old=parent(key)) for key in sorted("abc", key=order_of)]
    digests = []
    for n in range(2):
        run(tmp_path / str(n), 1, candidates, Eliminate())
        digests.append([file_digest(p) for p in sorted((tmp_path / str(n)).rglob("*.*"))])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 5


@pytest.mark.parametrize("lost", ["the last record", "a record between", "a line of a record"])
def test_a_frontier_row_without_a_candidate_is_not_dropped_silently(tmp_path: Path, lost: str) -> None:
    a, b, c = sorted("abc", key=order_of)
    versions = [parent(a), parent(b), parent(b, 1), parent(c)]
    run(tmp_path, 1, [candidate(said(), old=v) for v in versions], None)
    frontier = [row.version for row in read_rows(tmp_path / "round_1" / "frontier.parquet", "frontier")]
    gone = {"the last record": [3], "a record between": [1, 2], "a line of a record": [2]}[lost]
    left = [candidate(said(), old=v) for i, v in enumerate(frontier) if i not in gone]
    with pytest.raises(AssertionError, match=r"differ at record|no row for"):
        run(tmp_path, 2, left, None)
    assert not (tmp_path / "round_2" / "frontier.parquet").exists()


def test_a_parent_that_was_sent_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="sent twice"):
        run(tmp_path, 1, [candidate(said()), candidate(said())], None)
