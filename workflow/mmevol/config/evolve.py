"""Evolutions: rounds, directions, gates, thresholds, budget."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from mmevol.config.section import Name, Section, switched
from mmevol.records import DIRECTIONS


class Blind(Section):
    """The blind check: the question put to the judge without image and annotations."""

    draws: int = Field(default=4, ge=1, description="for yes/no and options: right in every draw means answered blind")


class Judge(Section):
    """Who judges a candidate, what it sees and what it compares with."""

    endpoint: Name = "judge"
    compare_with: Literal["parent", "seed"] = "parent"
    sees_image: bool = True
    sees_annotations: bool = True
    seeds: bool = Field(
        default=True, description="also judge the seeds against themselves: the difficulty of version 0"
    )
    blind: Blind | None = Blind()

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return switched(value, "blind")


class Eliminate(Section):
    """The thresholds of the elimination rule; each may be one value or one a round."""

    improved: bool | list[bool] = True
    min_difficulty: float | list[float] = 0.0
    faithful: bool | list[bool] = True
    image_needed: bool | list[bool] = True
    answered_blind: bool | list[bool] = True
    near_duplicate: float | list[float] | None = Field(
        default=0.9, description="Jaccard similarity of word 3-grams to an earlier version at which a candidate goes"
    )

    def at(self, round_: int) -> "Eliminate":
        """The thresholds of one round (1-based)."""
        return Eliminate(
            **{
                k: v[round_ - 1] if isinstance(v, list) else v
                for k, v in self.model_dump(exclude_defaults=True).items()
            }
        )

    def unjudged(self) -> "Eliminate":
        """What is left of the thresholds where there is no judge."""
        off = dict.fromkeys(("improved", "faithful", "image_needed", "answered_blind"), False)
        return self.model_copy(update={**off, "min_difficulty": 0.0})


class Calls(Section):
    """How many evolver calls `from: scratch` spends: as many as another evolution made."""

    same_as: Name


class Evolution(Section):
    """A named way to evolve. ``from: scratch`` asks for fresh Q&A instead of rewriting."""

    from_: Literal["seeds", "scratch"] = Field(default="seeds", alias="from")
    endpoint: Name = "evolver"
    rounds: int = Field(default=3, ge=1, le=20)
    directions: dict[Name, Annotated[float, Field(ge=0)]] = Field(
        default_factory=lambda: dict.fromkeys(DIRECTIONS, 1.0)
    )
    checks: bool = Field(default=True, description="the structural gate; off: only what cannot be read fails")
    content_attempts: int = Field(default=3, ge=1, le=10)
    qas_per_request: int = Field(default=4, ge=1, le=50)
    judge: Judge | None = Judge()
    eliminate: Eliminate | None = Eliminate()
    calls: Calls | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _switches(cls, value: Any) -> Any:
        return switched(switched(value, "judge"), "eliminate")

    @model_validator(mode="after")
    def _consistent(self) -> "Evolution":
        for name in self.directions:
            if name not in DIRECTIONS:
                raise ValueError(f"directions: no direction {name!r}; known: {', '.join(DIRECTIONS)}")
        if sum(self.directions.values()) <= 0:
            raise ValueError("directions: at least one weight above 0 is needed")
        if self.eliminate:
            for key, value in self.eliminate.model_dump().items():
                if isinstance(value, list) and len(value) != self.rounds:
                    raise ValueError(f"eliminate.{key}: {len(value)} values for {self.rounds} rounds")
        if (self.from_ == "scratch") != (self.calls is not None):
            raise ValueError("from: scratch and calls: {same_as: NAME} go together")
        return self


class Budget(Section):
    """Hard stop of the whole evolution; divided by shards. A fact of the run, not of the data."""

    requests: int | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, gt=0)
    money: float | None = Field(default=None, gt=0)

    def share(self, shards: int) -> "Budget":
        """The part of one shard, whole numbers rounded down but at least 1."""
        return Budget(
            requests=self.requests and max(1, self.requests // shards),
            tokens=self.tokens and max(1, self.tokens // shards),
            money=self.money and self.money / shards,
        )


class Evolve(Section):
    """The evolutions of the study."""

    shards: int = 4
    budget: Budget = Budget()
    evolutions: dict[Name, Evolution] = {}

    @model_validator(mode="after")
    def _power_of_two(self) -> "Evolve":
        if not (1 <= self.shards <= 256 and self.shards & (self.shards - 1) == 0):
            raise ValueError(f"shards: {self.shards} is not a power of two from 1 to 256")
        return self
