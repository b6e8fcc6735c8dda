"""What the evaluation's commands may see of a study."""

from mmevol.config.commands import HeldoutSettings, PredictSettings

__all__ = ["HeldoutSettings", "PredictSettings"]
