"""``mmevol seeds …``: the commands of this room, each called by a rule. Imports that cost time stand inside them."""

from pathlib import Path
from typing import Annotated

import typer

from mmevol.command import Out, RunText, SettingsText, Shard, Usage, parsed, started
from mmevol.config import CurateSettings

app = typer.Typer(no_args_is_help=True, help="Seed records: draw or read them, audit, curate.")


@app.command("draw")
def draw_command(
    settings: SettingsText,
    records: Annotated[Path, typer.Option("--records")],
    images: Annotated[Path, typer.Option("--images")],
) -> None:
    """Draw the demo's world: scenes and their records in the reference format."""
    from mmevol.config.commands import DrawSettings
    from mmevol.seeds.world import draw

    draw(parsed(DrawSettings, settings, "--settings"), records=records, images=images)


@app.command("photos")
def photos_command(
    records: Annotated[Path, typer.Option("--records")], images: Annotated[Path, typer.Option("--images")]
) -> None:
    """Take the photo study's pictures out of their packages, with captions, boxes and Q&A."""
    from mmevol.seeds.photos import export

    export(records=records, images=images)


@app.command("audit")
def audit_command(
    settings: SettingsText,
    records: Annotated[Path, typer.Option("--records")],
    out: Out,
    images_root: Annotated[Path | None, typer.Option("--images-root", help="none: a study without pictures")] = None,
) -> None:
    """Look at every record and picture before anything is spent; split into shards and held-out."""
    from mmevol.config.commands import AuditSettings
    from mmevol.seeds.audit import audit

    audit(parsed(AuditSettings, settings, "--settings"), records=records, images_root=images_root, out=out)


@app.command("curate")
def curate_command(
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
