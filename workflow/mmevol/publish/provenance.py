"""Where a table or figure comes from: a sidecar beside it. The table and the figure themselves hold nothing about the run."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from mmevol.config.section import Section
from mmevol.endpoint.usage import added
from mmevol.records import digest
from mmevol.store import file_digest, write_text

SCHEMA = "mmevol-provenance/1"


@cache
def git_state(folder: Path) -> dict[str, Any]:
    """Commit of the checkout that holds `folder`, and whether tracked files differ from it; None where there is none."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


@cache
def environment() -> dict[str, str]:
    """Python, platform, and a digest over name and version of every installed package."""
    packages = sorted({path.stem for folder in sys.path for path in Path(folder).glob("*.dist-info")})
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": digest(*packages)}


def files(paths: Iterable[Path]) -> dict[str, str]:
    """sha256 by path, from the working directory where the file is below it."""
    here = Path.cwd()
    return {
        str(path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path): file_digest(path)
        for path in paths
    }


def cost(usage: Iterable[Path]) -> dict[str, Any]:
    """Several jobs' usage files added up: seconds, and by endpoint what was asked, tokens and money."""
    jobs = [json.loads(path.read_text(encoding="utf-8")) for path in usage]
    rows = added(row for job in jobs for row in job["endpoints"])
    return {"seconds": round(sum(job["seconds"] for job in jobs), 3), "endpoints": rows}


def record(
    out: Path,
    *,
    outputs: Sequence[Path],
    inputs: Iterable[Path],
    settings: Section,
    usage: Sequence[Path] = (),
) -> Path:
    """Write ``out``.provenance.json: command, commit, settings (defaults left out), digests, environment, time, cost."""
    value = {
        "schema": SCHEMA,
        "command": sys.argv,
        "git": git_state(Path(__file__).parent),
        "settings": json.loads(settings.dump()),
        "inputs": files(inputs),
        "outputs": files(outputs),
        "environment": environment(),
        "cost": cost(usage) if usage else None,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = out.with_name(f"{out.name}.provenance.json")
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return path
