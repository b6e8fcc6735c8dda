"""The table of two judges' agreement: its figures by hand and by another's code, and what is left out."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config.publish import AgreementSettings, Judged
from mmevol.evolve.ask import seed_versions
from mmevol.publish.agreement import Pairs, agreement, agreement_table, agreements, difference, kappa, paired
from mmevol.publish.table import read_table
from mmevol.records import Candidate, Verdict
from mmevol.store import write_rows
from scripted import record
from sklearn.metrics import cohen_kappa_score


def row(first: dict[str, float], second: dict[str, float]) -> dict[str, Any]:
    said = [("a", n, v) for n, v in first.items()] + [("b", n, v) for n, v in second.items()]
    return {"verdicts": [{"judge": j, "name": n, "value": v} for j, n, v in said]}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_kappa_is_what_another_computes(said: list[tuple[bool, bool]]) -> None:
    first, second = zip(*said, strict=True)
    ours = kappa(Pairs((float(a), float(b)) for a, b in said))
    if len({*first, *second}) == 1:
        assert ours is None
    else:
        assert ours == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


def test_kappa_of_a_textbook_table() -> None:
    pairs = Pairs({(1.0, 1.0): 20, (1.0, 0.0): 5, (0.0, 1.0): 10, (0.0, 0.0): 15})
    assert agreement(pairs) == pytest.approx(0.7)
    assert kappa(pairs) == pytest.approx(0.4)


def test_only_what_both_judged_counts() -> None:
    rows = [
        row({"improved": 1, "difficulty": 3}, {"improved": 1, "difficulty": 5}),
        row({"improved": 1, "difficulty": 4, "answered_blind": 0}, {"improved": 0, "difficulty": 4}),
        row({"improved": 1}, {}),
        row({}, {"improved": 1}),
        {"verdicts": []},
    ]
    found = paired(rows, ("a", "b"))
    assert found["improved"] == {(1, 1): 1, (1, 0): 1}
    assert difference(found["difficulty"]) == 1
    assert not found["faithful"]
    assert agreement(found["faithful"]) is kappa(found["faithful"]) is difference(found["faithful"]) is None


def test_each_evolution_ends_with_all_its_rounds() -> None:
    one, two = paired([row({"improved": 1}, {"improved": 1})], ("a", "b")), paired([], ("a", "b"))
    rows = agreement_table({("x", 1): one, ("x", 2): two, ("y", 1): one}).rows
    assert [r[:2] for r in rows if r[2] == "improved"] == [["x", 1], ["x", 2], ["x", "all"], ["y", 1], ["y", "all"]]
    assert [r[3] for r in rows if r[2] == "improved"] == [1, 0, 1, 1, 1]


def test_the_files_of_a_study_become_a_table(tmp_path: Path) -> None:
    (parent,) = seed_versions(record("k"))
    for shard, values in enumerate([(1, 1), (1, 0)]):
        said = [Verdict(judge=j, name="improved", value=v) for j, v in zip("ab", values, strict=True)]
        candidate = Candidate(parent=parent, round=1, direction="reasoning", version=parent, failed=None, verdicts=said)
        write_rows(tmp_path / f"evolve/full/round_1/candidates/{shard}.parquet", "candidate", [candidate])
    settings = AgreementSettings(shards=2, evolutions={"full": Judged(rounds=1, judges=("a", "b"))})
    agreements(settings, evolve=tmp_path / "evolve", out=tmp_path / "agreement")
    rows = read_table(tmp_path / "agreement.csv")
    assert [(r["n"], r["agreement"]) for r in rows if r["verdict"] == "improved"] == [("2", "0.5")] * 2
