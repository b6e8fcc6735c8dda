"""The train section of a study: backbones, recipes, mixtures and arms."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mmevol.config.section import Fraction, Name, Section

Rate = Annotated[float, Field(gt=0)] | None
"""Peak learning rate; None: the module stays as it is."""

Count = Annotated[int, Field(gt=0)]
Factor = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(gt=0, lt=1)]


# ------------------------------------------------------------------------------------------------------------------- models


class _Model(Section):
    @model_serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """``kind`` tells the models apart, so it is written even where defaults are left out."""
        return {"kind": getattr(self, "kind"), **handler(self)}  # noqa: B009


class TinyModel(_Model):
    """A LLaVA-NeXT small enough to learn on a laptop, from nothing: CLIP tower, projector and Qwen2 from config."""

    kind: Literal["tiny"] = Field(default="tiny", description="tells the models apart")
    vocabulary: int = Field(default=768, ge=300, description="entries of the byte-level tokenizer, at most")
    image_size: int = Field(default=80, gt=0, description="px; every picture is one tile of this side")
    patch_size: int = Field(default=20, gt=0, description="px")
    image_mean: float = Field(default=0.95, description="of a picture's values in 0..1; the drawn world's light ground")
    image_std: float = Field(default=0.25, gt=0, description="of the same values")
    tower_width: int = Field(default=128, description="hidden size of the vision tower")
    tower_layers: int = Field(default=2, description="of the vision tower")
    width: int = Field(default=128, description="hidden size of the language model")
    layers: int = Field(default=3, description="of the language model")
    heads: int = Field(default=4, description="attention heads, of tower and language model")
    init: float = Field(
        default=0.1, gt=0, description="standard deviation of the initial weights; 0.02 learns far slower"
    )
    max_length: int = Field(default=512, gt=0, description="tokens of a sample; longer Q&A are left out and counted")
    turns: int = Field(default=8, gt=0, description="Q&A of a record that share a sample, at most")

    @model_validator(mode="after")
    def _patches(self) -> "TinyModel":
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        return self


class PublishedModel(_Model):
    """A full-size LLaVA-NeXT put together from published parts."""

    kind: Literal["llava-next"] = Field(default="llava-next", description="tells the models apart")
    language: str = Field(default="Qwen/Qwen2-7B-Instruct", description="name or folder of the language model")
    language_revision: str = Field(default="main", description="commit, tag or branch; pin a commit")
    vision: str = Field(default="openai/clip-vit-large-patch14-336", description="name or folder of the CLIP tower")
    vision_revision: str = Field(default="main", description="commit, tag or branch; pin a commit")
    template: Literal["qwen2", "llama3"] = Field(
        default="qwen2", description="chat layout of the language model: `llama3` for Llama-3-Instruct"
    )
    pinpoints: list[tuple[int, int]] = Field(
        default=[(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)],
        description="AnyRes resolutions, height and width in px",
    )
    max_length: int = Field(default=4096, gt=0, description="tokens of a sample; longer Q&A are left out and counted")
    turns: int = Field(default=32, gt=0, description="Q&A of a record that share a sample, at most")


Model = Annotated[TinyModel | PublishedModel, Field(discriminator="kind")]


# ------------------------------------------------------------------------------------------------------------------ recipes


class Recipe(Section):
    """One training stage. AdamW, cosine schedule; a learning rate of None freezes the module.

    An epoch is a number of tokens: a run trains until it has seen ``epochs`` times its mixture's tokens.
    """

    language: Rate = Field(default=None, description="peak learning rate of the language model; null: frozen")
    projector: Rate = Field(default=None, description="peak learning rate of the projector; null: frozen")
    tower: Rate = Field(default=None, description="peak learning rate of the vision tower; null: frozen")
    batch: int = Field(default=128, gt=0, description="samples of an optimizer step, over all devices")
    per_device: int = Field(default=4, gt=0, description="samples of one forward pass; the rest is accumulated")
    epochs: float = Field(default=1, gt=0, description="times the mixture's tokens that a run sees")
    warmup: Fraction = Field(default=0.03, description="share of the steps in which the rate rises")
    weight_decay: float = Field(default=0, ge=0, description="not on biases, norms and other vectors")
    beta2: float = Field(default=0.999, gt=0, lt=1, description="of AdamW; 0.98 for short runs")
    clip: float = Field(default=1.0, gt=0, description="norm to which gradients are clipped")
    precision: Literal["fp32", "bf16"] = Field(default="bf16", description="fp32 on CPUs")
    zero: Literal[2, 3] = Field(default=2, description="DeepSpeed ZeRO stage")
    gradient_checkpointing: bool = Field(default=True, description="saves memory, costs a third more time")
    attention: Literal["sdpa", "flash_attention_2", "eager"] = Field(
        default="flash_attention_2", description="`sdpa` on CPUs and where flash-attn is not installed"
    )
    mask: Literal["assistant", "reference"] = Field(
        default="assistant",
        description="loss on what the assistant says and its end token, or on the template tokens that the reference trains too",
    )
    threads: int = Field(default=1, gt=0, description="CPU threads; another number adds up in another order")

    @model_validator(mode="after")
    def _trains(self) -> "Recipe":
        if self.language is self.projector is self.tower is None:
            raise ValueError("every module is frozen: give language, projector or tower a learning rate")
        if self.batch % self.per_device:
            raise ValueError(f"batch {self.batch} is not a multiple of per_device {self.per_device}")
        return self


class PublishedPretrain(Recipe):
    """Stage 1 of the reference: the projector alone."""

    projector: Rate = 1e-3


class PublishedFinetune(Recipe):
    """Stage 2 of the reference: everything."""

    language: Rate = 2e-5
    projector: Rate = 2e-5
    tower: Rate = 2e-6


class TinyPretrain(Recipe):
    """Stage 1 of the tiny model. Its language model is born empty, so it learns to caption here together with the projector."""

    language: Rate = 1e-3
    projector: Rate = 1e-3
    batch: Count = 8
    per_device: Count = 8
    epochs: Factor = 6
    beta2: Decay = 0.98
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    attention: Literal["sdpa", "flash_attention_2", "eager"] = "sdpa"


class TinyFinetune(TinyPretrain):
    """Stage 2 of the tiny model: everything, at lower rates; at those of stage 1 it forgets how to see and learns Q&A by heart."""

    language: Rate = 5e-4
    projector: Rate = 5e-4
    tower: Rate = 5e-5
    batch: Count = 16
    per_device: Count = 16
    epochs: Factor = 2


class WarmTower(Section):
    """The tower learns what stands in each patch from the exact annotations before it ever sees a word."""

    steps: int = Field(default=600, gt=0, description="optimizer steps")
    batch: int = Field(
        default=16, gt=0, description="pictures of a step, each put together from patches that show something"
    )
    rate: float = Field(default=2e-3, gt=0, description="peak learning rate; the patch embedding's is a tenth")
    threads: int = Field(default=1, gt=0, description="CPU threads; another number adds up in another order")


# ----------------------------------------------------------------------------------------------------------------- machines


class Machines(Section):
    """What a stage runs on. A fact of the run: on any number of processes it takes the same steps on the same samples, and only
    the order differs in which sums add up. The recipe's batch is divided by processes; what is left is accumulated."""

    nodes: Count = Field(default=1, description="machines; with more than one, `srun` starts a launcher on each")
    gpus: int = Field(default=0, ge=0, description="of each machine, with a process each; 0: on the CPU")
    tasks: Count = Field(default=1, description="processes of each machine where `gpus` is 0")
    cpus: Count = Field(default=1, description="cores of a process; its `threads` where those are more")
    mem_gb: Factor = Field(default=3, description="of a process; on CPUs times the attempt")
    hours: Factor = Field(
        default=2, description="asked for; on CPUs times the attempt. A run goes on from its checkpoint"
    )

    @property
    def processes(self) -> int:
        """Of each machine."""
        return self.gpus or self.tasks

    @property
    def world(self) -> int:
        """Processes of all machines."""
        return self.nodes * self.processes

    def cores(self, recipe: Recipe) -> int:
        """Of each machine."""
        return self.processes * max(self.cpus, recipe.threads)

    def mem_mb(self, attempt: int) -> int:
        """Of each machine. GPU nodes are taken whole, so no attempt asks for more than they have."""
        return math.ceil(1000 * self.mem_gb * self.processes * (1 if self.gpus else attempt))

    def runtime(self, attempt: int) -> int:
        """Minutes. Partitions with GPUs have a limit, and a run that was cut goes on, so no attempt asks for more."""
        return math.ceil(60 * self.hours * (1 if self.gpus else attempt))


