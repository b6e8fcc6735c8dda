"""The command line: ``mmevol <stage> <verb>``. A rule of the workflow calls one of these; each can be run by hand.

Exit codes: 0 done, 1 failed (an outage can be resumed by running again), 2 something given is wrong. Imports that cost time
stand inside the commands.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from mmevol.config import AskSettings, CurateSettings, EliminateSettings, Run, ScratchSettings, Section
from mmevol.records import BadInput

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
seeds = typer.Typer(no_args_is_help=True, help="Seed records: draw or read them, audit, curate.")
evolve = typer.Typer(no_args_is_help=True, help="Evolve: ask for candidates, eliminate, write the dataset.")
train = typer.Typer(no_args_is_help=True, help="Train: tokenizer, tower, projector, arms.")
evaluate = typer.Typer(no_args_is_help=True, help="Evaluate: benchmark files, predictions, scores.")
publish = typer.Typer(no_args_is_help=True, help="Publish: tables, figures, gallery.")
teacher = typer.Typer(no_args_is_help=True, help="The embedded teacher.")
config = typer.Typer(no_args_is_help=True, help="The configuration of a study.")
for name, room in {
    "seeds": seeds,
    "evolve": evolve,
    "train": train,
    "evaluate": evaluate,
    "publish": publish,
    "teacher": teacher,
    "config": config,
}.items():
    app.add_typer(room, name=name)

SettingsText = Annotated[
    str, typer.Option("--settings", help="JSON of what the command may see of the study, or @FILE")
]
RunText = Annotated[
    str,
    typer.Option("--run", envvar="MMEVOL_RUN", help="JSON of facts of the run (connections, status folder), or @FILE"),
]
Out = Annotated[Path, typer.Option("--out")]
Shard = Annotated[int, typer.Option("--shard")]
Usage = Annotated[Path, typer.Option("--usage")]
S = TypeVar("S", bound=Section)


def parsed(model: type[S], text: str, option: str) -> S:
    """An option's JSON as a section. Raises `BadInput`."""
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return model.model_validate(json.loads(text))
    except (OSError, ValueError) as error:
        raise BadInput(
            file=option,
            field="(JSON)",
            found=str(error),
            expected=f"{model.__name__} (see mmevol.config)",
            remedy="pass what the rule passes: `snakemake -n -p` shows it",
        ) from None


def started(text: str) -> Run:
    """The facts of the run; from here on the job ends with the Snakemake that started it."""
    from mmevol.progress import end_with_parent

    run = parsed(Run, text, "--run")
    end_with_parent(run)
    return run


@app.command()
def status(
    study: Annotated[Path, typer.Argument(help="study file, or its folder below results/")] = Path(
        "config/config.yaml"
    ),
    watch: Annotated[bool, typer.Option("--watch", help="again every second until Ctrl-C")] = False,
) -> None:
    """Show what each running job has done, its rate and ETA."""
    from mmevol.config.study import load
    from mmevol.status import show

    show((study if study.is_dir() else Path(load(study).results)) / "status", watch=watch)


@app.command()
def demo(study: Annotated[Path, typer.Argument(help="study file")] = Path("config/config.yaml")) -> None:
    """Run a study to its report and say where everything lies, what it took and what came out."""
    from mmevol.demo import demo as run_demo

    raise typer.Exit(run_demo(study))


@app.command()
def report(study: Annotated[Path, typer.Argument(help="study file")] = Path("config/config.yaml")) -> None:
    """Bundle tables and figures of a study that has run into Snakemake's report."""
    from mmevol.demo import report as make_report

    raise typer.Exit(make_report(study))


@config.command("reference")
def config_reference(out: Annotated[Path, typer.Option("--out")] = Path("config")) -> None:
    """Write README.md and schema.json of all keys from the models."""
    from mmevol.config.reference import reference

    reference(out)


@config.command("check")
def config_check(study: Annotated[Path, typer.Argument(help="study file")]) -> None:
    """Read a study, resolve it, and print it whole; bad input ends with exit code 2."""
    from mmevol.config.study import load

    print(load(study).model_dump_json(indent=2, by_alias=True))


@seeds.command("draw")
def seeds_draw(
    settings: SettingsText,
    records: Annotated[Path, typer.Option("--records")],
    images: Annotated[Path, typer.Option("--images")],
) -> None:
    """Draw the demo's world: scenes and their records in the reference format."""
    from mmevol.config.commands import DrawSettings
    from mmevol.seeds.world import draw

    draw(parsed(DrawSettings, settings, "--settings"), records=records, images=images)


