"""Evaluation: which benchmarks, by which rules, and which arms also with their pictures greyed out."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from mmevol.config.evolve import Budget
from mmevol.config.section import Name, Section

BENCHMARKS = (
    "VQA_v2",
    "GQA",
    "MME",
    "MMStar",
    "HallusionBench",
    "MathVista_MINI",
    "MMMU_DEV_VAL",
    "AI2D_TEST",
    "POPE",
    "MIA-Bench",
    "BLINK",
    "RealWorldQA",
    "MMSInst",
)
"""In the order of the paper's table 4."""

DISPLAY = dict(
    zip(
        BENCHMARKS,
        [
            "VQAv2",
            "GQA",
            "MME_C",
            "MMStar",
            "HallBench",
            "MathVista",
            "MMMU",
            "AI2D",
            "POPE",
            "MIA",
            "BLINK",
            "RWQA",
            "MMSInst",
        ],
        strict=True,
    )
)
"""How a table heads a benchmark's column."""


class Benchmark(Section):
    """One benchmark of the study."""

    n: int | None = Field(
        default=None,
        gt=0,
        description="rows that are made from held-out scenes, 100 if not given; real files are taken whole",
    )
    split: Literal["test-dev", "val"] | None = Field(
        default=None,
        description="of VQA_v2 with `source: files`: test-dev, as in the paper, ends at a file for EvalAI; val gives a number",
    )
    judge: Name | None = Field(default=None, description="endpoint of its judge, where it is not evaluate.judge")


class Measured(Section):
    """A model that the study does not train: a row of the tables like an arm."""

    endpoint: Name | None = Field(
        default=None, description="endpoint that is asked; give it `temperature: 0` and the `image_side` you mean"
    )
    folder: str | None = Field(
        default=None, description="folder of an image-text-to-text model of transformers, with its processor"
    )
    predictions: str | None = Field(
        default=None,
        description="folder of answers made elsewhere, `BENCHMARK.jsonl`, `.tsv` or `.xlsx`; also names that end in `_BENCHMARK`",
    )

    @model_validator(mode="after")
    def _one(self) -> "Measured":
        if sum(way is not None for way in (self.endpoint, self.folder, self.predictions)) != 1:
            raise ValueError("give exactly one of endpoint, folder and predictions")
        return self


class Contamination(Section):
    """What counts as an overlap of a mixture with a benchmark."""

    distance: int = Field(
        default=4,
        ge=0,
        le=32,
        description="bits of 64 in which the perceptual hashes of two pictures may differ for one to be nearly the other",
    )
    words: int = Field(
        default=13, gt=1, description="length of a run of words that a question shares with the mixture's text"
    )
    common: int = Field(
        default=10,
        gt=0,
        description="a run of words in more questions of a benchmark than this is its own phrase: no overlap",
    )


class Evaluate(Section):
    """What is measured."""

    rules: Literal["mmevol", "vlmevalkit-head", "authors"] = Field(
        default="mmevol",
        description="whose scoring: the reference's copy of VLMEvalKit, that kit today, or the benchmark authors' own code",
    )
    source: Literal["heldout", "files"] = Field(
        default="heldout",
        description="heldout: written from held-out scenes in the official formats; files: the real ones, fetched or put there",
    )
    root: str | None = Field(
        default=None, description="files: folder of all official files, which studies share; the kit's LMUData will do"
    )
    check: bool = Field(default=True, description="files: refuse a table whose checksum is not the listed one")
    benchmarks: dict[str, Benchmark] = Field(default={}, description="by name, as the official files spell it")
    judge: Name | None = Field(default=None, description="endpoint of the benchmark judges; none: rules alone")
    models: dict[Name, Measured] = Field(default={}, description="models that are measured beside the trained arms")
    budget: Budget = Field(
        default=Budget(), description="of each model behind an endpoint, over all benchmarks; of the judge, one scoring"
    )
    blind: list[Name] = Field(
        default=[], description="arms and models that are also measured with the pictures greyed out"
    )
    contamination: Contamination | None = Field(
        default=None, description="looks for the benchmarks in the mixtures; `{}` does as by default; none: not"
    )
    batch: int = Field(default=64, gt=0, description="rows that are answered together; less where memory is short")
    threads: int = Field(default=1, gt=0, description="CPU threads of a predict job")
    chunks: int = Field(
        default=1, gt=0, description="jobs that share an arm's rows; more than 1 where GPUs are many and hours few"
    )
    gpus: int = Field(default=0, ge=0, le=1, description="of a predict job; 1 for a full-size model, 0: on the CPU")
    mem_gb: float = Field(default=3, gt=0, description="of a predict job, times the attempt")
    hours: float = Field(
        default=8, gt=0, description="of a predict job, times the attempt; it goes on where it was cut"
    )
    prompts: Literal["plain", "reference"] = Field(
        default="plain",
        description="each benchmark's own, or all that the reference's wrapper does, whose values the next three keys then have",
    )
    max_new_tokens: int | None = Field(
        default=None,
        gt=0,
        description="of an answer; unset: 48, the reference: 1224 for choices, 1027 for yes/no, 1024 else",
    )
    beams: int | None = Field(
        default=None, gt=0, description="for the benchmarks that come as a table; unset: 1, the reference: 3"
    )
    grid: Literal["trained", "square"] | None = Field(
        default=None,
        description="AnyRes grid of a LLaVA-NeXT that answers; square: always 2 by 2 tiles; unset: trained, the reference: square",
    )

    @model_validator(mode="after")
    def _whole_files(self) -> "Evaluate":
        if self.source == "files" and (self.root is None or any(b.n is not None for b in self.benchmarks.values())):
            raise ValueError("source: files needs root, and takes every benchmark whole (no n)")
        if any(b.split and (self.source != "files" or name != "VQA_v2") for name, b in self.benchmarks.items()):
            raise ValueError("split is a key of VQA_v2 with source: files")
        return self

    @model_validator(mode="after")
    def _shown(self) -> "Evaluate":
        if made := [name for name in self.blind if name in self.models and self.models[name].predictions]:
            raise ValueError(f"blind: {made[0]} has its answers from elsewhere and is shown nothing here")
        return self

    @model_validator(mode="after")
    def _judges(self) -> "Evaluate":
        own = [name for name, benchmark in self.benchmarks.items() if benchmark.judge]
        if own and self.judge is None:
            raise ValueError(f"benchmarks.{own[0]}.judge needs judge, who judges the other benchmarks")
        return self

    @field_validator("benchmarks")
    @classmethod
    def _known(cls, value: dict[str, Benchmark]) -> dict[str, Benchmark]:
        for name in value:
            if name not in BENCHMARKS:
                raise ValueError(f"no benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
        return value
