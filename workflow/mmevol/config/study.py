"""A resolved study: its sections, where its files lie, and what each command may see of it."""

import os
import socket
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mmevol.config.commands import (
    AskSettings,
    AuditSettings,
    BaseSettings,
    CleanSettings,
    ContaminationSettings,
    CurateSettings,
    DatasetSettings,
    DrawSettings,
    EliminateSettings,
    FinetuneSettings,
    HeldoutSettings,
    JudgeSettings,
    MixtureSettings,
    PredictSettings,
    PretrainSettings,
    Run,
    ScratchSettings,
    WarmTowerSettings,
    finetune_settings,
    sft_name,
    target_mixture,
)
from mmevol.config.endpoints import Endpoint, Identity, Serve
from mmevol.config.evaluate import BENCHMARKS, Evaluate
from mmevol.config.evolve import Evolve
from mmevol.config.publish import Publish
from mmevol.config.section import Name, Section
from mmevol.config.seeds import Seeds
from mmevol.config.train import PublishedBackbone, TinyBackbone, Train
from mmevol.owner import process_start


class Study(Section):
    """A whole study, resolved."""

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
    def _smoke_alone(self) -> "Study":
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

    # Where files lie that more than one rule names.

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

    def two_judges(self, evolution: str) -> list[str]:
        """The models of first and second judge; empty where there is no second."""
        e = self.evolve.evolutions[evolution]
        if e.from_ == "scratch" or e.judge is None or e.judge.second is None:
            return []
        return [self.identity(name).model for name in (e.judge.endpoint, e.judge.second.endpoint)]

    def faults(self, evolution: str) -> str:
        """The fault rates of an evolution's evolver, as JSON."""
        faults = self.endpoints[self.evolve.evolutions[evolution].endpoint].faults
        return faults.dump() if faults else "{}"

    # What each command may see.

    def identity(self, endpoint: str) -> Identity:
        """What of an endpoint shapes its answers."""
        return self.endpoints[endpoint].identity()

    def served(self, *endpoints: str | None) -> list[Serve]:
        """The servers that a job starts where it runs, of the endpoints that it asks."""
        found = {s.command: s for name in endpoints if name and (s := self.endpoints[name].serve)}
        return list(found.values())

    def served_for(self, evolution: str) -> list[Serve]:
        """The servers that a round of an evolution starts."""
        e = self.evolve.evolutions[evolution]
        second = e.judge.second.endpoint if e.judge and e.judge.second else None
        return self.served(e.endpoint, e.judge.endpoint if e.judge else None, second)

    def run(self) -> Run:
        """The facts of a run that commands are handed; this process is the Snakemake that starts them."""
        return Run(
            status=f"{self.results}/status",
            parent=os.getpid(),
            parent_start=process_start(os.getpid()),
            parent_host=socket.gethostname(),
            connections={name: e.connection() for name, e in self.endpoints.items()},
            budget=self.evolve.budget,
            answering=self.evaluate.budget,
            checkpoints=self.train.checkpoints,
        )

    def draw_settings(self) -> DrawSettings:
        """Of `seeds draw`."""
        s = self.seeds
        return DrawSettings(seed=self.seed, images=s.images, image_size=s.image_size, caption_only=s.caption_only)

    def audit_settings(self) -> AuditSettings:
        """Of `seeds audit`."""
        s = self.seeds
        return AuditSettings(
            seed=self.seed,
            shards=self.evolve.shards,
            heldout=s.heldout,
            bad_images=s.bad_images,
            licence=s.licence,
            limit=s.limit,
        )

    def curate_settings(self) -> CurateSettings:
        """Of `seeds curate`."""
        curate = self.seeds.curate
        assert curate
        return CurateSettings(
            shards=self.evolve.shards,
            endpoint=curate.endpoint,
            identity=self.identity(curate.endpoint),
            images_root=self.images_root,
            content_attempts=curate.content_attempts,
        )

    def ask_settings(self, evolution: str, round_: int) -> AskSettings:
        """Of `evolve ask`. Round 0 judges the seeds, by the first judge."""
        e = self.evolve.evolutions[evolution]
        judge = e.judge.model_copy(update={"second": None}) if e.judge and round_ == 0 else e.judge
        target = self.evolve.target if round_ == 1 else None
        return AskSettings(
            seed=self.seed,
            shards=self.evolve.shards,
            round=round_,
            directions=e.directions,
            evolver=e.endpoint,
            evolver_identity=self.identity(e.endpoint),
            checks=e.checks,
            content_attempts=e.content_attempts,
            qas_per_request=e.qas_per_request,
            judge=judge,
            judge_identity=self.identity(judge.endpoint) if judge else None,
            second_identity=self.identity(judge.second.endpoint) if judge and judge.second else None,
            plugins=[p for p in self.evolve.direction_plugins if p.name in e.directions and round_ > 0],
            images_root=self.images_root,
            target=target,
            elimination=self.eliminate_settings(evolution, round_) if target else None,
        )

    def scratch_settings(self, evolution: str) -> ScratchSettings:
        """Of `evolve scratch`."""
        e = self.evolve.evolutions[evolution]
        return ScratchSettings(
            seed=self.seed,
            shards=self.evolve.shards,
            evolver=e.endpoint,
            evolver_identity=self.identity(e.endpoint),
            checks=e.checks,
            qas_per_request=e.qas_per_request,
            images_root=self.images_root,
        )

    def eliminate_settings(self, evolution: str, round_: int) -> EliminateSettings:
        """Of `evolve eliminate`."""
        e = self.evolve.evolutions[evolution]
        thresholds = e.eliminate.at(round_) if e.eliminate else None
        return EliminateSettings(
            thresholds=thresholds if e.judge or not thresholds else thresholds.unjudged(),
            judges=self.two_judges(evolution),
        )

    def dataset_settings(self, evolution: str) -> DatasetSettings:
        """Of `evolve dataset`."""
        e = self.evolve.evolutions[evolution]
        return DatasetSettings(
            study=self.study,
            evolution=evolution,
            shards=self.evolve.shards,
            rounds=list(self.rounds(evolution)),
            curated=bool(self.seeds.curate),
            smoke=self.smoke,
            definition=e,
            evolver=self.identity(e.endpoint).model,
            judge=self.identity(e.judge.endpoint).model if e.judge else None,
            second_judge=next(iter(self.two_judges(evolution)[1:]), None),
        )

    def base_settings(self, backbone: str) -> BaseSettings:
        """Of `train base`."""
        return BaseSettings(seed=self.seed, model=self.train.backbones[backbone].model)

    def warm_tower_settings(self, backbone: str) -> WarmTowerSettings:
        """Of `train warm-tower`."""
        b = self.train.backbones[backbone]
        assert b.kind == "tiny" and b.warm_tower
        return WarmTowerSettings(seed=self.seed, warm_tower=b.warm_tower)

    def pretrain_settings(self, backbone: str) -> PretrainSettings:
        """Of `train pretrain`."""
        return PretrainSettings(seed=self.seed, recipe=self.train.backbones[backbone].pretrain)

    def mixture_settings(self, mixture: str) -> MixtureSettings:
        """Of `train mixture`."""
        return MixtureSettings(seed=self.seed, entries=self.train.mixtures[mixture])

    def finetune_settings(self, arm: str, train_seed: int) -> FinetuneSettings:
        """Of `train finetune`."""
        return finetune_settings(self.train, arm, seed=self.seed, train_seed=train_seed)

    def heldout_settings(self, benchmark: str) -> HeldoutSettings:
        """Of `evaluate heldout`."""
        n = self.evaluate.benchmarks[benchmark].n
        return HeldoutSettings(seed=self.seed, benchmark=benchmark, **({} if n is None else {"n": n}))

    def predict_settings(self, arm: str) -> PredictSettings:
        """Of `evaluate predict` and `ask`; what is called ``<arm>.blind`` sees grey pictures."""
        e = self.evaluate
        reference = e.prompts == "reference"
        model = e.models.get(arm.removesuffix(".blind"))
        endpoint = model.endpoint if model else None
        return PredictSettings(
            benchmarks=self.benchmarks,
            blind=arm.endswith(".blind"),
            prompts=e.prompts,
            max_new_tokens=e.max_new_tokens or (None if reference else 48),
            beams=e.beams or (3 if reference else 1),
            grid=e.grid or ("square" if reference else "trained"),
            textual=e.rules == "authors",
            threads=e.threads,
            batch=e.batch,
            endpoint=endpoint,
            identity=self.identity(endpoint) if endpoint else None,
        )

    def ask_model_settings(self, model: str) -> PredictSettings:
        """Of `evaluate ask`: what only a model on this machine knows stays at its default."""
        kept = ("benchmarks", "blind", "prompts", "textual", "endpoint", "identity")
        whole = self.predict_settings(model)
        return PredictSettings(**{key: getattr(whole, key) for key in kept})

    def import_settings(self) -> PredictSettings:
        """Of `evaluate import`."""
        return PredictSettings(benchmarks=self.benchmarks, textual=self.evaluate.rules == "authors")

    def contamination_settings(self) -> ContaminationSettings:
        """Of `evaluate contamination`."""
        e = self.evaluate
        assert e.contamination
        return ContaminationSettings(
            benchmarks=self.benchmarks,
            contamination=e.contamination,
            textual=e.rules == "authors",
            threads=e.threads,
        )

    def clean_settings(self) -> CleanSettings:
        """Of `evaluate clean`: the arms that are trained here, for of others nobody knows the data."""
        e = self.evaluate
        arms = {name: (arm.mixture, list(arm.train_seeds)) for name, arm in self.train.arms.items()}
        judges = {name: judge for name in self.benchmarks if (judge := self.judge_settings(name))}
        return CleanSettings(rules=e.rules, benchmarks=self.benchmarks, arms=arms, judges=judges)

    def judge_settings(self, benchmark: str) -> JudgeSettings | None:
        """Of the live judge of a benchmark in `evaluate score`."""
        of = self.evaluate.benchmarks.get(benchmark)
        name = (of and of.judge) or self.evaluate.judge
        return JudgeSettings(endpoint=name, identity=self.identity(name)) if name else None