@seeds.command("photos")
def seeds_photos(
    records: Annotated[Path, typer.Option("--records")], images: Annotated[Path, typer.Option("--images")]
) -> None:
    """Take the photo study's pictures out of their packages, with captions, boxes and Q&A."""
    from mmevol.seeds.photos import export

    export(records=records, images=images)


@seeds.command("audit")
def seeds_audit(
    settings: SettingsText,
    records: Annotated[Path, typer.Option("--records")],
    out: Out,
    images_root: Annotated[Path | None, typer.Option("--images-root", help="none: a study without pictures")] = None,
) -> None:
    """Look at every record and picture before anything is spent; split into shards and held-out."""
    from mmevol.config.commands import AuditSettings
    from mmevol.seeds.audit import audit

    audit(parsed(AuditSettings, settings, "--settings"), records=records, images_root=images_root, out=out)


@seeds.command("curate")
def seeds_curate(
    settings: SettingsText,
    shard: Shard,
    records: Annotated[Path, typer.Option("--records")],
    out: Out,
    usage: Usage,
    run: RunText = "{}",
) -> None:
    """Give the caption-only records of a shard Q&A by asking the teacher."""
    from mmevol.seeds.curate import curate

    curate(
        parsed(CurateSettings, settings, "--settings"), started(run), shard=shard, records=records, out=out, usage=usage
    )


@evolve.command("ask")
def evolve_ask(
    settings: SettingsText,
    shard: Shard,
    seeds: Annotated[Path, typer.Option("--seeds")],
    out: Out,
    usage: Usage,
    frontier: Annotated[
        Path | None, typer.Option("--frontier", help="of the round before; none in rounds 0 and 1")
    ] = None,
    run: RunText = "{}",
) -> None:
    """Rewrite, check and judge one round of one shard (round 0 judges the seeds)."""
    from mmevol.evolve.ask import ask

    ask(
        parsed(AskSettings, settings, "--settings"),
        started(run),
        shard=shard,
        seeds=seeds,
        frontier=frontier,
        out=out,
        usage=usage,
    )


@evolve.command("scratch")
def evolve_scratch(
    settings: SettingsText,
    shard: Shard,
    seeds: Annotated[Path, typer.Option("--seeds")],
    ledger: Annotated[
        list[Path], typer.Option("--ledger", help="of each round of the evolution whose calls are matched")
    ],
    out: Out,
    outcomes: Annotated[Path, typer.Option("--outcomes")],
    own_ledger: Annotated[Path, typer.Option("--own-ledger")],
    usage: Usage,
    run: RunText = "{}",
) -> None:
    """Ask for fresh Q&A, as many calls as another evolution made."""
    from mmevol.evolve.scratch import scratch

    scratch(
        parsed(ScratchSettings, settings, "--settings"),
        started(run),
        shard=shard,
        seeds=seeds,
        ledgers=ledger,
        out=out,
        outcomes=outcomes,
        ledger=own_ledger,
        usage=usage,
    )


@evolve.command("eliminate")
def evolve_eliminate(
    settings: SettingsText,
    candidates: Annotated[Path, typer.Option("--candidates")],
    frontier: Annotated[Path, typer.Option("--frontier")],
    outcomes: Annotated[Path, typer.Option("--outcomes")],
    ledger: Annotated[Path, typer.Option("--ledger")],
    before: Annotated[
        Path | None, typer.Option("--before", help="frontier of the round before; none in round 1")
    ] = None,
) -> None:
    """Apply the thresholds of one round to one shard; no endpoint."""
    from mmevol.evolve.eliminate import eliminate

    eliminate(
        parsed(EliminateSettings, settings, "--settings"),
        candidates=candidates,
        before=before,
        requests=candidates.with_suffix(".json"),
        frontier=frontier,
        outcomes=outcomes,
        ledger=ledger,
    )


@evolve.command("dataset")
def evolve_dataset(
    settings: SettingsText, root: Annotated[Path, typer.Option("--study-root", help="results/<study>")], out: Out
) -> None:
    """Write the evolved dataset with its lineage, the LLaVA file and the card into a folder."""
    from mmevol.config.commands import DatasetSettings
    from mmevol.evolve.dataset import dataset

    of = parsed(DatasetSettings, settings, "--settings")
    dataset(of, root=root, out=out)


