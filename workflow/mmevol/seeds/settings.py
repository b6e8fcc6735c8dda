"""What each seeds command may see of a study."""

from mmevol.config.commands import AuditSettings, DrawSettings, PhotosSettings

__all__ = ["AuditSettings", "DrawSettings", "PhotosSettings"]
