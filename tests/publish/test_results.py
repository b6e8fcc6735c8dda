import json
from pathlib import Path
from statistics import mean, stdev

import pytest
from mmevol.config import BENCHMARKS
from mmevol.config.publish import ResultsSettings
from mmevol.publish.results import AVERAGE, Measured, combined, details, main_data, main_shown, read_scores, results
from mmevol.publish.table import read_table
from mmevol.store import write_json
from scipy.stats import ttest_rel
from small_study import Study, score, write_scores


def path(root: Path, arm: str, benchmark: str, run: int = 0) -> Path:
    return root / "evaluate" / arm / f"seed_{run}" / benchmark / "score.mmevol.json"


def test_every_arm_and_benchmark_has_its_row(study: Study, tmp_path: Path) -> None:
    results(study.results, evaluate=study.root / "evaluate", main=tmp_path / "main", benchmarks=tmp_path / "benchmarks")
    rows = read_table(tmp_path / "benchmarks.csv")
    assert [(r["arm"], r["benchmark"]) for r in rows] == [
        (arm, b) for arm in study.results.runs for b in (*BENCHMARKS, AVERAGE)
    ]
    by = {(r["arm"], r["benchmark"]): r for r in rows}
    for arm in study.results.runs:
        average = mean(float(by[arm, b]["score"]) for b in BENCHMARKS)
        assert float(by[arm, AVERAGE]["score"]) == pytest.approx(average, abs=1e-5)
        assert by[arm, AVERAGE]["n"] == str(120 * 13)
    assert {r["against"] for r in rows} == {"", "seed_matched", "evolved"}
    assert all(r["against"] == "evolved" for r in rows if r["arm"] == "evolved.blind")
    assert all(r["against"] == "" for r in rows if r["arm"] == "seed_matched")


