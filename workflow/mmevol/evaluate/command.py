"""``mmevol evaluate …``: the commands of this room, each called by a rule. Imports that cost time stand inside them."""

from pathlib import Path
from typing import Annotated

import typer

from mmevol.command import Out, RunText, SettingsText, parsed, started
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


@app.command("predict")
def predict_command(
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


app.command("score")(score_command)
