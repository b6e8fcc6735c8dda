"""The command line: ``mmevol <stage> <verb>``. A rule of the workflow calls one of these; each can be run by hand.

Exit codes: 0 done, 1 failed (an outage can be resumed by running again), 2 something given is wrong. The verbs of a room stand in
its ``command.py``; imports that cost time stand inside the commands.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mmevol.cache.command import app as cache
from mmevol.disk import explained
from mmevol.evaluate.command import app as evaluate
from mmevol.evolve.command import app as evolve
from mmevol.publish.command import app as publish
from mmevol.records import BadInput
from mmevol.seeds.command import app as seeds
from mmevol.teacher.command import app as teacher
from mmevol.train.command import app as train

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
config = typer.Typer(no_args_is_help=True, help="The configuration of a study.")
for name, room in {
    "seeds": seeds,
    "evolve": evolve,
    "train": train,
    "evaluate": evaluate,
    "publish": publish,
    "teacher": teacher,
    "cache": cache,
    "config": config,
}.items():
    app.add_typer(room, name=name)


@app.command()
def plan(
    study: Annotated[Path, typer.Argument(help="study file")] = Path("config/config.yaml"),
    machines: Annotated[int, typer.Option(min=1, help="that will run its jobs")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="figures for a program, not a table")] = False,
) -> None:
    """Say what a study will take before anything is asked: requests, tokens, money, time, disk."""
    from mmevol.config.resolve import load
    from mmevol.preview.plan import make
    from mmevol.preview.report import figures, show
    from mmevol.preview.sample import source_of

    of = load(study)
    with source_of(of) as source:
        made = make(of, source, machines=machines)
    print(figures(made)) if as_json else show(made)


@app.command()
def preview(
    study: Annotated[Path, typer.Argument(help="study file")] = Path("config/config.yaml"),
    n: Annotated[int, typer.Option("-n", min=1, help="records, the first in hash order")] = 12,
    evolution: Annotated[str | None, typer.Option(help="which one; else the first that rewrites")] = None,
    out: Annotated[Path, typer.Option(help="the page that is written")] = Path("preview.html"),
    machines: Annotated[int, typer.Option(min=1, help="that will run the full study")] = 1,
) -> None:
    """Evolve a few records and write one HTML page with their lineages and what the full run will take."""
    from mmevol.config.resolve import load
    from mmevol.preview.preview import preview as make
    from mmevol.preview.report import show

    show(make(load(study), n=n, evolution=evolution, out=out, machines=machines))
    print(f"\npage: {out}")


@app.command()
def status(
    study: Annotated[Path, typer.Argument(help="study file, or its folder below results/")] = Path(
        "config/config.yaml"
    ),
    watch: Annotated[bool, typer.Option("--watch", help="again every second until Ctrl-C")] = False,
) -> None:
    """Show what each running job has done, its rate and ETA."""
    from mmevol.config.resolve import load
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


@app.command()
def doctor(
    study: Annotated[Path | None, typer.Argument(help="study file, with --endpoint; the demo's by default")] = None,
    names: Annotated[list[str] | None, typer.Argument(help="its endpoints to examine; all by default")] = None,
    endpoint: Annotated[
        bool,
        typer.Option(
            "--endpoint", help="ask the running servers whether they are what the study says (some 1000 tokens)"
        ),
    ] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="compare the site block of slurm/config.yaml with what Slurm says")
    ] = False,
) -> None:
    """Check this installation, the endpoints of a study, or the cluster profile, before anything is spent."""
    from mmevol.doctor.cluster import cluster as site
    from mmevol.doctor.examination import doctor as examine
    from mmevol.doctor.installation import installation

    if study and not endpoint:
        raise typer.BadParameter("a study is examined with --endpoint")
    if cluster:
        raise typer.Exit(site())
    raise typer.Exit(examine(study or Path("config/config.yaml"), names or []) if endpoint else installation())


@app.command(context_settings={"allow_interspersed_args": False})
def smoke(
    command: Annotated[
        list[str] | None, typer.Argument(help="run it, then stop; without one, serve until Ctrl-C")
    ] = None,
    port: Annotated[int, typer.Option(help="loopback port; 0 takes a free one")] = 8091,
) -> None:
    """Serve a real, very small language model, for config/smoke_llm.yaml."""
    from mmevol.smoke import smoke as serve

    raise typer.Exit(serve(port, command or []))


@config.command("reference")
def config_reference(out: Annotated[Path, typer.Option("--out")] = Path("config")) -> None:
    """Write README.md and schema.json of all keys from the models."""
    from mmevol.config.reference import reference

    reference(out)


@config.command("check")
def config_check(study: Annotated[Path, typer.Argument(help="study file")]) -> None:
    """Read a study, resolve it, and print it whole; bad input ends with exit code 2."""
    from mmevol.config.resolve import load

    print(load(study).model_dump_json(indent=2, by_alias=True))


def main() -> None:
    """Run the command line; a `BadInput` ends with exit code 2 and its message, an `Outage` or a full disk with 1."""
    try:
        app()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if (said := explained(error)) is None:
            raise
        print(f"stopped: {said}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        from mmevol.endpoint.client import Outage

        if isinstance(error, Outage):
            print(f"stopped: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
            sys.exit(1)
        raise
