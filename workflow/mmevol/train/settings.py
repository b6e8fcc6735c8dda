"""What each training command may see of a study."""

from mmevol.config.commands import (
    BaseSettings,
    FinetuneSettings,
    MixtureSettings,
    PretrainSettings,
    WarmTowerSettings,
    finetune_settings,
    target_mixture,
)

__all__ = [
    "BaseSettings",
    "FinetuneSettings",
    "MixtureSettings",
    "PretrainSettings",
    "WarmTowerSettings",
    "finetune_settings",
    "target_mixture",
]