class Stages(Section):
    """What each stage of a backbone runs on."""

    pretrain: Machines = Machines()
    finetune: Machines = Machines()


class GpuNode(Machines):
    """A node as the reference used it: 8 GPUs, which hold a full-size model with all of its states."""

    gpus: int = Field(default=8, ge=0)
    cpus: Count = 8
    mem_gb: Factor = 60
    hours: Factor = 24


class PublishedStages(Stages):
    """One node with 8 GPUs a stage."""

    pretrain: GpuNode = GpuNode(hours=8)
    finetune: GpuNode = GpuNode()


def _divided(backbone: "TinyBackbone | PublishedBackbone") -> None:
    """Raises `ValueError` where a stage's batch is no multiple of what all of its processes take at a time."""
    for stage in ("pretrain", "finetune"):
        recipe, machines = getattr(backbone, stage), getattr(backbone.machines, stage)
        if recipe.batch % (recipe.per_device * machines.world):
            raise ValueError(
                f"{stage}: batch {recipe.batch} does not divide over {machines.world} processes with {recipe.per_device} "
                "samples each: change per_device or machines"
            )


# ------------------------------------------------------------------------------------------------------------ study section


class TinyBackbone(Section):
    """The demo's model and how it is trained."""

    kind: Literal["tiny"] = Field(description="a model that learns from nothing on a laptop")
    model: TinyModel = TinyModel()
    warm_tower: WarmTower | None = Field(default=WarmTower(), description="null: the tower starts from noise")
    pretrain_on: Literal["captions"] | None = Field(default="captions", description="null: no stage 1")
    pretrain: TinyPretrain = TinyPretrain()
    finetune: TinyFinetune = TinyFinetune()
    machines: Stages = Stages()

    @model_validator(mode="after")
    def _divides(self) -> "TinyBackbone":
        _divided(self)
        return self


