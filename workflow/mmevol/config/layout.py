"""The sections of a study, and where its files lie."""

import os
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mmevol.config.commands import sft_name, target_mixture
from mmevol.config.endpoints import Endpoint
from mmevol.config.evaluate import BENCHMARKS, Evaluate
from mmevol.config.evolve import Evolve
from mmevol.config.publish import Publish
from mmevol.config.section import Name, Section
from mmevol.config.seeds import Seeds
from mmevol.config.train import PublishedBackbone, TinyBackbone, Train


class Layout(Section):
    """What a study consists of, and where each part lies."""

    study: Name = Field(description="name of the study, and of its folder in `results/`")
    seed: int = Field(default=0, description="of every draw; another seed, another study")
    smoke: bool = Field(
        default=False,
        description="only tries an endpoint out: its data are marked smoke-only, never trained on and never taken as seeds",
    )
    endpoints: dict[Name, Endpoint] = Field(
        default={}, description="models, by name; `evolver` and `judge` are what the other sections ask for by default"
    )
    seeds: Seeds
    evolve: Evolve = Evolve()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    publish: Publish = Publish()

    @model_validator(mode="after")
    def _smoke_alone(self) -> Self:
        if self.smoke and (self.train != Train() or self.evaluate != Evaluate()):
            raise ValueError("smoke: true goes without train and evaluate: such data are never trained on or measured")
        return self

    @property
    def results(self) -> str:
        """Where everything of the study lies; ``MMEVOL_RESULTS`` moves it."""
        return f"{os.environ.get('MMEVOL_RESULTS', 'results')}/{self.study}"

    @property
    def images_root(self) -> str | None:
        """Where the seed records' pictures lie: the study's own drawings, the folder given, or nowhere."""
        return f"{self.results}/seeds/images" if self.seeds.source in ("world", "photos") else self.seeds.images_root

    @property
    def shards(self) -> range:
        """The shards of the study."""
        return range(self.evolve.shards)

    @property
    def records(self) -> str:
        """The file of seed records that is audited."""
        drawn = {"world": f"{self.results}/seeds/world.jsonl", "photos": f"{self.results}/seeds/photos.jsonl"}
        return drawn.get(self.seeds.source, self.seeds.source)

    def round_file(self, evolution: str, round_: int, kind: str, shard: int | str) -> str:
        """A file of a round: ``kind`` is a folder, its files are Parquet."""
        return f"{self.results}/evolve/{evolution}/round_{round_}/{kind}/{shard}.parquet"

    def frontier(self, evolution: str, round_: int, shard: int | str) -> list[str]:
        """The frontier after a round; before round 1 there is none, the seeds stand for it."""
        return [self.round_file(evolution, round_, "frontier", shard)] if round_ > 0 else []

    def rounds(self, evolution: str) -> range:
        """The rounds of an evolution that have a ledger."""
        e = self.evolve.evolutions[evolution]
        return range(1, 2 if e.from_ == "scratch" else e.rounds + 1)

    def round_files(self, evolution: str, kind: str, suffix: str = "parquet") -> list[str]:
        """The files of a kind, of every round and shard."""
        files = [self.round_file(evolution, r, kind, s) for r in self.rounds(evolution) for s in self.shards]
        return [f.removesuffix("parquet") + suffix for f in files]

    def judged_seeds(self, evolution: str) -> list[str]:
        """The seeds judged against themselves, a file a shard, where the evolution does that."""
        judged = self._judges_seeds(evolution)
        return [self.round_file(evolution, 0, "candidates", shard) for shard in self.shards if judged]

    def lineage_files(self, evolution: str) -> list[str]:
        """Candidates and outcomes of every round and shard, and the judged seeds."""
        kinds = ("candidates", "ledger")
        return [f for kind in kinds for f in self.round_files(evolution, kind)] + self.judged_seeds(evolution)

    def usage_files(self) -> list[str]:
        """What every job that asks an endpoint says that it cost."""
        curation = [f"{self.results}/seeds/usage/{shard}.json" for shard in self.shards if self.seeds.curate]
        judging = [
            self.round_file(name, 0, "usage", shard).removesuffix("parquet") + "json"
            for name in self.evolve.evolutions
            if self._judges_seeds(name)
            for shard in self.shards
        ]
        rounds = [f for name in self.evolve.evolutions for f in self.round_files(name, "usage", suffix="json")]
        scoring = [
            f"{self.results}/evaluate/{arm}/seed_{k}/{benchmark}/usage/{self.evaluate.rules}.json"
            for arm, k in self.measured()
            for benchmark in self.benchmarks
            if self.evaluate.judge
        ]
        answering = [f"{self.results}/evaluate/{name}/seed_0/usage.json" for name in self.answering("endpoint")]
        again = (
            [f"{self.results}/evaluate/contamination/usage.json"] if self.looked_into and self.evaluate.judge else []
        )
        return curation + judging + rounds + answering + scoring + again

    def _judges_seeds(self, evolution: str) -> bool:
        e = self.evolve.evolutions[evolution]
        return bool(e.from_ == "seeds" and e.judge and e.judge.seeds)

    def bucket_turn(self, evolution: str, round_: int, shard: int | str) -> list[str]:
        """Of the jobs that meet in a shard's buckets, the one before this one, unless the frontier says so already."""
        order = self._asking
        place = order.index((evolution, round_))
        if place == 0 or (round_ > 1 and order[place - 1] == (evolution, round_ - 1)):
            return []
        return [self.round_file(*order[place - 1], "candidates", shard)]

    @cached_property
    def _asking(self) -> list[tuple[str, int]]:
        """Evolutions and rounds in the order in which a shard's jobs ask."""
        return [(name, r) for name in self.evolve.evolutions for r in self._asked(name)]

    def _asked(self, evolution: str) -> list[int]:
        """The rounds of an evolution in the order in which a shard's jobs ask. The seeds are judged first, but with a target
        only once round 1 has taken its records."""
        rounds = list(self.rounds(evolution))
        if not self._judges_seeds(evolution):
            return rounds
        return [1, 0, *rounds[1:]] if self.evolve.target else [0, *rounds]

    def taken(self, evolution: str, shard: int | str) -> list[str]:
        """The frontier that says which records a shard has taken, where the study has a target."""
        return self.frontier(evolution, 1, shard) if self.evolve.target else []

    def matched_ledgers(self, evolution: str, shard: int | str) -> list[str]:
        """The ledgers of the evolution whose calls this one matches."""
        calls = self.evolve.evolutions[evolution].calls
        assert calls
        of = calls.same_as
        return [f"{self.results}/evolve/{of}/round_{r}/ledger/{shard}.json" for r in self.rounds(of)]

    def dataset(self, evolution: str) -> str:
        """The evolved dataset."""
        return f"{self.results}/evolve/{evolution}/dataset/evolved.parquet"

    @property
    def sft(self) -> str:
        """Name of the LLaVA file; that of a smoke study says so."""
        return sft_name(self.smoke)

    def mixture_datasets(self, mixture: str) -> list[str]:
        """The datasets that a mixture draws on."""
        names = {entry.evolution for entry in self.train.mixtures[mixture] if entry.evolution}
        return [self.dataset(name) for name in sorted(names)]

    def target_mixture(self, arm: str) -> str:
        """The mixture whose tokens a run of the arm counts."""
        return target_mixture(self.train, arm)

    def trained_mixtures(self) -> list[str]:
        """The mixtures that an arm is trained on, in the study's order."""
        return [name for name in self.train.mixtures if name in {a.mixture for a in self.train.arms.values()}]

    def mixture_backbones(self, mixture: str) -> list[str]:
        """The backbones that train on a mixture, or count its tokens."""
        arms = self.train.arms.items()
        return sorted({a.backbone for name, a in arms if mixture in (a.mixture, self.target_mixture(name))})

    def tower(self, backbone: str) -> list[str]:
        """The manifest of the warmed tower, if the backbone has one."""
        b = self.train.backbones[backbone]
        warmed = b.kind == "tiny" and b.warm_tower
        return [f"{self.results}/train/base/{backbone}/warm_tower/manifest.json"] if warmed else []

    def backbone(self, arm: str) -> TinyBackbone | PublishedBackbone:
        """The backbone of an arm."""
        return self.train.backbones[self.train.arms[arm].backbone]

    def cores(self, backbone: str, stage: Literal["pretrain", "finetune"]) -> int:
        """CPU cores of each machine that a stage of a backbone runs on."""
        b = self.train.backbones[backbone]
        cores: int = getattr(b.machines, stage).cores(getattr(b, stage))
        return cores

    def pretrained_backbones(self) -> list[str]:
        """The backbones that have a stage 1."""
        return [name for name, b in self.train.backbones.items() if b.pretrain_on]

    def pretrained(self, arm: str) -> list[str]:
        """The manifest of stage 1, if the arm's backbone has one."""
        name = self.train.arms[arm].backbone
        has = name in self.pretrained_backbones()
        return [f"{self.results}/train/pretrain/{name}/manifest.json"] if has else []

    def runs(self) -> list[tuple[str, int]]:
        """Every training run: arm and train seed."""
        return [(name, k) for name, arm in self.train.arms.items() for k in arm.train_seeds]

    @property
    def benchmarks(self) -> list[str]:
        """The study's benchmarks in the paper's order."""
        return [b for b in BENCHMARKS if b in self.evaluate.benchmarks]

    def benchmark_data(self, benchmark: str) -> str:
        """The folder that holds, or links to, a benchmark's files; made ones and official ones never share one."""
        return f"{self.results}/evaluate/{'data' if self.evaluate.source == 'heldout' else 'official'}/{benchmark}"

    def fetch_options(self, benchmark: str) -> str:
        """What `evaluate fetch` is told of a benchmark, beside folders; defaults left out."""
        split = self.evaluate.benchmarks[benchmark].split
        return " ".join([f"--split {split}"] * bool(split) + ["--no-check"] * (not self.evaluate.check))

    def benchmark_file(self, benchmark: str) -> str:
        """The file that stands for a benchmark."""
        return f"{self.benchmark_data(benchmark)}/manifest.json"

    def measured(self) -> list[tuple[str, int]]:
        """Every run that is measured: arm or model (or ``<arm>.blind``) and train seed, 0 of what is not trained here."""
        seen = self.runs() + [(name, 0) for name in self.evaluate.models]
        return seen + [(f"{name}.blind", k) for name, k in seen if name in self.evaluate.blind]

    def answering(self, way: Literal["trained", "endpoint", "folder", "predictions"]) -> list[str]:
        """The measured arms and models, as `measured` names them, that are answered in one way."""
        of = {name: getattr(model, way, None) is not None for name, model in self.evaluate.models.items()}
        names = dict.fromkeys(name for name, _ in self.measured())
        return [name for name in names if of.get(name.removesuffix(".blind"), way == "trained")]

    @property
    def looked_into(self) -> bool:
        """Whether the study looks for its benchmarks in its mixtures."""
        return bool(self.evaluate.contamination and self.benchmarks and self.train.arms)

    def model_files(self, arm: str, train_seed: int | str) -> list[str]:
        """The files that stand for a model that answers on this machine, the first in its folder."""
        name = arm.removesuffix(".blind")
        if model := self.evaluate.models.get(name):
            return [f"{model.folder}/config.json", *sorted(map(str, Path(str(model.folder)).glob("*.safetensors")))]
        return [f"{self.results}/train/finetune/{name}/seed_{train_seed}/manifest.json"]

    def answer_files(self, model: str) -> list[str]:
        """The files of a model whose answers were made elsewhere; its folder where there is none yet."""
        folder = Path(str(self.evaluate.models[model].predictions))
        return sorted(str(path) for path in folder.glob("*") if path.is_file()) or [str(folder)]

    def planted_evolutions(self) -> list[str]:
        """The evolutions whose evolver plants faults."""
        names = {name for name, e in self.endpoints.items() if e.launch == "embedded"}
        return [
            n for n, e in self.evolve.evolutions.items() if e.from_ == "seeds" and e.eliminate and e.endpoint in names
        ]

    def faults(self, evolution: str) -> str:
        """The fault rates of an evolution's evolver, as JSON."""
        faults = self.endpoints[self.evolve.evolutions[evolution].endpoint].faults
        return faults.dump() if faults else "{}"
