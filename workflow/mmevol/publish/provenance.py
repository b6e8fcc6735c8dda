"""Where a table or figure comes from: a sidecar beside it. The table and the figure themselves hold nothing about the run."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from mmevol.config.section import Section
from mmevol.records import digest
from mmevol.store import file_digest, write_text

SCHEMA = "mmevol-provenance/1"


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


def environment() -> dict[str, str]:
    """Python, platform, and a digest over name and version of every installed package."""
    packages = sorted(f"{d.name.lower()}=={d.version}" for d in distributions())
    return {"python": platform.python_version(), "platform": platform.platform(), "packages": digest(*packages)}


def files(paths: Iterable[Path]) -> dict[str, str]:
    """sha256 by path as given."""
    return {str(path): file_digest(path) for path in paths}


def cost(usage: Iterable[Path]) -> dict[str, float]:
    """The numbers of several usage files added up (requests, tokens, money, seconds …)."""
    total: dict[str, float] = {}
    for path in usage:
        for name, value in json.loads(path.read_text(encoding="utf-8")).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                total[name] = total.get(name, 0) + value
    return total


def record(
    out: Path,
    *,
    outputs: Sequence[Path],
    inputs: Iterable[Path],
    settings: Section,
    usage: Iterable[Path] = (),
    command: Sequence[str] | None = None,
) -> Path:
    """Write ``out``.provenance.json: command, commit, settings (defaults left out), digests, environment, time, cost."""
    value = {
        "schema": SCHEMA,
        "command": list(command or sys.argv),
        "git": git_state(Path(__file__).parent),
        "settings": json.loads(settings.dump()),
        "inputs": files(inputs),
        "outputs": files(outputs),
        "environment": environment(),
        "cost": cost(usage) or None,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = out.with_name(f"{out.name}.provenance.json")
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return path
