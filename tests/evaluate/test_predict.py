"""Predicting: result files in official form, a killed job goes on, another model starts afresh, blind means grey."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Run
from mmevol.config.commands import PredictSettings
from mmevol.evaluate import predict as predicting
from mmevol.evaluate.benchmarks import GREY, rows
from mmevol.evaluate.predict import gather, journal, predict, predict_part
from mmevol.evaluate.prompts import SELECT
from mmevol.records import BadInput
from mmevol.train import generate
from mmevol.train.generate import Item
from mmevol.train.tokenizer import Chat


class Model:
    """Stands for a trained model: answers with the number of the question, and dies when told to."""

    def __init__(self) -> None:
        self.asked: list[Item] = []
        self.beams: set[int] = set()
        self.limits: set[int] = set()
        self.grid = ""
        self.dies_after: int | None = None

    def load(self, folder: Path, *, threads: int, grid: str) -> tuple["Model", None]:
        assert threads == 1
        self.grid = grid
        return self, None

    def answer(
        self,
        model: "Model",
        _: None,
        items: Sequence[Item],
        *,
        max_new_tokens: int,
        batch: int,
        beams: int,
        chat: Chat | None,
    ) -> list[str]:
        assert model is self
        self.beams.add(beams)
        self.limits.add(max_new_tokens)
        said = []
        for item in items:
            if self.dies_after is not None and len(self.asked) >= self.dies_after:
                raise KeyboardInterrupt
            self.asked.append(item)
            said.append(f"say {item.question}")
        return said


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    fake = Model()
    monkeypatch.setattr(generate, "load", fake.load)
    monkeypatch.setattr(generate, "answer", fake.answer)
    monkeypatch.setattr(generate, "layout", lambda processor: "tiny")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text("{}")
    return fake


def run(benchmarks: Path, tmp_path: Path, names: list[str], **settings: Any) -> Path:
    out = tmp_path / "arm" / "seed_0"
    made = PredictSettings(**{"benchmarks": names, "batch": 2} | settings)
    predict(made, run=Run(), model=tmp_path / "model", data=benchmarks, out=out)
    return out


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_all_benchmarks_in_order(benchmarks: Path, tmp_path: Path, model: Model) -> None:
    names = ["MME", "VQA_v2", "GQA", "MIA-Bench", "MMSInst", "BLINK"]
    out = run(benchmarks, tmp_path, names, beams=3)
    for name in names:
        wanted = [row.result(f"say {row.text}") for row in rows(name, benchmarks / name, "plain")]
        assert lines(out / name / "predictions.jsonl") == wanted
        assert not journal(out / name).exists()
    assert model.beams == {1, 3}
    assert all(len(item.images) == 1 for item in model.asked)
    assert (model.limits, model.grid) == ({48}, "trained")


def test_what_the_reference_does(benchmarks: Path, tmp_path: Path, model: Model) -> None:
    names = ["MMStar", "POPE", "GQA", "MIA-Bench", "BLINK"]
    out = run(benchmarks, tmp_path, names, prompts="reference", max_new_tokens=None, beams=3, grid="square")
    assert (model.beams, model.limits, model.grid) == ({1, 3}, {1224, 1027, 1024}, "square")
    for name in names:
        wanted = [row.result(f"say {row.text}") for row in rows(name, benchmarks / name, "reference")]
        assert lines(out / name / "predictions.jsonl") == wanted
    several = [row.text for row in rows("BLINK", benchmarks / "BLINK", "reference") if len(row.pictures) > 1]
    assert several and sorted(item.question for item in model.asked if item.system) == sorted(several)
    assert {item.system for item in model.asked} == {"", SELECT}


def test_questions_of_a_length_share_a_batch(benchmarks: Path, tmp_path: Path, model: Model) -> None:
    run(benchmarks, tmp_path, ["POPE"])
    lengths = [len(item.question) for item in model.asked]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1]


def test_a_killed_job_goes_on(benchmarks: Path, tmp_path: Path, model: Model) -> None:
    model.dies_after = 20
    with pytest.raises(KeyboardInterrupt):
        run(benchmarks, tmp_path, ["POPE"])
    folder = tmp_path / "arm" / "seed_0" / "POPE"
    assert not (folder / "predictions.jsonl").exists()
    with open(journal(folder), "a") as file:
        file.write('["7", "broken o')  # the line in which a kill struck
    model.dies_after = None
    out = run(benchmarks, tmp_path, ["POPE"])
    step = 2 * predicting.CHUNK
    assert len(model.asked) == 60 + 20 % step  # only the unfinished chunk is asked twice
    first = (out / "POPE" / "predictions.jsonl").read_bytes()
    model.asked.clear()
    run(benchmarks, tmp_path, ["POPE"])
    assert (out / "POPE" / "predictions.jsonl").read_bytes() == first and len(model.asked) == 60


def test_parts_are_the_whole(benchmarks: Path, tmp_path: Path, model: Model) -> None:
    names = ["MME", "POPE", "VQA_v2", "MIA-Bench"]
    whole = run(benchmarks, tmp_path, names)
    settings = PredictSettings(benchmarks=names, batch=2)
    out, parts = tmp_path / "arm" / "seed_1", []
    for part in (2, 0, 1):
        model.asked.clear()
        given: dict[str, Any] = {"model": tmp_path / "model", "data": benchmarks, "out": out}
        predict_part(settings, run=Run(), part=part, parts=3, **given)
        parts.append(out / "parts" / f"{part}.json")
        assert model.asked
    gather(settings, data=benchmarks, parts=parts, out=out)
    for name in names:
        made, wanted = out / name / "predictions.jsonl", whole / name / "predictions.jsonl"
        assert made.read_bytes() == wanted.read_bytes()
    sizes = [sum(map(len, json.loads(part.read_text()).values())) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(p.name for p in (out / "parts").iterdir()) == ["0.json", "1.json", "2.json"]
    with pytest.raises(BadInput, match="no answer to"):
        gather(settings, data=benchmarks, parts=parts[:2], out=out)
    for broken in (out / "parts", out / "MME" / "predictions.jsonl"):
        with pytest.raises(BadInput, match="parts/<i>"):
            gather(settings, data=benchmarks, parts=[broken], out=out)


def test_a_killed_job_keeps_the_benchmarks_that_it_had_answered(benchmarks: Path, tmp_path: Path, model: Model) -> None:
    model.dies_after = 70
    with pytest.raises(KeyboardInterrupt):
        run(benchmarks, tmp_path, ["POPE", "MME"])
    model.dies_after = None
    model.asked.clear()
    run(benchmarks, tmp_path, ["POPE", "MME"])
    whole = 10 // (2 * predicting.CHUNK) * 2 * predicting.CHUNK  # of the ten rows of MME that it had answered
    assert len(model.asked) == len(list(rows("MME", benchmarks / "MME"))) - whole


@pytest.mark.parametrize("change", ["model", "settings"])
def test_another_model_does_not_go_on(benchmarks: Path, tmp_path: Path, model: Model, change: str) -> None:
    model.dies_after = 20
    with pytest.raises(KeyboardInterrupt):
        run(benchmarks, tmp_path, ["POPE"])
    model.dies_after = None
    model.asked.clear()
    if change == "model":
        (tmp_path / "model" / "manifest.json").write_text("[]")
    run(benchmarks, tmp_path, ["POPE"], **({"blind": True} if change == "settings" else {}))
    assert len(model.asked) == 60


def test_blind_is_grey_and_of_the_same_size(benchmarks: Path, tmp_path: Path, model: Model) -> None:
    run(benchmarks, tmp_path, ["BLINK"])
    seen = [(item.images[0].size, item.question) for item in model.asked]
    model.asked.clear()
    run(benchmarks, tmp_path, ["BLINK"], blind=True)
    assert [(item.images[0].size, item.question) for item in model.asked] == seen
    assert {tuple(color for _, color in item.images[0].getcolors()) for item in model.asked} == {(GREY,)}  # type: ignore[union-attr]
