"""What each command may see of a study: a rule's params are these, with defaults left out, so a rule reruns when, and only
when, one of these keys changes. ``version`` is bumped by hand when a stage's code changes what it makes."""

from pydantic import Field

from mmevol.config.endpoints import Connection, Identity
from mmevol.config.evolve import Budget, Eliminate, Judge
from mmevol.config.section import Name, Section


class Run(Section):
    """Facts of a run that change no data: handed to commands as ``--run``, never part of params."""

    status: str | None = Field(default=None, description="folder of heartbeats")
    parent: int | None = Field(default=None, description="pid of the Snakemake that started the job")
    parent_start: str | None = None
    parent_host: str | None = None
    connections: dict[str, Connection] = {}
    budget: Budget = Budget()


class CurateSettings(Section):
    """`seeds curate`: one shard."""

    version: int = 1
    shards: int = 1
    endpoint: Name
    identity: Identity
    images_root: str | None = None
    content_attempts: int = 3


class AskSettings(Section):
    """`evolve ask`: one round of one shard; no threshold is in it."""

    version: int = 1
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
    images_root: str | None = None


class ScratchSettings(Section):
    """`evolve scratch`: fresh Q&A, as many calls as another evolution made; a call is not tried again."""

    version: int = 1
    seed: int
    shards: int = 1
    evolver: Name
    evolver_identity: Identity
    checks: bool = True
    qas_per_request: int = 4
    images_root: str | None = None


class EliminateSettings(Section):
    """`evolve eliminate`: one round of one shard, all thresholds."""

    version: int = 1
    thresholds: Eliminate | None = None
