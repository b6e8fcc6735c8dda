"""``mmevol evaluate …``: the commands of this room, each called by a rule. Imports that cost time stand inside them."""

from pathlib import Path
from typing import Annotated

import typer

from mmevol.command import Out, RunText, SettingsText, ShardFiles, parsed, started
from mmevol.evaluate.scoring.command import score_command

app = typer.Typer(no_args_is_help=True, help="Evaluate: benchmark files, predictions, scores.")


@app.command("heldout")
def heldout_command(
    settings: SettingsText,
    heldout: Annotated[Path, typer.Option("--heldout")],
    images_root: Annotated[Path, typer.Option("--images-root")],
    out: Out,
) -> None:
    """Write one benchmark from held-out scenes, in its official file format."""
    from mmevol.config.commands import HeldoutSettings
    from mmevol.evaluate.heldout.write import write_heldout

    write_heldout(parsed(HeldoutSettings, settings, "--settings"), heldout=heldout, images_root=images_root, out=out)


@app.command("fetch")
def fetch_command(
    benchmark: Annotated[str, typer.Argument(help="which benchmark, as MME, MMStar, VQA_v2, MIA-Bench …")],
    root: Annotated[Path, typer.Option("--root", help="folder of all official files; the kit's LMUData will do")],
    out: Annotated[
        Path, typer.Option("--out", help="folder that shows this benchmark's under the names that are read")
    ],
    split: Annotated[str | None, typer.Option(help="of VQA_v2: test-dev, as in the paper, or val")] = None,
    check: Annotated[bool, typer.Option(help="refuse a table whose checksum is not the listed one")] = True,
    offline: Annotated[
        bool, typer.Option("--offline", envvar="MMEVOL_OFFLINE", help="fetch nothing; list what is missing")
    ] = False,
    run: RunText = "{}",
) -> None:
    """Fetch a benchmark's official files, or check those that are there; a second run does nothing."""
    from mmevol.evaluate.official.catalog import official
    from mmevol.evaluate.official.fetch import fetch

    fetch(official(benchmark, split), run=started(run), root=root, out=out, check=check, offline=offline)


@app.command("predict")
def predict_command(
    settings: SettingsText,
    model: Annotated[Path, typer.Option("--model")],
    data: Annotated[Path, typer.Option("--data", help="folder that holds a folder a benchmark")],
    out: Out,
    part: Annotated[
        tuple[int, int] | None,
        typer.Option("--part", help="I N: of the rows every N-th, from number I on; see `gather`"),
    ] = None,
    run: RunText = "{}",
) -> None:
    """Answer all benchmarks, or a part of their rows, with one model on this machine: trained here, or any of transformers."""
    from mmevol.config.commands import PredictSettings
    from mmevol.evaluate.predict import predict, predict_part

    of, facts = parsed(PredictSettings, settings, "--settings"), started(run)
    if part is None:
        predict(of, run=facts, model=model, data=data, out=out)
    else:
        predict_part(of, run=facts, model=model, data=data, part=part[0], parts=part[1], out=out)


@app.command("gather")
def gather_command(
    settings: SettingsText,
    data: Annotated[Path, typer.Option("--data", help="folder that holds a folder a benchmark")],
    part: Annotated[
        list[Path], typer.Option("--part", help="a file OUT/parts/I.json that `predict --part` wrote, once a part")
    ],
    out: Out,
) -> None:
    """Put the parts of a model's answers together."""
    from mmevol.config.commands import PredictSettings
    from mmevol.evaluate.predict import gather

    gather(parsed(PredictSettings, settings, "--settings"), data=data, parts=part, out=out)


@app.command("ask")
def ask_command(
    settings: SettingsText,
    data: Annotated[Path, typer.Option("--data", help="folder that holds a folder a benchmark")],
    out: Out,
    run: RunText = "{}",
) -> None:
    """Answer all benchmarks with one model behind an endpoint."""
    from mmevol.config.commands import PredictSettings
    from mmevol.evaluate.asking import ask

    ask(parsed(PredictSettings, settings, "--settings"), run=started(run), data=data, out=out)


@app.command("import")
def import_command(
    settings: SettingsText,
    source: Annotated[Path, typer.Option("--source", help="folder of BENCHMARK.jsonl, .tsv or .xlsx")],
    data: Annotated[Path, typer.Option("--data", help="folder that holds a folder a benchmark")],
    out: Out,
) -> None:
    """Take answers that were made elsewhere, as by VLMEvalKit."""
    from mmevol.config.commands import PredictSettings
    from mmevol.evaluate.elsewhere import take

    take(parsed(PredictSettings, settings, "--settings"), source=source, data=data, out=out)


@app.command("contamination")
def contamination_command(
    settings: SettingsText,
    shard_file: ShardFiles,
    data: Annotated[Path, typer.Option("--data", help="folder that holds a folder a benchmark")],
    mixture: Annotated[list[Path], typer.Option("--mixture", help="<mixture>/ids.parquet, once a mixture")],
    out: Out,
    evolved: Annotated[
        list[Path] | None, typer.Option("--evolved", help="<evolution>/dataset/evolved.parquet, once an evolution")
    ] = None,
    images_root: Annotated[Path | None, typer.Option("--images-root")] = None,
    run: RunText = "{}",
) -> None:
    """Look for the benchmarks' pictures and questions in the data of every mixture."""
    from mmevol.config.commands import ContaminationSettings
    from mmevol.evaluate.contamination import contamination

    contamination(
        parsed(ContaminationSettings, settings, "--settings"),
        run=started(run),
        shards=shard_file,
        evolved={path.parent.parent.name: path for path in evolved or ()},
        mixtures={path.parent.name: path for path in mixture},
        images=images_root,
        data=data,
        out=out,
    )


@app.command("clean")
def clean_command(
    settings: SettingsText,
    overlaps: Annotated[Path, typer.Option("--overlaps", help="what `contamination` wrote")],
    evaluate: Annotated[Path, typer.Option("--evaluate", help="folder of the arms' predictions")],
    data: Annotated[Path, typer.Option("--data", help="folder that holds a folder a benchmark")],
    out: Out,
    run: RunText = "{}",
) -> None:
    """Score every arm without the rows that overlap with its mixture."""
    from mmevol.config.commands import CleanSettings
    from mmevol.evaluate.clean import clean

    of = parsed(CleanSettings, settings, "--settings")
    clean(of, run=started(run), overlaps=overlaps, evaluate=evaluate, data=data, out=out)


app.command("score")(score_command)
