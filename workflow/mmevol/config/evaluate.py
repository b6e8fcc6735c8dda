"""Evaluation: which benchmarks, by which rules, and which arms also with their pictures greyed out."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

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
    blind: list[Name] = Field(default=[], description="arms that are also measured with the pictures greyed out")
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
        default="plain", description="each benchmark's own, or the reference wrapper's"
    )
    max_new_tokens: int = Field(
        default=48, gt=0, description="of an answer; the reference: 1224 for choices, 1027 for yes/no, 1024 else"
    )
    beams: int = Field(default=1, gt=0, description="the reference: 3 for the benchmarks that come as a table")

    @model_validator(mode="after")
    def _whole_files(self) -> "Evaluate":
        if self.source == "files" and (self.root is None or any(b.n is not None for b in self.benchmarks.values())):
            raise ValueError("source: files needs root, and takes every benchmark whole (no n)")
        if any(b.split and (self.source != "files" or name != "VQA_v2") for name, b in self.benchmarks.items()):
            raise ValueError("split is a key of VQA_v2 with source: files")
        return self

    @field_validator("benchmarks")
    @classmethod
    def _known(cls, value: dict[str, Benchmark]) -> dict[str, Benchmark]:
        for name in value:
            if name not in BENCHMARKS:
                raise ValueError(f"no benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
        return value
