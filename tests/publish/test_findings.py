from pathlib import Path

import pytest
from mmevol.config.publish import FindingsSettings, RoundsSettings
from mmevol.publish.elimination import elimination
from mmevol.publish.findings import findings, gain
from mmevol.publish.results import results
from mmevol.publish.rounds import rounds
from small_study import Study

SETTINGS = FindingsSettings(arm="evolved", baseline="seed_matched", evolution="full")


def row(delta: str, low: str, high: str, against: str = "seed_matched") -> list[dict[str, str]]:
    mine = {"arm": "evolved", "benchmark": "average", "n": "1560", "against": against, "delta": delta}
    return [
        {"arm": "evolved", "benchmark": "MME"},
        mine | {"delta_low": low, "delta_high": high, "smallest_detectable": "3.25"},
    ]


@pytest.mark.parametrize(
    ("delta", "low", "high", "said"),
    [
        ("2.5", "0.4", "4.6", "+2.5 points, 95 % interval [+0.4, +4.6]: evolved beats seed_matched."),
        ("1.0", "-1.2", "3.2", "evolved does not beat seed_matched beyond chance"),
        ("1.0", "-1.2", "3.2", "the smallest difference that this many rows could have shown is 3.2."),
        ("-3.0", "-5", "-1", "[−5.0, −1.0]: evolved does not beat seed_matched; it is worse."),
        ("2.0", "", "", "too few rows for an interval"),
    ],
)
def test_the_gain_is_told_as_measured(delta: str, low: str, high: str, said: str) -> None:
    assert said in gain(SETTINGS, row(delta, low, high))
    assert "average of 1 benchmarks (n = 1,560)" in gain(SETTINGS, row(delta, low, high))


@pytest.mark.parametrize("rows", [[], row("1", "0", "2", against="seed"), row("", "", "")])
def test_what_was_not_measured_is_not_told(rows: list[dict[str, str]]) -> None:
    assert "not measured" in gain(SETTINGS, rows)


def test_three_lines_from_the_tables(study: Study, tmp_path: Path) -> None:
    evolve = study.root / "evolve"
    results(study.results, evaluate=study.root / "evaluate", main=tmp_path / "main", benchmarks=tmp_path / "benchmarks")
    rounds(study.rounds, shards=study.shards, evolve=evolve, out=tmp_path / "rounds")
    elimination(RoundsSettings(shards=2, evolutions={"full": [1, 2, 3]}), evolve=evolve, out=tmp_path / "elimination")
    findings(SETTINGS, tables=tmp_path, out=tmp_path / "findings.txt")
    first, second, third = (tmp_path / "findings.txt").read_text().splitlines()
    assert first.startswith("Gain: evolved − seed_matched, average of 13 benchmarks") and "beats" in first
    assert second.startswith("Yield: full sent 540 Q&A") and "by round" in second and "eliminated (most: " in second
    assert third.startswith("Gates: of ") and "planted faults" in third
    assert (tmp_path / "findings.provenance.json").exists()


def test_a_study_that_only_makes_data_has_three_lines_too(tmp_path: Path) -> None:
    findings(FindingsSettings(arm="evolved", baseline="b"), tables=tmp_path, out=tmp_path / "findings.txt")
    assert [line.split(":")[0] for line in (tmp_path / "findings.txt").read_text().splitlines()] == [
        "Gain",
        "Yield",
        "Gates",
    ]
