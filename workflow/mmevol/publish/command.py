"""``mmevol publish …``: the commands of this room, each called by a rule. Imports that cost time stand inside them."""

from pathlib import Path
from typing import Annotated

import typer

from mmevol.command import Out, SettingsText, ShardFiles, parsed

app = typer.Typer(no_args_is_help=True, help="Publish: tables, figures, gallery.")


@app.command("results")
def results_command(
    settings: SettingsText,
    evaluate: Annotated[Path, typer.Option("--evaluate")],
    main: Annotated[Path, typer.Option("--main")],
    benchmarks: Annotated[Path, typer.Option("--benchmarks")],
) -> None:
    """Write the main table and the one by benchmark."""
    from mmevol.config.publish import ResultsSettings
    from mmevol.publish.results import results

    results(parsed(ResultsSettings, settings, "--settings"), evaluate=evaluate, main=main, benchmarks=benchmarks)


@app.command("rounds")
def rounds_command(
    settings: SettingsText, shard_file: ShardFiles, evolve: Annotated[Path, typer.Option("--evolve")], out: Out
) -> None:
    """Write the table of rounds: yield, reasons, difficulty, skills, steps, requests."""
    from mmevol.config.publish import RoundsSettings
    from mmevol.publish.rounds import rounds

    rounds(parsed(RoundsSettings, settings, "--settings"), shards=shard_file, evolve=evolve, out=out)


@app.command("cost")
def cost_command(
    settings: SettingsText, root: Annotated[Path, typer.Option("--study-root", help="results/<study>")], out: Out
) -> None:
    """Write the table of what the endpoints were asked and what it cost, over all shards, rounds and roles."""
    from mmevol.config.publish import CostSettings
    from mmevol.publish.cost import cost

    cost(parsed(CostSettings, settings, "--settings"), root=root, out=out)


@app.command("elimination")
def elimination_command(settings: SettingsText, evolve: Annotated[Path, typer.Option("--evolve")], out: Out) -> None:
    """Write the table of the gates against planted faults."""
    from mmevol.config.publish import RoundsSettings
    from mmevol.publish.elimination import elimination

    elimination(parsed(RoundsSettings, settings, "--settings"), evolve=evolve, out=out)


@app.command("agreement")
def agreement_command(settings: SettingsText, evolve: Annotated[Path, typer.Option("--evolve")], out: Out) -> None:
    """Write the table of how far two judges agree."""
    from mmevol.config.publish import AgreementSettings
    from mmevol.publish.agreement import agreements

    agreements(parsed(AgreementSettings, settings, "--settings"), evolve=evolve, out=out)


@app.command("composition")
def composition_command(
    settings: SettingsText, shard_file: ShardFiles, audit: Annotated[Path, typer.Option("--audit")], out: Out
) -> None:
    """Write the table of what the seeds are made of."""
    from mmevol.config.publish import CompositionSettings
    from mmevol.publish.composition import composition

    composition(parsed(CompositionSettings, settings, "--settings"), shards=shard_file, audit=audit, out=out)


@app.command("mixtures")
def mixtures_command(
    settings: SettingsText,
    stats: Annotated[list[Path], typer.Option("--stats", help="<mixture>/stats.json, once a mixture")],
    out: Out,
) -> None:
    """Write the table of what the arms are trained on."""
    from mmevol.config.publish import MixturesSettings
    from mmevol.publish.mixtures import mixtures

    mixtures(parsed(MixturesSettings, settings, "--settings"), stats=stats, out=out)


@app.command("contamination")
def contamination_command(
    settings: SettingsText,
    overlaps: Annotated[Path, typer.Option("--overlaps", help="what `evaluate contamination` wrote")],
    cleaned: Annotated[Path, typer.Option("--clean", help="what `evaluate clean` wrote")],
    evaluate: Annotated[Path, typer.Option("--evaluate", help="folder of the arms' scores")],
    out: Out,
) -> None:
    """Write the table of what the mixtures share with the benchmarks, and of the scores without it."""
    from mmevol.config.publish import ContaminationTableSettings
    from mmevol.publish.contamination import contamination

    of = parsed(ContaminationTableSettings, settings, "--settings")
    contamination(of, overlaps=overlaps, cleaned=cleaned, evaluate=evaluate, out=out)


@app.command("paper")
def paper_command(settings: SettingsText, benchmarks: Annotated[Path, typer.Option("--benchmarks")], out: Out) -> None:
    """Write the table of our numbers beside the paper's."""
    from mmevol.config.publish import PaperSettings
    from mmevol.publish.paper import paper

    paper(parsed(PaperSettings, settings, "--settings"), benchmarks=benchmarks, out=out)


@app.command("findings")
def findings_command(settings: SettingsText, tables: Annotated[Path, typer.Option("--tables")], out: Out) -> None:
    """Write the main finding in three lines."""
    from mmevol.config.publish import FindingsSettings
    from mmevol.publish.findings import findings

    findings(parsed(FindingsSettings, settings, "--settings"), tables=tables, out=out)


@app.command("gallery")
def gallery_command(figures: Annotated[Path, typer.Option("--figures")], out: Out) -> None:
    """Write small PNGs of a study's figures."""
    from mmevol.publish.gallery import gallery

    gallery(figures=figures, out=out)
