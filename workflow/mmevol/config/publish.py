"""Publishing: which tables and figures, how they look, and what each of their commands may see of a study."""

from typing import TYPE_CHECKING

from pydantic import Field

from mmevol.config.evaluate import BENCHMARKS, Measured
from mmevol.config.section import Name, Section, Settings

if TYPE_CHECKING:
    from mmevol.config.study import Study


class Figure(Section):
    """How one figure looks."""

    colors: dict[str, str] = Field(
        default={}, description="by what is drawn: seed, evolved, a direction, a version (v0 …), an arm, a group"
    )
    width: float = Field(default=5.0, gt=0, description="inches")
    height: float = Field(default=3.2, gt=0, description="inches")


class Lineage(Figure):
    """Figure 1: one record through the rounds."""

    width: float = 9.6
    height: float = 5.8
    record: str | None = Field(default=None, description="key of the record; none: the one that shows most")


class Composition(Figure):
    """Figure 2: where the seeds come from."""

    width: float = 6.0
    height: float = 2.8


class LongTail(Figure):
    """Figure 10: how often each object is asked about."""

    width: float = 8.0
    top: int = Field(default=200, gt=0, description="so many objects, the most frequent of the evolved Q&A")


class Results(Figure):
    """Scores and differences by benchmark."""

    width: float = 8.0
    height: float = 5.4


class Figures(Section):
    """One key a figure, named as in the paper where it is one of the paper's."""

    fig1_lineage: Lineage = Lineage()
    fig2_composition: Composition = Composition()
    fig9a_skills: Figure = Figure()
    fig9b_steps: Figure = Figure()
    fig9c_difficulty: Figure = Figure()
    fig10_longtail: LongTail = LongTail()
    fig_loss: Figure = Figure()
    fig_results: Results = Results()


FIGURES = tuple(Figures.model_fields)


class Publish(Section):
    """Tables and figures."""

    main_evolution: Name | None = Field(
        default=None, description="the evolution that the figures show; none: the first"
    )
    arm: Name = Field(default="evolved", description="the arm whose difference to the baseline is the main finding")
    baseline: Name = Field(default="seed_matched", description="the arm that the others are compared with")
    groups: dict[str, str] = Field(default={}, description="group of a source in table and figure of the composition")
    paper: dict[Name, str] = Field(
        default={},
        description="arms that repeat a row of the paper's table 4, or of its ablations, by its name there",
    )
    figures: Figures = Field(
        default=Figures(), description="how each looks; a changed colour redraws one figure and nothing else"
    )


# --------------------------------------------------------------------------------------------- what the commands may see


class ResultsSettings(Settings):
    """Of ``publish results``. ``arms``: name and train seeds, as the rows stand; without its pictures an arm is ``<arm>.blind``.
    ``paper``: the row of the paper's tables that an arm repeats. ``untrained``: what stands among the arms and was not trained
    here, by name, as ``an endpoint``."""

    rules: str = "mmevol"
    benchmarks: list[str]
    arms: list[tuple[str, list[int]]]
    baseline: str | None = None
    paper: dict[Name, str] = {}
    untrained: dict[Name, str] = {}

    @property
    def runs(self) -> dict[str, list[int]]:
        """The train seeds by arm, in order."""
        return dict(self.arms)


class RoundsSettings(Settings):
    """Of ``publish rounds`` and ``publish elimination``. ``evolutions``: their rounds, 0 where the seeds were judged."""

    shards: int = 1
    evolutions: dict[Name, list[int]]


class Judged(Section):
    """An evolution with two judges: its rounds, and the models of the first and the second."""

    rounds: int
    judges: tuple[str, str]


class AgreementSettings(Settings):
    """Of ``publish agreement``."""

    shards: int = 1
    evolutions: dict[Name, Judged]


class CostSettings(RoundsSettings):
    """Of ``publish cost``. ``curated``: the seeds were given Q&A by an endpoint; ``scored``: arm, train seed, benchmark and rules
    where a live judge had a part; ``answered``: the measured models that endpoints are."""

    curated: bool = False
    answered: list[str] = []
    rescored: bool = Field(default=False, description="the live judge also had a part in scores without overlaps")
    scored: list[tuple[str, int, str, str]] = []


class CompositionSettings(Settings):
    """Of ``publish composition``."""

    groups: dict[str, str] = {}


