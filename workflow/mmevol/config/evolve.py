"""Evolutions: rounds, directions, gates, thresholds, budget."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from mmevol.config.directions import Named
from mmevol.config.section import Name, Section, switch, switched
from mmevol.records import DIRECTIONS


class Blind(Section):
    """The blind check: the question put to the judge without image and annotations."""

    draws: int = Field(default=4, ge=1, description="for yes/no and options: right in every draw means answered blind")


class Second(Section):
    """A second judge. It sees and compares what the first does; the blind check stays the first's."""

    endpoint: Name = Field(description="another model than the first judge's")


class Judge(Section):
    """Who judges a candidate, what it sees and what it compares with."""

    endpoint: Name = Field(
        default="judge", description="who judges; best another model than the evolver, else it marks its own work"
    )
    compare_with: Literal["parent", "seed"] = Field(
        default="parent",
        description="what a candidate must improve on; `seed` is what the reference does in every round",
    )
    sees_image: bool = Field(
        default=True, description="the picture goes with the question to the judge; off in the reference"
    )
    sees_annotations: bool = Field(default=True, description="caption and boxes too; off in the reference")
    seeds: bool = Field(
        default=True, description="also judge the seeds against themselves: the difficulty of version 0"
    )
    blind: Blind | None = Field(default=Blind(), json_schema_extra=switch)
    second: Second | None = Field(
        default=None,
        description="its verdicts stand beside the first's, a table says how far they agree, and `eliminate.combine` who decides",
    )

    @model_validator(mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return switched(value, "blind")


class Eliminate(Section):
    """The thresholds of the elimination rule; each may be one value or one a round."""

    improved: bool | list[bool] = Field(default=True, description="the judge must say that it is better")
    min_difficulty: float | list[float] = Field(
        default=0.0, description="0 to 10; 0 is no threshold, as in the reference"
    )
    faithful: bool | list[bool] = Field(default=True, description="the judge must say that it is true of the picture")
    image_needed: bool | list[bool] = Field(default=True, description="the judge must say that it needs the picture")
    answered_blind: bool | list[bool] = Field(default=True, description="what the blind check answered right goes")
    near_duplicate: float | list[float] | None = Field(
        default=0.9, description="Jaccard similarity of word 3-grams to an earlier version at which a candidate goes"
    )
    combine: Literal["first", "both", "either"] = Field(
        default="first",
        description="of two judges: the first alone decides, both must let a candidate pass, or one is enough",
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

    same_as: Name = Field(description="an evolution that rewrites and stands above")


class Evolution(Section):
    """A named way to evolve. ``from: scratch`` asks for fresh Q&A instead of rewriting."""

    from_: Literal["seeds", "scratch"] = Field(
        default="seeds",
        alias="from",
        description="`seeds` rewrites them; `scratch` is the control that spends the calls on fresh Q&A",
    )
    endpoint: Name = Field(default="evolver", description="who rewrites")
    rounds: int = Field(
        default=3, ge=1, le=20, description="3 in the paper; each costs about as many calls as the one before"
    )
    directions: dict[Name, Annotated[float, Field(ge=0)]] = Field(
        default=dict.fromkeys(DIRECTIONS, 1.0),
        description="weights; one direction is drawn a record and round. Equal in the paper, 2 : 1 : 1 in the reference code; "
        "also those of `direction_plugins`",
    )
    checks: bool = Field(default=True, description="the structural gate; off: only what cannot be read fails")
    content_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="replies that are asked for until one is valid; then the parent counts as failed",
    )
    qas_per_request: int = Field(
        default=4,
        ge=1,
        le=50,
        description="Q&A of a record that share a request, at most; more saves calls. Fewer where `max_tokens` has not 400 tokens "
        "for each",
    )
    judge: Judge | None = Field(
        default=Judge(),
        json_schema_extra=switch,
        description="the judging gate; false: no verdicts, and no threshold on them",
    )
    eliminate: Eliminate | None = Field(
        default=Eliminate(),
        json_schema_extra=switch,
        description="the eliminating gate; false: verdicts are recorded and everything valid survives",
    )
    calls: Calls | None = None

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _switches(cls, value: Any) -> Any:
        return switched(switched(value, "judge"), "eliminate")

    @model_validator(mode="after")
    def _consistent(self) -> "Evolution":
        if sum(self.directions.values()) <= 0:
            raise ValueError("directions: at least one weight above 0 is needed")
        if self.eliminate:
            for key, value in self.eliminate.model_dump().items():
                if isinstance(value, list) and len(value) != self.rounds:
                    raise ValueError(f"eliminate.{key}: {len(value)} values for {self.rounds} rounds")
        if self.eliminate and self.eliminate.combine != "first" and not (self.judge and self.judge.second):
            raise ValueError(f"eliminate.combine: {self.eliminate.combine} needs a second judge, judge.second")
        if (self.from_ == "scratch") != (self.calls is not None):
            raise ValueError("from: scratch and calls: {same_as: NAME} go together")
        return self


class Budget(Section):
    """Hard stop of everything that is asked for the dataset: curation, all evolutions and rounds, and earlier runs, by the usage
    files below ``results/``. Divided by shards. A fact of the run, not of the data."""

    requests: int | None = Field(default=None, gt=0, description="that are sent; answers from the store are free")
    tokens: int | None = Field(default=None, gt=0, description="prompt and completion")
    money: float | None = Field(default=None, gt=0, description="by the endpoints' prices")

    def share(self, shards: int) -> "Budget":
        """The part of one shard, whole numbers rounded down but at least 1."""
        return Budget(
            requests=self.requests and max(1, self.requests // shards),
            tokens=self.tokens and max(1, self.tokens // shards),
            money=self.money and self.money / shards,
        )


class Target(Section):
    """How much data is wanted: records are taken in hash order until there is enough, and no more are asked about."""

    survivors: int = Field(
        gt=0,
        description="Q&A that survive round 1, divided by shards; the later rounds evolve the records that were taken. A shard's "
        "last record is kept whole; another number of shards cuts elsewhere",
    )

    def share(self, shard: int, shards: int) -> int:
        """The part of one shard; the parts add up."""
        return self.survivors * (shard + 1) // shards - self.survivors * shard // shards


class Evolve(Section):
    """The evolutions of the study."""

    shards: int = Field(
        default=4,
        description="jobs a round, a power of two up to 256: 4 on a laptop, 256 for 163 thousand records; the data are the same",
    )
    budget: Budget = Field(
        default=Budget(), description="a shard that has spent its part stops, resumable, and says how far it got"
    )
    direction_plugins: list[Named] = Field(
        default=[],
        description="your own (docs/directions.md), by folder (written with a slash) or entry point; their code runs",
    )
    target: Target | None = Field(
        default=None, description="of every evolution that rewrites; unset: all records are evolved"
    )
    evolutions: dict[Name, Evolution] = Field(
        default={}, description="ways to evolve, by name; add one for an ablation, `like:` another"
    )

    @model_validator(mode="after")
    def _power_of_two(self) -> "Evolve":
        if not (1 <= self.shards <= 256 and self.shards & (self.shards - 1) == 0):
            raise ValueError(f"shards: {self.shards} is not a power of two from 1 to 256")
        return self

    @model_validator(mode="after")
    def _each_once(self) -> "Evolve":
        names = [p.name for p in self.direction_plugins]
        if twice := {n for n in names if names.count(n) > 1}:
            raise ValueError(f"direction_plugins: two are called {', '.join(sorted(twice))}")
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "rounds": 3,
        "directions": {"perceptual": 1, "reasoning": 1, "interactive": 1},
        "checks": False,
        "content_attempts": 5,
        "qas_per_request": 50,
        "judge": {
            "endpoint": "evolver",
            "compare_with": "parent",
            "sees_image": False,
            "sees_annotations": False,
            "blind": False,
        },
        "eliminate": {
            "improved": True,
            "min_difficulty": 0,
            "faithful": False,
            "image_needed": False,
            "answered_blind": False,
            "near_duplicate": None,
        },
    }
}
"""What ``preset: NAME`` writes into an evolution: as the paper has it, and as the reference code does it."""

PRESETS["reference"] = PRESETS["paper"] | {
    "directions": {"perceptual": 2, "reasoning": 1, "interactive": 1},
    "judge": PRESETS["paper"]["judge"] | {"compare_with": "seed"},
}
