from pathlib import Path
from statistics import mean

import pytest
from mmevol.config import BENCHMARKS
from mmevol.config.publish import PaperSettings
from mmevol.publish.paper import paper
from mmevol.publish.published import paper_rows
from mmevol.publish.results import AVERAGE, main_data, main_shown, read_scores, results
from mmevol.publish.table import read_table
from mmevol.records import BadInput
from small_study import Study


def test_the_papers_own_averages_are_those_of_its_rows() -> None:
    rows = paper_rows()
    assert len(rows) == 20 + 5 + 10
    for model in ("Seed-8B", "Seed-Qwen2-7B", "MMEvol-8B", "MMEvol-Qwen2-7B"):
        assert set(rows[model]) == {*BENCHMARKS, AVERAGE}
        assert mean(rows[model][b] for b in BENCHMARKS) == pytest.approx(rows[model][AVERAGE], abs=0.11), model
    assert rows["MMEvol-8B"][AVERAGE] - rows["Seed-8B"][AVERAGE] == pytest.approx(3.1)
    assert rows["MMEvol-Qwen2-7B"][AVERAGE] - rows["Seed-Qwen2-7B"][AVERAGE] == pytest.approx(4.0)
    assert "VQA_v2" not in rows["Yi-VL-6B"]


def test_ours_stand_beside_the_papers(study: Study, tmp_path: Path) -> None:
    results(study.results, evaluate=study.root / "evaluate", main=tmp_path / "main", benchmarks=tmp_path / "benchmarks")
    paper(PaperSettings(arms={"evolved": "MMEvol-8B"}), benchmarks=tmp_path / "benchmarks.csv", out=tmp_path / "paper")
    rows = read_table(tmp_path / "paper.csv")
    assert len(rows) == 14
    for row in rows:
        inside = float(row["low"]) <= float(row["paper"]) <= float(row["high"])
        assert row["paper inside the interval"] == ("yes" if inside else "no")
        assert float(row["ours − paper"]) == pytest.approx(float(row["ours"]) - float(row["paper"]), abs=1e-5)


def test_a_row_that_the_paper_does_not_have_is_bad_input(study: Study, tmp_path: Path) -> None:
    results(study.results, evaluate=study.root / "evaluate", main=tmp_path / "main", benchmarks=tmp_path / "benchmarks")
    with pytest.raises(BadInput, match=r"publish.paper.evolved[\s\S]*MMEvol-9B[\s\S]*MMEvol-8B"):
        paper(
            PaperSettings(arms={"evolved": "MMEvol-9B"}), benchmarks=tmp_path / "benchmarks.csv", out=tmp_path / "paper"
        )


def test_the_ablations_average_their_own_columns() -> None:
    rows = {
        name: row for name, row in paper_rows().items() if AVERAGE in row and "VQA_v2" not in row and "BLINK" not in row
    }
    for name, row in rows.items():
        mine = mean(value for column, value in row.items() if column != AVERAGE)
        assert mine == pytest.approx(row[AVERAGE], abs=0.11), name
    assert {"operations FP+I+CR+elimination", "ratio FP/I/CR 1/3 each", "method MIMIC-IT"} <= set(rows)


def test_the_main_table_has_the_difference_to_the_paper(study: Study) -> None:
    settings = study.results.model_copy(update={"paper": {"evolved": "operations FP"}})
    scores, theirs = read_scores(settings, study.root / "evaluate"), paper_rows()["operations FP"]
    shown = next(row for row in main_shown(scores, settings).rows if str(row[0]).startswith("Δ evolved − the paper's"))
    data = next(row for row in main_data(scores, settings).rows if row[:3] == ["evolved", "delta", "operations FP"])
    gaps = dict(zip((*settings.benchmarks, AVERAGE), data[3:], strict=True))
    assert {b for b, gap in gaps.items() if gap is not None} == set(theirs)
    for benchmark in set(theirs) - {AVERAGE}:
        ours = scores["evolved"][benchmark]
        assert ours and gaps[benchmark] == pytest.approx(ours.score - theirs[benchmark])
    assert gaps[AVERAGE] == pytest.approx(mean(gap for b, gap in gaps.items() if gap is not None and b != AVERAGE))
    assert shown[1] is None and str(shown[3])[0] in "+−0"
    assert main_shown(scores, study.results).rows == [
        r for r in main_shown(scores, settings).rows if r is not shown and "paper" not in str(r[0])
    ]
