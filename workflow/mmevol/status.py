"""``mmevol status``: what each running job of a study has done, its rate, and when it will be done, from the heartbeat files."""

import json
import time
from pathlib import Path
from typing import Any

from mmevol.progress import shown

STALE = 15.0
"""Seconds without a heartbeat after which a job that says it is running is called silent."""
SHOWN = ("job", "unit", "done", "total", "rate", "eta", "state", "host", "pid", "began", "now")


def read(folder: Path) -> list[dict[str, Any]]:
    """The heartbeats in a study's ``status/``, running ones first, newest first among the others."""
    beats = []
    for path in folder.glob("*.json"):
        try:
            beats.append(json.loads(path.read_text()))
        except FileNotFoundError:  # replaced or removed between listing and reading
            continue
    return sorted(beats, key=lambda b: (b["state"] != "running", -b["now"]))


def duration(seconds: float | None) -> str:
    """Hours, minutes, seconds as people write them."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
    )


def line(beat: dict[str, Any], now: float) -> tuple[str, str, str, str, str, str]:
    """A heartbeat as the cells of a row: job, state, done, rate, ETA, other facts."""
    running = beat["state"] == "running"
    state = "silent" if running and now - beat["now"] > STALE else beat["state"]
    done = f"{beat['done']:,}" + (f" / {beat['total']:,}" if beat["total"] else "") + f" {beat['unit']}"
    eta = duration(beat["eta"]) if running else f"took {duration(beat['now'] - beat['began'])}"
    facts = {k: v for k, v in beat.items() if k not in SHOWN}
    return beat["job"], state, done, f"{beat['rate']:g}/s", eta, shown(facts)


def show(folder: Path, *, watch: bool, finished: int = 10) -> None:
    """Print the table once, or again every second until Ctrl-C. `finished`: how many ended jobs are listed too."""
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    def table() -> Table:
        beats = read(folder)
        running = sum(b["state"] == "running" for b in beats)
        out = Table("job", "state", "done", "rate", "ETA", "facts", title=f"{folder.parent.name}: {running} running")
        for beat in beats[: running + finished]:
            out.add_row(*line(beat, time.time()))
        return out

    console = Console()
    if not watch:
        console.print(table())
        return
    try:
        with Live(table(), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(1)
                live.update(table(), refresh=True)
    except KeyboardInterrupt:
        return
