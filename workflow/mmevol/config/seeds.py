"""Seeds: where the records come from and what is held out."""

from typing import Literal

from pydantic import Field

from mmevol.config.section import Fraction, Name, Section


class Curate(Section):
    """Captions without Q&A become Q&A by asking the teacher."""

    endpoint: Name = Field(default="evolver", description="who writes them")
    content_attempts: int = Field(
        default=3, ge=1, le=10, description="replies that are asked for until one holds a usable Q&A"
    )


class Seeds(Section):
    """Where the seed records come from and what is held out."""

    source: Literal["world", "photos"] | str = Field(
        description="world (drawn scenes), photos (the photo study) or the path of a JSON / JSONL / Parquet file of records"
    )
    images: int = Field(default=1500, gt=0, description="world: how many scenes")
    image_size: int = Field(
        default=80, ge=80, description="world: side of a scene in px; letters are at least 8 px high from 80 on"
    )
    heldout: Fraction = Field(
        default=0,
        description="share of images that never occurs in training; needed for benchmarks made from held-out scenes",
    )
    images_root: str | None = Field(default=None, description="folder of the pictures; none: captions and boxes alone")
    bad_images: Literal["fatal", "exclude"] = Field(
        default="fatal",
        description="what becomes of a record whose picture is missing or does not open; `exclude` counts them in the audit",
    )
    caption_only: Fraction = Field(default=0.2, description="world: share of records that have only a caption")
    licence: str | None = Field(default=None, description="licence of records that name none")
    limit: int | None = Field(default=None, gt=0, description="keep the first records in hash order")
    curate: Curate | None = None