@evolve.command("planted")
def evolve_planted(
    faults: Annotated[list[Path], typer.Option("--faults", help="of `mmevol teacher faults`, once a round and shard")],
    candidates: Annotated[list[Path], typer.Option("--candidates")],
    ledger: Annotated[list[Path], typer.Option("--ledger", help="outcomes of the same rounds and shards (Parquet)")],
    out: Out,
) -> None:
    """Join the faults that the embedded teacher planted with what the gates did about them."""
    from mmevol.evolve.planted import planted

    planted(faults=faults, candidates=candidates, ledgers=ledger, out=out)


Shards = Annotated[list[Path], typer.Option("--shard-file", help="seeds/shards/<i>.parquet, once a shard")]
Base = Annotated[Path, typer.Option("--base")]
Tower = Annotated[Path | None, typer.Option("--tower", help="folder of the warmed tower")]
ImagesRoot = Annotated[Path | None, typer.Option("--images-root", help="none: a study without pictures")]
Evolved = Annotated[list[str], typer.Option("--evolved", help="EVOLUTION=evolved.parquet, once an evolution")]


def by_name(pairs: list[str]) -> dict[str, Path]:
    """NAME=PATH pairs."""
    return {name: Path(path) for name, _, path in (pair.partition("=") for pair in pairs)}


@train.command("base")
def train_base(settings: SettingsText, shard_file: Shards, out: Out, run: RunText = "{}") -> None:
    """Make tokenizer, processor and, for a tiny backbone, the initial model."""
    from mmevol.config.commands import BaseSettings
    from mmevol.train.backbone import base

    base(parsed(BaseSettings, settings, "--settings"), run=started(run), shards=shard_file, out=out)


@train.command("warm-tower")
def train_warm_tower(
    settings: SettingsText, base: Base, shard_file: Shards, images_root: ImagesRoot, out: Out, run: RunText = "{}"
) -> None:
    """Teach a tiny backbone's tower what stands in each patch, from the exact annotations."""
    from mmevol.config.commands import WarmTowerSettings
    from mmevol.train.tower import warm_tower

    assert images_root
    of = parsed(WarmTowerSettings, settings, "--settings")
    warm_tower(of, run=started(run), base=base, shards=shard_file, images_root=images_root, out=out)


@train.command("pretrain")
def train_pretrain(
    settings: SettingsText,
    base: Base,
    shard_file: Shards,
    out: Out,
    tower: Tower = None,
    images_root: ImagesRoot = None,
    run: RunText = "{}",
) -> None:
    """Stage 1: align on captions."""
    from mmevol.config.commands import PretrainSettings
    from mmevol.train.pretrain import pretrain

    of = parsed(PretrainSettings, settings, "--settings")
    pretrain(of, run=started(run), base=base, tower=tower, shards=shard_file, images_root=images_root, out=out)


@train.command("mixture")
def train_mixture(
    settings: SettingsText,
    shard_file: Shards,
    out: Out,
    base: Annotated[list[Path], typer.Option("--base", help="of each backbone that trains on it")],
    evolved: Evolved = [],  # noqa: B006
    run: RunText = "{}",
) -> None:
    """Write the exact id list of a mixture and count its tokens."""
    from mmevol.config.commands import MixtureSettings
    from mmevol.train.mixture import mixture

    of = parsed(MixtureSettings, settings, "--settings")
    mixture(of, run=started(run), shards=shard_file, evolved=by_name(evolved), bases=base, out=out)


@train.command("finetune")
def train_finetune(
    settings: SettingsText,
    base: Base,
    mixture: Annotated[Path, typer.Option("--mixture")],
    target: Annotated[Path, typer.Option("--target", help="mixture whose tokens the run counts")],
    shard_file: Shards,
    out: Out,
    tower: Tower = None,
    pretrained: Annotated[Path | None, typer.Option("--pretrained")] = None,
    evolved: Evolved = [],  # noqa: B006
    images_root: ImagesRoot = None,
    run: RunText = "{}",
) -> None:
    """Stage 2: train an arm."""
    from mmevol.config.commands import FinetuneSettings
    from mmevol.train.finetune import finetune

    finetune(
        parsed(FinetuneSettings, settings, "--settings"),
        run=started(run),
        base=base,
        tower=tower,
        pretrained=pretrained,
        mixture=mixture,
        target=target,
        shards=shard_file,
        evolved=by_name(evolved),
        images_root=images_root,
        out=out,
    )