class PublishedBackbone(Section):
    """A full-size model and how it is trained."""

    kind: Literal["llava-next"] = Field(description="a model put together from published weights")
    model: PublishedModel = PublishedModel()
    pretrain_on: Literal["captions"] | None = Field(default="captions", description="null: no stage 1")
    pretrain: PublishedPretrain = PublishedPretrain()
    finetune: PublishedFinetune = PublishedFinetune()
    machines: PublishedStages = PublishedStages()

    @model_validator(mode="after")
    def _divides(self) -> "PublishedBackbone":
        _divided(self)
        return self


Backbone = Annotated[TinyBackbone | PublishedBackbone, Field(discriminator="kind")]


class Entry(Section):
    """One line of a mixture: the seeds' Q&A, or those that survived an evolution."""

    seeds: Literal["all"] | int | None = Field(default=None, description="all, or so many records, first in hash order")
    evolution: Name | None = Field(default=None, description="what survived of it")
    rounds: list[int] | None = Field(default=None, description="of the evolution; none given: all")
    directions: list[str] | None = Field(default=None, description="of the evolution; none given: all")
    limit: int | None = Field(default=None, gt=0, description="so many Q&A, first in hash order")

    @model_validator(mode="after")
    def _one_source(self) -> "Entry":
        if (self.seeds is None) == (self.evolution is None):
            raise ValueError("give exactly one of seeds and evolution")
        if self.evolution is None and (self.rounds is not None or self.directions is not None):
            raise ValueError("rounds and directions belong to an evolution")
        return self


class SameTokens(Section):
    """Train as many tokens as another arm's run."""

    same_as: Name = Field(description="the arm whose number of tokens is taken")


class Arm(Section):
    """A backbone trained on a mixture: a row of the results table."""

    backbone: Name = Field(description="what is trained")
    mixture: Name = Field(description="what it is trained on")
    train_seeds: list[int] = Field(
        default=[0], min_length=1, description="a run each; three or more say how much is chance"
    )
    tokens: SameTokens | None = Field(
        default=None, description="train as long as another arm, so that a gain is not just more data"
    )


class Checkpoints(Section):
    """How often a run saves what it needs to go on after a kill. A fact of the run: changes no weight."""

    every: int = Field(default=500, gt=0, description="optimizer steps")
    keep: int = Field(default=2, gt=0, description="of a run; the older ones go")


class Train(Section):
    """Backbones, mixtures and arms of the study."""

    backbones: dict[Name, Backbone] = Field(default={}, description="models to train, by name")
    mixtures: dict[Name, list[Entry]] = Field(
        default={}, description="what they are trained on, by name: a list of parts; equal Q&A count once"
    )
    arms: dict[Name, Arm] = Field(default={}, description="what is compared, by name: each a row of the results")
    checkpoints: Checkpoints = Checkpoints()

    @model_validator(mode="after")
    def _known(self) -> "Train":
        for name, arm in self.arms.items():
            if arm.backbone not in self.backbones:
                raise ValueError(f"arms.{name}.backbone: no backbone {arm.backbone!r}")
            if arm.mixture not in self.mixtures:
                raise ValueError(f"arms.{name}.mixture: no mixture {arm.mixture!r}")
            if arm.tokens and arm.tokens.same_as not in self.arms:
                raise ValueError(f"arms.{name}.tokens.same_as: no arm {arm.tokens.same_as!r}")
            if arm.tokens and self.arms[arm.tokens.same_as].tokens:
                raise ValueError(f"arms.{name}.tokens.same_as: {arm.tokens.same_as!r} itself takes another's tokens")
        return self
