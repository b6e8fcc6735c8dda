"""``mmevol train …``: the commands of this room, each called by a rule. Imports that cost time stand inside them."""

from pathlib import Path
from typing import Annotated

import typer

from mmevol.command import Out, RunText, SettingsText, ShardFiles, parsed, started

app = typer.Typer(no_args_is_help=True, help="Train: tokenizer, tower, projector, arms.")

Base = Annotated[Path, typer.Option("--base")]
Tower = Annotated[Path | None, typer.Option("--tower", help="folder of the warmed tower")]
ImagesRoot = Annotated[Path | None, typer.Option("--images-root", help="none: a study without pictures")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="machines of this Slurm allocation")]
Processes = Annotated[
    int, typer.Option("--processes", min=1, help="of each machine, with a GPU each where there are GPUs")
]
Cores = Annotated[int, typer.Option("--cores", min=1, help="of each machine, where there are several")]
Evolved = Annotated[list[str], typer.Option("--evolved", help="EVOLUTION=evolved.parquet, once an evolution")]


def by_name(pairs: list[str]) -> dict[str, Path]:
    """NAME=PATH pairs."""
    return {name: Path(path) for name, _, path in (pair.partition("=") for pair in pairs)}


@app.command("base")
def base_command(settings: SettingsText, shard_file: ShardFiles, out: Out, run: RunText = "{}") -> None:
    """Make tokenizer, processor and, for a tiny backbone, the initial model."""
    from mmevol.config.commands import BaseSettings
    from mmevol.train.backbone import base

    base(parsed(BaseSettings, settings, "--settings"), run=started(run), shards=shard_file, out=out)


@app.command("warm-tower")
def warm_tower_command(
    settings: SettingsText, base: Base, shard_file: ShardFiles, images_root: ImagesRoot, out: Out, run: RunText = "{}"
) -> None:
    """Teach a tiny backbone's tower what stands in each patch, from the exact annotations."""
    from mmevol.config.commands import WarmTowerSettings
    from mmevol.train.tower import warm_tower

    assert images_root
    of = parsed(WarmTowerSettings, settings, "--settings")
    warm_tower(of, run=started(run), base=base, shards=shard_file, images_root=images_root, out=out)


@app.command("pretrain")
def pretrain_command(
    settings: SettingsText,
    base: Base,
    shard_file: ShardFiles,
    out: Out,
    tower: Tower = None,
    images_root: ImagesRoot = None,
    nodes: Nodes = 1,
    processes: Processes = 1,
    cores: Cores = 1,
    run: RunText = "{}",
) -> None:
    """Stage 1: align on captions."""
    from mmevol.config.commands import PretrainSettings
    from mmevol.train.launch import spread
    from mmevol.train.pretrain import pretrain

    spread(nodes, processes, cores)
    of = parsed(PretrainSettings, settings, "--settings")
    pretrain(of, run=started(run), base=base, tower=tower, shards=shard_file, images_root=images_root, out=out)


@app.command("mixture")
def mixture_command(
    settings: SettingsText,
    shard_file: ShardFiles,
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


@app.command("finetune")
def finetune_command(
    settings: SettingsText,
    base: Base,
    mixture: Annotated[Path, typer.Option("--mixture")],
    target: Annotated[Path, typer.Option("--target", help="mixture whose tokens the run counts")],
    shard_file: ShardFiles,
    out: Out,
    tower: Tower = None,
    pretrained: Annotated[Path | None, typer.Option("--pretrained")] = None,
    evolved: Evolved = [],  # noqa: B006
    images_root: ImagesRoot = None,
    nodes: Nodes = 1,
    processes: Processes = 1,
    cores: Cores = 1,
    run: RunText = "{}",
) -> None:
    """Stage 2: train an arm."""
    from mmevol.config.commands import FinetuneSettings
    from mmevol.train.finetune import finetune
    from mmevol.train.launch import spread

    spread(nodes, processes, cores)
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
