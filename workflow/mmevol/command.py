"""What all commands share: the options ``--settings`` and ``--run``, and how their JSON is read."""

import json
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from mmevol.config import Run, Section
from mmevol.records import BadInput

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
ShardFiles = Annotated[list[Path], typer.Option("--shard-file", help="seeds/shards/<i>.parquet, once a shard")]

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
