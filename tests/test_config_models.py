"""Models that are measured beside the arms, and what the reference's preset stands for."""

from pathlib import Path
from typing import Any

import pytest
from mmevol.config.publish import cost_settings, results_settings
from mmevol.config.resolve import load
from mmevol.records import BadInput
from test_config import bad, study

ROOT = Path(__file__).parents[1]
OTHER = {"base_url": "https://api.example.org/v1", "model": "large-2026-01-01", "temperature": 0}
TRAIN = {
    "backbones": {"tiny": {"kind": "tiny"}},
    "mixtures": {"seed": [{"seeds": "all"}]},
    "arms": {"seed": {"backbone": "tiny", "mixture": "seed", "train_seeds": [0, 1]}},
}
MODELS: dict[str, Any] = {
    "large": {"endpoint": "other"},
    "theirs": {"folder": "models/theirs"},
    "kit": {"predictions": "data/kit"},
}
MORE: dict[str, Any] = {"endpoints__other": OTHER, "train": TRAIN, "evaluate__models": MODELS}


def test_models_are_rows_like_arms() -> None:
    of = study(**MORE, evaluate__benchmarks={"MME": {}}, evaluate__blind=["seed", "large", "theirs"])
    assert of.measured() == [
        *(("seed", 0), ("seed", 1), ("large", 0), ("theirs", 0), ("kit", 0)),
        *(("seed.blind", 0), ("seed.blind", 1), ("large.blind", 0), ("theirs.blind", 0)),
    ]
    assert of.answering("trained") == ["seed", "seed.blind"]
    assert of.answering("endpoint") == ["large", "large.blind"]
    assert of.answering("folder") == ["theirs", "theirs.blind"]
    assert of.answering("predictions") == ["kit"]
    assert list(results_settings(of).runs) == [
        *("seed", "large", "theirs", "kit"),
        *("seed.blind", "large.blind", "theirs.blind"),
    ]
    assert results_settings(of).untrained == {
        "large": "an endpoint",
        "theirs": "a model of transformers",
        "kit": "answers made elsewhere, scored here",
    }
    assert cost_settings(of).answered == ["large", "large.blind"]
    assert sum("seed_0/usage.json" in file for file in of.usage_files()) == 2


def test_what_an_endpoint_is_asked_depends_on_what_shapes_its_answers() -> None:
    def dump(**changes: Any) -> str:
        return study(**MORE | {"evaluate__benchmarks": {"MME": {}}} | changes).ask_model_settings("large").dump()

    assert '"endpoint":"other"' in dump() and "large-2026-01-01" in dump()
    same = {"evaluate__batch": 3, "evaluate__threads": 2, "evaluate__beams": 2, "evaluate__budget": {"money": 3}}
    assert {dump(**{key: value}) for key, value in same.items()} == {dump()}
    assert dump(evaluate__prompts="reference") != dump()
    assert dump(endpoints__other=OTHER | {"revision": "2"}) != dump()
    assert dump(endpoints__other=OTHER | {"concurrency": 2}) == dump()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"evaluate__models": {"x": {}}}, "evaluate.models.x"),
        ({"evaluate__models": {"x": {"folder": "a", "predictions": "b"}}}, "evaluate.models.x"),
        ({"evaluate__models": {"x": {"endpoint": "nobody"}}}, "evaluate.models.x.endpoint"),
        ({"evaluate__models": {"x": {"endpoint": "evolver"}}}, "evaluate.models.x.endpoint"),
        ({"evaluate__models": {"seed": {"folder": "a"}}}, "evaluate.models.seed"),
        ({"evaluate__blind": ["kit"]}, "evaluate"),
        ({"evaluate__blind": ["nobody"]}, "evaluate.blind.0"),
        ({"evaluate__contamination": {"distance": 40}}, "evaluate.contamination.distance"),
    ],
)
def test_what_does_not_go(changes: dict[str, Any], field: str) -> None:
    assert bad(**MORE | changes).field == field


def test_the_references_preset_and_its_keys_one_by_one() -> None:
    def settings(**evaluate: Any) -> tuple[int | None, int, str]:
        of = study(train=TRAIN, evaluate={"benchmarks": {"MME": {}}} | evaluate).predict_settings("seed")
        return of.max_new_tokens, of.beams, of.grid

    assert settings() == (48, 1, "trained")
    assert settings(prompts="reference") == (None, 3, "square")
    assert settings(prompts="reference", max_new_tokens=9, beams=1, grid="trained") == (9, 1, "trained")
    assert settings(beams=3, grid="square") == (48, 3, "square")
    assert study(train=TRAIN, evaluate={"benchmarks": {"MME": {}}}).predict_settings("seed").dump() == (
        '{"benchmarks":["MME"]}'
    )


def test_the_papers_study_asks_as_the_reference() -> None:
    paper = load(ROOT / "config/paper.yaml")
    of = paper.predict_settings("evolved_qwen2")
    assert (of.prompts, of.max_new_tokens, of.beams, of.grid) == ("reference", None, 3, "square")
    assert paper.looked_into


def test_files_of_models(tmp_path: Path) -> None:
    for name in ("config.json", "b.safetensors", "a.safetensors", "README.md"):
        (tmp_path / name).write_text("")
    (tmp_path / "answers").mkdir()
    models = {"theirs": {"folder": str(tmp_path)}, "kit": {"predictions": str(tmp_path / "answers")}}
    of = study(train=TRAIN, evaluate__models=models)
    assert of.model_files("theirs.blind", 0) == [
        str(tmp_path / n) for n in ("config.json", "a.safetensors", "b.safetensors")
    ]
    assert of.model_files("seed.blind", 1)[0].endswith("train/finetune/seed/seed_1/manifest.json")
    assert of.answer_files("kit") == [str(tmp_path / "answers")]
    (tmp_path / "answers" / "MME.jsonl").write_text("")
    assert of.answer_files("kit") == [str(tmp_path / "answers" / "MME.jsonl")]


def test_without_arms_there_is_nothing_to_look_into() -> None:
    more = {"evaluate__benchmarks": {"MME": {}}, "evaluate__contamination": {}}
    assert not study(**more).looked_into
    assert study(**more, train=TRAIN).looked_into
    with pytest.raises(BadInput):
        study(**more, evaluate__contamination__runs=3)