@evaluate.command("heldout")
def evaluate_heldout(
    settings: SettingsText,
    heldout: Annotated[Path, typer.Option("--heldout")],
    images_root: Annotated[Path, typer.Option("--images-root")],
    out: Out,
) -> None:
    """Write one benchmark from held-out scenes, in its official file format."""
    from mmevol.config.commands import HeldoutSettings
    from mmevol.evaluate.heldout.write import write_heldout

    write_heldout(parsed(HeldoutSettings, settings, "--settings"), heldout=heldout, images_root=images_root, out=out)


@evaluate.command("predict")
def evaluate_predict(
    settings: SettingsText,
    model: Annotated[Path, typer.Option("--model")],
    data: Annotated[Path, typer.Option("--data", help="folder that holds a folder a benchmark")],
    out: Out,
    run: RunText = "{}",
) -> None:
    """Answer all benchmarks with one trained model."""
    from mmevol.config.commands import PredictSettings
    from mmevol.evaluate.predict import predict

    predict(parsed(PredictSettings, settings, "--settings"), run=started(run), model=model, data=data, out=out)


@publish.command("results")
def publish_results(
    settings: SettingsText,
    evaluate: Annotated[Path, typer.Option("--evaluate")],
    main: Annotated[Path, typer.Option("--main")],
    benchmarks: Annotated[Path, typer.Option("--benchmarks")],
) -> None:
    """Write the main table and the one by benchmark."""
    from mmevol.config.publish import ResultsSettings
    from mmevol.publish.results import results

    results(parsed(ResultsSettings, settings, "--settings"), evaluate=evaluate, main=main, benchmarks=benchmarks)


@publish.command("rounds")
def publish_rounds(
    settings: SettingsText, shard_file: Shards, evolve: Annotated[Path, typer.Option("--evolve")], out: Out
) -> None:
    """Write the table of rounds: yield, reasons, difficulty, skills, steps, requests."""
    from mmevol.config.publish import RoundsSettings
    from mmevol.publish.rounds import rounds

    rounds(parsed(RoundsSettings, settings, "--settings"), shards=shard_file, evolve=evolve, out=out)


@publish.command("elimination")
def publish_elimination(settings: SettingsText, evolve: Annotated[Path, typer.Option("--evolve")], out: Out) -> None:
    """Write the table of the gates against planted faults."""
    from mmevol.config.publish import RoundsSettings
    from mmevol.publish.elimination import elimination

    elimination(parsed(RoundsSettings, settings, "--settings"), evolve=evolve, out=out)


@publish.command("composition")
def publish_composition(
    settings: SettingsText, shard_file: Shards, audit: Annotated[Path, typer.Option("--audit")], out: Out
) -> None:
    """Write the table of what the seeds are made of."""
    from mmevol.config.publish import CompositionSettings
    from mmevol.publish.composition import composition

    composition(parsed(CompositionSettings, settings, "--settings"), shards=shard_file, audit=audit, out=out)


@publish.command("paper")
def publish_paper(settings: SettingsText, benchmarks: Annotated[Path, typer.Option("--benchmarks")], out: Out) -> None:
    """Write the table of our numbers beside the paper's."""
    from mmevol.config.publish import PaperSettings
    from mmevol.publish.paper import paper

    paper(parsed(PaperSettings, settings, "--settings"), benchmarks=benchmarks, out=out)


@publish.command("findings")
def publish_findings(settings: SettingsText, tables: Annotated[Path, typer.Option("--tables")], out: Out) -> None:
    """Write the main finding in three lines."""
    from mmevol.config.publish import FindingsSettings
    from mmevol.publish.findings import findings

    findings(parsed(FindingsSettings, settings, "--settings"), tables=tables, out=out)


@publish.command("gallery")
def publish_gallery(figures: Annotated[Path, typer.Option("--figures")], out: Out) -> None:
    """Write small PNGs of a study's figures."""
    from mmevol.publish.gallery import gallery

    gallery(figures=figures, out=out)


def _mount() -> None:
    """Commands whose bodies stand in their rooms."""
    from mmevol.evaluate.scoring.command import score_command
    from mmevol.teacher import command

    evaluate.command("score")(score_command)
    teacher.command("serve")(command.serve)
    teacher.command("faults")(command.faults)


_mount()


def main() -> None:
    """Run the command line; a `BadInput` ends with exit code 2 and its message, an `Outage` with 1."""
    try:
        app()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        from mmevol.endpoint.client import Outage

        if isinstance(error, Outage):
            print(f"stopped: {error}", file=sys.stderr)
            sys.exit(1)
        raise