class MixturesSettings(Settings):
    """Of ``publish mixtures``. ``arms``: the mixture that each is trained on."""

    arms: dict[Name, str]


class ContaminationTableSettings(Settings):
    """Of ``publish contamination``. ``arms``: the mixture and the train seeds of each."""

    rules: str = "mmevol"
    benchmarks: list[str]
    arms: dict[Name, tuple[Name, list[int]]]


class PaperSettings(Settings):
    """Of ``publish paper``. ``arms``: the row of the paper's tables that an arm repeats."""

    arms: dict[Name, str]


class FindingsSettings(Settings):
    """Of ``publish findings``."""

    arm: str
    baseline: str
    evolution: str | None = None


def main_evolution(study: "Study") -> str | None:
    """The evolution that figures and findings are about."""
    return study.publish.main_evolution or next(iter(study.evolve.evolutions), None)


def results_settings(study: "Study") -> ResultsSettings:
    """Of the results tables."""
    arms = {name: list(arm.train_seeds) for name, arm in study.train.arms.items()}
    arms |= {name: [0] for name in study.evaluate.models}
    blind = {f"{name}.blind": arms[name] for name in study.evaluate.blind}
    return ResultsSettings(
        rules=study.evaluate.rules,
        benchmarks=[b for b in BENCHMARKS if b in study.evaluate.benchmarks],
        arms=list((arms | blind).items()),
        baseline=study.publish.baseline if study.publish.baseline in arms else None,
        paper={name: row for name, row in study.publish.paper.items() if name in arms},
        untrained={name: _source(model) for name, model in study.evaluate.models.items()},
    )


def _source(model: Measured) -> str:
    if model.endpoint:
        return "an endpoint"
    return "a model of transformers" if model.folder else "answers made elsewhere, scored here"


def rounds_settings(study: "Study") -> RoundsSettings:
    """Of the rounds table."""
    evolutions = {}
    for name, e in study.evolve.evolutions.items():
        judged = e.from_ == "seeds" and e.judge is not None and e.judge.seeds
        evolutions[name] = list(range(0 if judged else 1, (e.rounds if e.from_ == "seeds" else 1) + 1))
    return RoundsSettings(shards=study.evolve.shards, evolutions=evolutions)


def elimination_settings(study: "Study") -> RoundsSettings:
    """Of the elimination table: the evolutions that eliminate, and whose evolver is the embedded teacher."""
    every = rounds_settings(study)
    tested = {
        name: every.evolutions[name]
        for name, e in study.evolve.evolutions.items()
        if e.eliminate and e.from_ == "seeds" and study.endpoints[e.endpoint].launch == "embedded"
    }
    return every.model_copy(update={"evolutions": tested})


def cost_settings(study: "Study") -> CostSettings:
    """Of the cost table."""
    every = rounds_settings(study)
    e = study.evaluate
    scored = [(arm, seed, b, e.rules) for arm, seed in study.measured() for b in study.benchmarks if e.judge]
    return CostSettings(
        shards=every.shards,
        evolutions=every.evolutions,
        curated=bool(study.seeds.curate),
        answered=study.answering("endpoint"),
        rescored=study.looked_into and bool(e.judge),
        scored=scored,
    )


def mixtures_settings(study: "Study") -> MixturesSettings:
    """Of the table of mixtures."""
    return MixturesSettings(arms={name: arm.mixture for name, arm in study.train.arms.items()})


def contamination_settings(study: "Study") -> ContaminationTableSettings:
    """Of the table of overlaps."""
    of = study.clean_settings()
    return ContaminationTableSettings(rules=of.rules, benchmarks=of.benchmarks, arms=of.arms)


def agreement_settings(study: "Study") -> AgreementSettings:
    """Of the agreement table: the evolutions that have a second judge."""
    judged = {name: study.two_judges(name) for name in study.evolve.evolutions}
    evolutions = {
        name: Judged(rounds=study.evolve.evolutions[name].rounds, judges=(two[0], two[1]))
        for name, two in judged.items()
        if two
    }
    return AgreementSettings(shards=study.evolve.shards, evolutions=evolutions)


def findings_settings(study: "Study") -> FindingsSettings:
    """Of the findings."""
    return FindingsSettings(arm=study.publish.arm, baseline=study.publish.baseline, evolution=main_evolution(study))