def test_the_difference_is_paired_and_clustered_by_image(study: Study) -> None:
    """Two questions an image: the interval is that of a paired t-test over the images' means."""
    scores = read_scores(study.results, study.root / "evaluate")
    files = [json.loads(path(study.root, arm, "GQA").read_text()) for arm in ("evolved", "seed_matched")]
    by_image = [[mean([f["correct"][str(2 * i)], f["correct"][str(2 * i + 1)]]) for i in range(60)] for f in files]
    expected = ttest_rel(*by_image).confidence_interval()
    left, right = scores["evolved"]["GQA"], scores["seed_matched"]["GQA"]
    assert left and right
    found = left.minus(right)
    assert found and (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    own, other = left.estimate(), right.estimate()
    assert own and other and found.standard_error < (own.standard_error**2 + other.standard_error**2) ** 0.5


def test_an_arm_against_itself_has_no_difference_and_no_interval(study: Study) -> None:
    m = read_scores(study.results, study.root / "evaluate")["evolved"]["MME"]
    assert m and m.minus(m) is None


def test_questions_that_only_one_arm_answered_still_count() -> None:
    left = Measured((60.0,), 2, ({"a": 3.0, "b": -3.0},))
    right = Measured((50.0,), 2, ({"a": 3.0, "c": -3.0},))
    found = left.minus(right)
    assert found and found.value == 10 and found.standard_error == pytest.approx((3 / 2 * 18) ** 0.5)


def test_an_average_that_owes_all_to_one_small_benchmark_is_no_surer_than_that() -> None:
    """Three of six rows against none, and two benchmarks where nothing differs: the interval of the average holds 0 too."""
    six = {str(i): (100 * (i < 3) - 50) / 6 for i in range(6)}
    still = {f"image {i}": 0.0 for i in range(100)}
    left = Measured((50.0,), 6, (six,))
    right = Measured((0.0,), 6, (dict.fromkeys(six, 0.0),))
    alone = left.minus(right)
    flat = Measured((0.0,), 100, (still,))
    together = combined([left, flat, flat]).minus(combined([right, flat, flat]))
    assert alone and together and alone.low < 0 < alone.high
    for name in ("value", "low", "high", "standard_error", "smallest"):
        assert getattr(together, name) == pytest.approx(getattr(alone, name) / 3), name


def test_an_image_that_benchmarks_share_is_one_in_the_average() -> None:
    once = {"a": 1.0, "b": -1.0, "c": 0.0}
    apart = {"d": 1.0, "e": -1.0, "f": 0.0}

    def average(second: dict[str, float], level: float) -> Measured:
        parts = [{image: level * v for image, v in part.items()} for part in (once, second)]
        return combined([Measured((level,), 3, (part,)) for part in parts])

    same, different = (average(second, 1.0).minus(average(second, 0.0)) for second in (once, apart))
    assert same and different and same.standard_error == pytest.approx(2**0.5 * different.standard_error)


def test_a_benchmark_without_number_is_left_out_of_every_average(study: Study, tmp_path: Path) -> None:
    write_scores(tmp_path, {"seed_matched": 0.4, "evolved": 0.6}, n=20)
    settings = ResultsSettings(
        benchmarks=["MME", "BLINK", "GQA"], arms=[("seed_matched", [0]), ("evolved", [0])], baseline="seed_matched"
    )
    broken = path(tmp_path, "evolved", "BLINK")
    write_json(broken, json.loads(broken.read_text()) | {"reported": None, "influence": {}, "image": {}})
    scores = read_scores(settings, tmp_path / "evaluate")
    for arm in settings.runs:
        average, parts = scores[arm][AVERAGE], [scores[arm][b] for b in ("MME", "GQA")]
        assert average and average.score == pytest.approx(mean(p.score for p in parts if p))
    shown = main_shown(scores, settings)
    assert any("left out" in note and "BLINK" in note for note in shown.notes)
    row = next(r for r in shown.rows if r[0] == "evolved")
    assert row[2] is None and row[1] is not None
    assert all(len(r) == 4 + 14 for r in details(scores, settings).rows)


def test_several_runs_have_mean_spread_and_wider_intervals(tmp_path: Path) -> None:
    write_scores(tmp_path, {"seed_matched": 0.4, "evolved": 0.6}, runs=3, n=60)
    arms = [("seed_matched", [0, 1, 2]), ("evolved", [0, 1, 2])]
    scores = read_scores(ResultsSettings(benchmarks=["MME"], arms=arms, baseline="seed_matched"), tmp_path / "evaluate")
    runs = [json.loads(path(tmp_path, "evolved", "MME", k).read_text())["reported"] for k in range(3)]
    m, base = scores["evolved"]["MME"], scores["seed_matched"]["MME"]
    assert m and base and m.score == pytest.approx(mean(runs)) and m.spread == pytest.approx(stdev(runs))
    with_runs, rows_alone = (
        m.minus(base),
        Measured((m.score,), m.n, m.parts).minus(Measured((base.score,), base.n, base.parts)),
    )
    assert with_runs and rows_alone and with_runs.standard_error > rows_alone.standard_error
    shown = main_shown(scores, ResultsSettings(benchmarks=["MME"], arms=arms, baseline="seed_matched"))
    assert [r[0] for r in shown.rows[:3]] == ["n", "seed_matched (3 runs)", "· spread of seed_matched"]


def test_without_a_baseline_nothing_is_compared(study: Study) -> None:
    settings = study.results.model_copy(update={"baseline": None, "arms": [("seed", [0]), ("evolved", [0])]})
    scores = read_scores(settings, study.root / "evaluate")
    assert not any("Δ" in str(row[0]) for row in main_shown(scores, settings).rows)
    assert {row[1] for row in main_data(scores, settings).rows} == {"score", "standard_error", "n"}


def test_tables_do_not_depend_on_the_order_of_rows_in_a_score(study: Study, tmp_path: Path) -> None:
    settings = ResultsSettings(benchmarks=["MME"], arms=[("a", [0]), ("b", [0])], baseline="b")
    image = {str(i): f"scene_{i // 3}" for i in range(30)}
    for arm, shift in (("a", 1), ("b", 2)):
        value = score("MME", {key: float(int(key) % 3 < shift) for key in image}, image)
        backwards = value | {name: dict(reversed(value[name].items())) for name in ("correct", "influence", "image")}
        for name, one in (("x", value), ("y", backwards)):
            file = path(tmp_path / name, arm, "MME")
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(one))
    for name in ("x", "y"):
        out = tmp_path / name
        results(settings, evaluate=out / "evaluate", main=out / "main", benchmarks=out / "benchmarks")
    for file in ("main.csv", "main.md", "main.tex", "main.html", "benchmarks.csv"):
        assert (tmp_path / "x" / file).read_bytes() == (tmp_path / "y" / file).read_bytes()
