"""``mmevol cache …``: looking after the reply store."""

from pathlib import Path
from typing import Annotated

import typer

from mmevol.progress import waiting

app = typer.Typer(no_args_is_help=True, help="The reply store: stats, verify, prune, export, replay.")
Root = Annotated[Path, typer.Option("--root", envvar="MMEVOL_REPLIES", help="folder of the reply store")]
STORE = Path("replies")
NONE: list[str] = []


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


@app.command("stats")
def stats_command(root: Root = STORE) -> None:
    """Count answers, images, segments, and answers by model and task."""
    from mmevol.cache.survey import stats

    found = stats(root)
    print(f"answers     {found.answers} ({_size(found.answer_bytes)})")
    print(f"images      {found.images} ({_size(found.image_bytes)})")
    print(f"segments    {found.segments}")
    print(f"duplicates  {found.duplicates}")
    for (model, task), number in sorted(found.by.items()):
        print(f"{number:>10}  {task:<10}  {model}")


@app.command("verify")
def verify_command(
    root: Root = STORE,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="as owner of each bucket: write indexes anew, cut torn tails, drop what is damaged"
        ),
    ] = False,
) -> None:
    """Check every answer's checksum and every index; exit code 1 when something is damaged."""
    from mmevol.cache import survey

    damage = lost = 0
    for finding in survey.repair(root, waiting) if repair else survey.verify(root):
        print(finding)
        damage, lost = damage + finding.damage, lost + finding.lost
    if not damage:
        print("nothing is damaged")
    elif repair:
        print(f"{damage} repaired; {lost} lost and asked again, or encoded again, when they are needed")
    else:
        print(f"{damage} damaged, {lost} lost; `mmevol cache verify --repair` keeps all else")
        raise typer.Exit(1)


@app.command("prune")
def prune_command(
    root: Root = STORE,
    record: Annotated[list[str], typer.Option("--record", help="key of a seed record; may be repeated")] = NONE,
    model: Annotated[list[str], typer.Option("--model", help="as `stats` names it; may be repeated")] = NONE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say it, remove nothing")] = False,
) -> None:
    """Forget records with their encoded images, or a model's answers; given both, that model's answers about those records."""
    from mmevol.cache.prune import prune
    from mmevol.records import BadInput

    if not record and not model:
        raise BadInput(
            file="mmevol cache prune",
            field="--record, --model",
            found="neither",
            expected="what to forget",
            remedy="give a record's key or a model's name",
        )
    gone = prune(root, records=record, models=model, dry_run=dry_run, on_wait=waiting)
    what = f"{gone.answers} answers and {gone.images} encoded images ({_size(gone.bytes)})"
    print(f"would remove {what}" if dry_run else f"removed {what}")


@app.command("export")
def export_command(
    study: Annotated[Path, typer.Argument(help="study file; its evolutions have run")],
    out: Annotated[Path, typer.Option("--out", help="archive to write (tar, zstd)")],
    images: Annotated[bool, typer.Option("--images", help="the encoded pictures too, as they were sent")] = False,
    root: Root = STORE,
) -> None:
    """Write exactly the answers that a study's data rest on into one file."""
    from mmevol.cache.archive import export
    from mmevol.config.resolve import load

    of = load(study)
    counts = export(
        of,
        root,
        out,
        images=images,
        on_shard=lambda shard: typer.echo(f"shard {shard + 1} of {len(of.shards)}", err=True),
    )
    print(
        f"{out}: " + ", ".join(f"{number} {kind}" for kind, number in counts.items()) + f", {_size(out.stat().st_size)}"
    )


@app.command("replay")
def replay_command(
    archive: Annotated[Path, typer.Argument(help="file that `mmevol cache export` wrote")], root: Root = STORE
) -> None:
    """Put an archive's answers into a reply store: the study then runs without its endpoints."""
    from mmevol.cache.archive import replay

    added, present = replay(archive, root, waiting)
    print(f"{root}: {added} added, {present} were there")
