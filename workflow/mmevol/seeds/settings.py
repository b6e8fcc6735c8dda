"""What each seeds command may see of a study: its rule's params."""

from typing import Literal

from pydantic import Field

from mmevol.config.section import Fraction, Section


class DrawSettings(Section):
    """Of ``seeds draw``: the demo's world."""

    version: int = 1
    seed: int = Field(description="the study's")
    images: int = Field(default=1500, gt=0)
    image_size: int = Field(
        default=80,
        ge=80,
        description="side in px; letters are at least 8 px high from 80 on",
    )
    caption_only: Fraction = Field(
        default=0.2, description="share of records that have only a caption"
    )


class PhotosSettings(Section):
    """Of ``seeds photos``: the photo study has nothing to choose."""

    version: int = 1


class AuditSettings(Section):
    """Of ``seeds audit``."""

    version: int = 1
    seed: int = Field(description="the study's")
    shards: int = 4
    heldout: Fraction = 0
    bad_images: Literal["fatal", "exclude"] = "fatal"
    licence: str | None = Field(default=None, description="of records that name none")
    limit: int | None = Field(
        default=None, gt=0, description="keep the first records in hash order"
    )
