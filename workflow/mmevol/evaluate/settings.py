"""What the evaluation's commands may see of a study: their rules' params."""

from typing import Literal

from pydantic import Field

from mmevol.config.section import Section


class HeldoutSettings(Section):
    """Of ``evaluate heldout``: one benchmark."""

    version: int = 1
    seed: int = Field(description="the study's")
    benchmark: str
    n: int = Field(default=100, gt=0, description="rows")


class PredictSettings(Section):
    """Of ``evaluate predict``: one arm, all of its benchmarks."""

    version: int = 1
    benchmarks: list[str] = Field(min_length=1)
    blind: bool = Field(default=False, description="grey the pictures out")
    prompts: Literal["plain", "reference"] = "plain"
    max_new_tokens: int = Field(default=48, gt=0)
    beams: int = Field(default=1, gt=0, description="for the benchmarks that come as a table; greedy for the others")
    batch: int = Field(default=64, gt=0)
