"""What each command may see of a study: a rule's params are these, with defaults left out, so a rule reruns when, and only
when, one of these keys changes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from mmevol.config.directions import Plugin
from mmevol.config.endpoints import Connection, Identity
from mmevol.config.evaluate import Contamination
from mmevol.config.evolve import Budget, Eliminate, Evolution, Judge, Target
from mmevol.config.section import Fraction, Name, Section, Settings
from mmevol.config.train import Checkpoints, Entry, Model, Recipe, Train, WarmTower


class Run(Section):
    """Facts of a run that change no data: handed to commands as ``--run``, never part of params."""

    status: str | None = Field(default=None, description="folder of heartbeats")
    parent: int | None = Field(default=None, description="pid of the Snakemake that started the job")
    parent_start: str | None = None
    parent_host: str | None = None
    connections: dict[str, Connection] = {}
    budget: Budget = Budget()
    answering: Budget = Budget()
    checkpoints: Checkpoints = Checkpoints()


class DrawSettings(Settings):
    """Of ``seeds draw``: the demo's world."""

    seed: int = Field(description="the study's")
    images: int = Field(default=1500, gt=0)
    image_size: int = Field(
        default=80,
        ge=80,
        description="side in px; letters are at least 8 px high from 80 on",
    )
    caption_only: Fraction = Field(default=0.2, description="share of records that have only a caption")


class AuditSettings(Settings):
    """Of ``seeds audit``."""

    version: int = 2
    seed: int = Field(description="the study's")
    shards: int = 4
    heldout: Fraction = 0
    bad_images: Literal["fatal", "exclude"] = "fatal"
    licence: str | None = Field(default=None, description="of records that name none")
    limit: int | None = Field(default=None, gt=0, description="keep the first records in hash order")


class CurateSettings(Settings):
    """`seeds curate`: one shard."""

    shards: int = 1
    endpoint: Name
    identity: Identity
    images_root: str | None = None
    content_attempts: int = 3


class AskSettings(Settings):
    """`evolve ask`: one round of one shard. Thresholds are in it only where round 1 is to stop at a target."""

    version: int = 2
    seed: int
    shards: int = 1
    round: int
    directions: dict[str, float]
    evolver: Name
    evolver_identity: Identity
    checks: bool = True
    content_attempts: int = 3
    qas_per_request: int = 4
    judge: Judge | None = None
    judge_identity: Identity | None = None
    second_identity: Identity | None = None
    plugins: list[Plugin] = Field(default=[], description="the directions that are the study's own")
    images_root: str | None = None
    target: Target | None = None
    elimination: "EliminateSettings | None" = None

    def asked(self) -> Iterator[tuple[Name, Identity]]:
        """The endpoints by role: the evolver, then one or two judges."""
        yield self.evolver, self.evolver_identity
        if self.judge and self.judge_identity:
            yield self.judge.endpoint, self.judge_identity
            if self.judge.second and self.second_identity:
                yield self.judge.second.endpoint, self.second_identity


class ScratchSettings(Settings):
    """`evolve scratch`: fresh Q&A, as many calls as another evolution made; a call is not tried again."""

    seed: int
    shards: int = 1
    evolver: Name
    evolver_identity: Identity
    checks: bool = True
    qas_per_request: int = 4
    images_root: str | None = None


class EliminateSettings(Settings):
    """`evolve eliminate`: one round of one shard, all thresholds."""

    thresholds: Eliminate | None = None
    judges: list[str] = Field(default=[], description="models of the first and the second judge, where there are two")


class DatasetSettings(Settings):
    """`evolve dataset`: the files of one evolution, and what its card says of it."""

    version: int = 2
    study: str
    evolution: Name
    shards: int = 1
    rounds: list[int]
    curated: bool = False
    smoke: bool = Field(default=False, description="marks every row and sample, and the card")
    definition: Evolution
    evolver: str
    judge: str | None = None
    second_judge: str | None = None


def sft_name(smoke: bool) -> str:
    """Name of a dataset's LLaVA file; that of a smoke study says so."""
    return "sft.smoke.json" if smoke else "sft.json"


class JudgeSettings(Section):
    """Of the live judge in `evaluate score`."""

    endpoint: Name
    identity: Identity
    content_attempts: int = 3


class BaseSettings(Settings):
    """Of ``train base``."""

    seed: int = Field(description="the study's")
    model: Model


class WarmTowerSettings(Settings):
    """Of ``train warm-tower``."""

    seed: int
    warm_tower: WarmTower = WarmTower()


class PretrainSettings(Settings):
    """Of ``train pretrain``."""

    seed: int
    on: Literal["captions"] = "captions"
    recipe: Recipe


class MixtureSettings(Settings):
    """Of ``train mixture``."""

    version: int = 2
    seed: int
    entries: list[Entry] = Field(min_length=1)


class FinetuneSettings(Settings):
    """Of ``train finetune``. The run sees ``recipe.epochs`` times the tokens of the mixture that is given as its target."""

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


class HeldoutSettings(Settings):
    """Of ``evaluate heldout``: one benchmark."""

    seed: int = Field(description="the study's")
    benchmark: str
    n: int = Field(default=100, gt=0, description="rows")


class PredictSettings(Settings):
    """Of ``evaluate predict``, ``ask`` and ``import``: one arm or model, all of its benchmarks."""

    benchmarks: list[str] = Field(min_length=1)
    blind: bool = Field(default=False, description="grey the pictures out")
    prompts: Literal["plain", "reference"] = "plain"
    max_new_tokens: int | None = Field(default=48, gt=0, description="null: the reference's, by kind of benchmark")
    beams: int = Field(default=1, gt=0, description="for the benchmarks that come as a table; greedy for the others")
    grid: Literal["trained", "square"] = "trained"
    textual: bool = Field(default=False, description="answer also the rows of a table with pictures that have none")
    threads: int = Field(default=1, gt=0, description="CPU threads")
    batch: int = Field(default=64, gt=0)
    endpoint: Name | None = Field(default=None, description="of `ask`")
    identity: Identity | None = Field(default=None, description="of `ask`: what of the endpoint shapes its answers")


class ContaminationSettings(Settings):
    """Of ``evaluate contamination``: every mixture against every benchmark."""

    benchmarks: list[str] = Field(min_length=1)
    contamination: Contamination = Contamination()
    textual: bool = False
    threads: int = Field(default=1, gt=0, description="CPU threads")


class CleanSettings(Settings):
    """Of ``evaluate clean``: scores without the rows that overlap. ``arms``: the mixture and the train seeds of each."""

    rules: Literal["mmevol", "vlmevalkit-head", "authors"] = "mmevol"
    benchmarks: list[str] = Field(min_length=1)
    arms: dict[Name, tuple[Name, list[int]]]
    judges: dict[str, JudgeSettings] = {}
