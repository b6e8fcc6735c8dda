"""``mmevol teacher serve``, ``faults`` and ``verify``."""

import json
import os
import secrets
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from mmevol.config import Faults
from mmevol.records import BadInput, Request

if TYPE_CHECKING:
    from mmevol.teacher.server import Teacher

app = typer.Typer(no_args_is_help=True, help="The embedded teacher.")

TOKEN = "MMEVOL_TEACHER_TOKEN"


def _faults(text: str) -> Faults:
    try:
        return Faults.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(
            file="--faults",
            field=".".join(str(part) for part in first["loc"]) or "(the whole)",
            found=str(first["input"])[:80],
            expected="rates from 0 to 1 by fault name, as JSON",
            remedy="see endpoints.*.faults in config/README.md",
        ) from error


def token_of(path: Path | None) -> str:
    """The token of the environment, or of a file that only its owner reads; a file that is not there is made."""
    if path is None:
        if token := os.environ.get(TOKEN):
            return token
        raise BadInput(
            file=TOKEN,
            field="environment variable",
            found="not set",
            expected="the bearer token that clients must send",
            remedy=f"set {TOKEN}, or give --token-file FILE",
        )
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(16))
    if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
        raise BadInput(
            file=str(path),
            field="mode",
            found=f"{mode:o}",
            expected="600",
            remedy=f"chmod 600 {path}, with a new token in it",
        )
    return path.read_text().strip()


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="loopback port; 0 takes a free one")] = 0,
    model: Annotated[str, typer.Option(help="name under which the model answers")] = "symbolic-v1",
    faults: Annotated[str, typer.Option(help="fault rates as JSON")] = "{}",
    ready: Annotated[
        str | None, typer.Option(help="file, or number of an open descriptor, that gets the base URL")
    ] = None,
    until_eof: Annotated[bool, typer.Option("--until-eof", help="end when standard input closes")] = False,
    log: Annotated[Path | None, typer.Option(help="append a JSON line for each request")] = None,
    token_file: Annotated[
        Path | None, typer.Option(help=f"0600 file with the token, made if absent; else ${TOKEN}")
    ] = None,
    enqueued_tokens: Annotated[
        int | None, typer.Option(help="prompt tokens that may wait in batches; a batch beyond them fails")
    ] = None,
) -> None:
    """Serve the embedded teacher on loopback until it is told to stop."""
    import asyncio

    from mmevol.teacher.faults import check
    from mmevol.teacher.server import Teacher

    rates = _faults(faults)
    check(rates)
    token = token_of(token_file)
    file: IO[bytes] | None = log.open("ab") if log else None
    teacher = Teacher(model=model, token=token, faults=rates, log=file, enqueued_tokens=enqueued_tokens)
    try:
        asyncio.run(_run(teacher, port, ready, until_eof))
    finally:
        if file:
            file.close()


async def _run(teacher: "Teacher", port: int, ready: str | None, until_eof: bool) -> None:
    import asyncio

    from aiohttp import web

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(teacher.application(), access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
    await site.start()
    announce(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", ready)
    if until_eof:
        threading.Thread(
            target=_wait_for_eof, args=(partial(loop.call_soon_threadsafe, stop.set),), daemon=True
        ).start()
    await stop.wait()
    await runner.cleanup()


def _wait_for_eof(then: Callable[[], object]) -> None:
    """Blocks until standard input ends, as it does when the starter dies; reads below Python's buffer, whose lock a daemon
    thread must not hold when the interpreter ends."""
    while os.read(0, 65536):
        pass
    then()


def announce(url: str, ready: str | None) -> None:
    """Say where the server listens: on standard output, into an open descriptor, or as a file that appears whole."""
    if ready is None:
        print(url, flush=True)
    elif ready.isdigit():
        os.write(int(ready), (url + "\n").encode())
    else:
        temporary = Path(f"{ready}.{os.getpid()}")
        temporary.write_text(url + "\n")
        temporary.replace(ready)


def _stored(path: Path) -> Iterator[tuple[str, int, Request]]:
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                yield str(row["key"]), int(row["attempt"]), Request.model_validate(row["request"])
            except (ValueError, KeyError, TypeError) as error:
                raise BadInput(
                    file=f"{path}:{number}",
                    field="line",
                    found=f"{type(error).__name__}: {str(error)[:120]}",
                    expected='{"key": text, "attempt": number, "request": a mmevol-request/1 block}',
                    remedy="write the file from the reply store",
                ) from error


@app.command()
def faults(
    requests: Annotated[Path, typer.Argument(help="JSONL: key, attempt, request block")],
    rows: Annotated[Path, typer.Argument(help="JSONL to write: key, attempt, task, id, fault")],
    faults: Annotated[str, typer.Option(help="fault rates as JSON, those of the teacher that answered")] = "{}",
) -> None:
    """Tell which reply got which fault, by composing each again; no log is needed."""
    from mmevol.store import write_text
    from mmevol.teacher.faults import planted

    found = planted(_faults(faults), _stored(requests))
    write_text(rows, "".join(json.dumps(row) + "\n" for row in found))


@app.command()
def verify(
    dataset: Annotated[Path, typer.Argument(help="evolved.parquet, or its folder")],
    seeds: Annotated[
        Path | None, typer.Option(help="folder of the seed shards; by default that of the dataset's study")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="mismatches to print")] = 20,
) -> None:
    """Work every executable answer out again by the second executor; exit code 1 where an evolved one is wrong."""
    from mmevol.teacher.verify import verify as check

    tallies = check(dataset, seeds)
    print(f"{'':<12}{'checked':>10}{'mismatches':>12}{'no answer':>11}{'not executable':>16}")
    for outcome, t in tallies.items():
        print(f"{outcome:<12}{t.checked:>10,}{len(t.mismatches):>12,}{t.no_answer:>11,}{t.not_executable:>16,}")
    for line in [line for tally in tallies.values() for line in tally.mismatches][:show]:
        print(line)
    if any(tally.mismatches for outcome, tally in tallies.items() if outcome != "seed"):
        raise typer.Exit(1)
