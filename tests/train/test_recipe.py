from typing import Any

import pytest
import torch
from mmevol.config.commands import FinetuneSettings, finetune_settings, target_mixture
from mmevol.config.train import Arm, Checkpoints, Recipe, TinyBackbone, TinyFinetune, Train
from mmevol.train.backbone import load_base, module_of
from mmevol.train.recipe import arguments, deepspeed_config, freeze, parameter_groups
from pydantic import ValidationError
from tiny_study import Study


def test_every_parameter_learns_at_the_rate_of_its_module(study: Study) -> None:
    recipe = Recipe(language=3e-3, projector=2e-3, tower=1e-3, weight_decay=0.1)
    model = load_base(study.base, tower=None, dtype=torch.float32, attention="sdpa")
    freeze(model, recipe)
    groups = parameter_groups(model, recipe)
    rate = {id(p): (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    expected = {"language": 3e-3, "projector": 2e-3, "tower": 1e-3}
    for name, parameter in model.named_parameters():
        assert rate[id(parameter)] == (expected[module_of(name)], 0.1 if parameter.ndim > 1 else 0.0)
    assert sum(len(g["params"]) for g in groups) == len(rate)


def test_a_frozen_module_is_in_no_group(study: Study) -> None:
    recipe = Recipe(projector=1e-3)
    model = load_base(study.base, tower=None, dtype=torch.float32, attention="sdpa")
    freeze(model, recipe)
    assert {module_of(n) for n, p in model.named_parameters() if p.requires_grad} == {"projector"}
    assert sum(len(g["params"]) for g in parameter_groups(model, recipe)) == 4


def test_buckets_are_no_larger_than_the_model() -> None:
    assert deepspeed_config(Recipe(projector=1), 1000)["zero_optimization"]["reduce_bucket_size"] == 1000
    assert deepspeed_config(Recipe(projector=1), 10**10)["zero_optimization"]["reduce_bucket_size"] == 5 * 10**8


def test_a_batch_that_does_not_divide_over_devices(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="does not divide over 3 processes"):
        arguments(Recipe(projector=1, batch=8, per_device=4), Checkpoints(), steps=1, parameters=1, out=tmp_path)


@pytest.mark.parametrize("keys", [{}, {"projector": 1e-3, "batch": 6, "per_device": 4}, {"projector": 0}])
def test_recipes_that_cannot_be(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Recipe(**keys)


def test_params_carry_a_recipe_whole_with_the_defaults_left_out() -> None:
    settings = FinetuneSettings(seed=1, recipe=TinyFinetune(epochs=3))
    again = FinetuneSettings.model_validate_json(settings.dump())
    assert again.recipe.model_dump() == TinyFinetune(epochs=3).model_dump()
    assert '"warmup"' not in settings.dump()


def test_an_arm_may_take_its_tokens_from_another() -> None:
    other = TinyBackbone(kind="tiny", finetune=TinyFinetune(epochs=7))
    train = Train.model_validate(
        {
            "backbones": {"tiny": {"kind": "tiny"}, "longer": other},
            "mixtures": {"seed": [{"seeds": "all"}], "evolved": [{"seeds": "all"}, {"evolution": "full"}]},
            "arms": {
                "evolved": {"backbone": "longer", "mixture": "evolved"},
                "matched": {"backbone": "tiny", "mixture": "seed", "tokens": {"same_as": "evolved"}},
            },
        }
    )
    assert target_mixture(train, "matched") == "evolved"
    assert finetune_settings(train, "matched", seed=1, train_seed=0).recipe.epochs == 7
    assert finetune_settings(train, "evolved", seed=1, train_seed=4).train_seed == 4


@pytest.mark.parametrize("key", ["backbone", "mixture"])
def test_an_arm_of_something_unknown(key: str) -> None:
    arm = {"backbone": "tiny", "mixture": "seed"} | {key: "other"}
    with pytest.raises(ValidationError, match="other"):
        Train(backbones={"tiny": TinyBackbone(kind="tiny")}, mixtures={"seed": []}, arms={"a": Arm(**arm)})
