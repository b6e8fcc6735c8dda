"""What each training command may see of a study: its rule's params."""

from typing import Literal

from pydantic import Field

from mmevol.config.section import Section
from mmevol.config.train import Entry, Model, Recipe, Train, WarmTower


class BaseSettings(Section):
    """Of ``train base``."""

    version: int = 1
    seed: int = Field(description="the study's")
    model: Model


class WarmTowerSettings(Section):
    """Of ``train warm-tower``."""

    version: int = 1
    seed: int
    warm_tower: WarmTower = WarmTower()


class PretrainSettings(Section):
    """Of ``train pretrain``."""

    version: int = 1
    seed: int
    on: Literal["captions"] = "captions"
    recipe: Recipe


class MixtureSettings(Section):
    """Of ``train mixture``."""

    version: int = 1
    seed: int
    entries: list[Entry] = Field(min_length=1)


class FinetuneSettings(Section):
    """Of ``train finetune``. The run sees ``recipe.epochs`` times the tokens of the mixture that is given as its target."""

    version: int = 1
    seed: int
    train_seed: int = 0
    recipe: Recipe


def finetune_settings(train: Train, arm: str, *, seed: int, train_seed: int) -> FinetuneSettings:
    """What one run of an arm depends on. With ``tokens: {same_as: ARM}`` the epochs are that arm's, and so must be the target."""
    own = train.arms[arm]
    recipe: Recipe = train.backbones[own.backbone].finetune
    if own.tokens:
        other = train.backbones[train.arms[own.tokens.same_as].backbone].finetune
        recipe = recipe.model_copy(update={"epochs": other.epochs})
    return FinetuneSettings(seed=seed, train_seed=train_seed, recipe=recipe)


def target_mixture(train: Train, arm: str) -> str:
    """The mixture whose tokens an arm's run counts: its own, or that of the arm named by ``tokens: {same_as: ARM}``."""
    own = train.arms[arm]
    return train.arms[own.tokens.same_as].mixture if own.tokens else own.mixture
