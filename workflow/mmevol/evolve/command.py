"""``mmevol evolve …``: the commands of this room, each called by a rule. Imports that cost time stand inside them."""

from pathlib import Path
from typing import Annotated

import typer

from mmevol.command import Out, RunText, SettingsText, Shard, Usage, parsed, started
from mmevol.config import AskSettings, EliminateSettings, ScratchSettings

app = typer.Typer(no_args_is_help=True, help="Evolve: ask for candidates, eliminate, write the dataset.")


@app.command("ask")
def ask_command(
    settings: SettingsText,
    shard: Shard,
    seeds: Annotated[Path, typer.Option("--seeds")],
    out: Out,
    usage: Usage,
    frontier: Annotated[
        Path | None,
        typer.Option(
            "--frontier", help="of the round before; none in round 1; in round 0 of round 1, where there is a target"
        ),
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


@app.command("scratch")
def scratch_command(
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


@app.command("eliminate")
def eliminate_command(
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


@app.command("dataset")
def dataset_command(
    settings: SettingsText, root: Annotated[Path, typer.Option("--study-root", help="results/<study>")], out: Out
) -> None:
    """Write the evolved dataset with its lineage, the LLaVA file and the card into a folder."""
    from mmevol.config.commands import DatasetSettings
    from mmevol.evolve.dataset import dataset

    of = parsed(DatasetSettings, settings, "--settings")
    dataset(of, root=root, out=out)


@app.command("planted")
def planted_command(
    faults: Annotated[list[Path], typer.Option("--faults", help="of `mmevol teacher faults`, once a round and shard")],
    candidates: Annotated[list[Path], typer.Option("--candidates")],
    ledger: Annotated[list[Path], typer.Option("--ledger", help="outcomes of the same rounds and shards (Parquet)")],
    out: Out,
) -> None:
    """Join the faults that the embedded teacher planted with what the gates did about them."""
    from mmevol.evolve.planted import planted

    planted(faults=faults, candidates=candidates, ledgers=ledger, out=out)
