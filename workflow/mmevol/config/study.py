"""A resolved study: its sections, where its files lie, and what each command may see of it."""

import os
import socket

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
)
from mmevol.config.endpoints import Identity, Serve
from mmevol.config.layout import Layout
from mmevol.owner import process_start


class Study(Layout):
    """A whole study, resolved."""

    def identity(self, endpoint: str) -> Identity:
        """What of an endpoint shapes its answers."""
        return self.endpoints[endpoint].identity()

    def two_judges(self, evolution: str) -> list[str]:
        """The models of first and second judge; empty where there is no second."""
        e = self.evolve.evolutions[evolution]
        if e.from_ == "scratch" or e.judge is None or e.judge.second is None:
            return []
        return [self.identity(name).model for name in (e.judge.endpoint, e.judge.second.endpoint)]

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
