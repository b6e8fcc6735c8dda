from pathlib import Path
from statistics import mean

import pytest
from mmevol.config import BENCHMARKS
from mmevol.config.publish import PaperSettings
from mmevol.publish.paper import paper, paper_rows
from mmevol.publish.results import AVERAGE, results
from mmevol.publish.table import read_table
from mmevol.records import BadInput
from small_study import Study


def test_the_papers_own_averages_are_those_of_its_rows() -> None:
    rows = paper_rows()
    assert len(rows) == 20
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
