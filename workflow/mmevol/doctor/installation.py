"""``mmevol doctor``: is this installation whole? Python, packages by what they are for, disk, rights. Nothing heavy is imported."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from mmevol.doctor import Row, show

PINS = Path(__file__).parents[3] / "envs" / "constraints.txt"
"""The exact versions that are tested; only a checkout has them."""
NEEDED = {
    "": "evolving",
    "batch": "batch mode",
    "score": "scoring",
    "train": "training and predicting",
    "workflow": "the Snakemake workflow",
    "dev": "the tests",
}
"""What each extra is for; '' is the package itself. An extra that needs nothing has no row."""
FREE = 5e9
"""Bytes on a disk below which a run may fill it."""


def pins() -> dict[str, str]:
    """Tested versions by package; empty outside a checkout."""
    lines = PINS.read_text().splitlines() if PINS.exists() else []
    return dict(line.split("==") for line in lines if "==" in line)


def packages() -> Iterator[Row]:
    """A row an extra: what of it is missing, and what is not as tested."""
    tested = pins()
    wanted: dict[str, list[str]] = {}
    for line in requires("mmevol") or []:
        match = re.search(r"extra == ['\"](\w+)['\"]", line)
        wanted.setdefault(match[1] if match else "", []).append(re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0])
    for extra in (e for e in NEEDED if wanted.get(e)):
        missing, other = [], []
        for name in wanted[extra]:
            try:
                here = version(name)
            except PackageNotFoundError:
                missing.append(name)
            else:
                if here.split("+")[0] != tested.get(name, here):
                    other.append(f"{name} {here} (tested: {tested[name]})")
        what = f"mmevol[{extra}]" if extra else "mmevol"
        found = "missing: " + ", ".join(missing) if missing else ", ".join(other) or "all there"
        verdict: Literal["ok", "wrong", "note"] = (
            "wrong" if missing and not extra else "note" if missing or other else "ok"
        )
        remedy = f"pip install '{what}', or make setup" if missing else "make setup" if other else ""
        yield Row(f"packages for {NEEDED[extra]}", what, found, verdict, remedy)


def folders() -> Iterator[Row]:
    """Where results and replies go: may they be written, and is there room?"""
    for variable, name in {"MMEVOL_RESULTS": "results", "MMEVOL_REPLIES": "replies"}.items():
        path = Path(os.environ.get(variable, name)).absolute()
        there = next(p for p in (path, *path.parents) if p.exists())
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            yield Row(f"{name}/", "may be written", f"{there} may not", "wrong", f"set {variable} to a folder of yours")
        else:
            full = free < FREE
            remedy = f"make room, or set {variable}" if full else ""
            yield Row(f"{name}/", f"{FREE / 1e9:.0f} GB free", f"{free / 1e9:.0f} GB", "note" if full else "ok", remedy)


def installation() -> int:
    """Print the table. Returns the exit code."""
    found = sys.version.split()[0]
    old = sys.version_info < (3, 11)
    rows = [Row("Python", "3.11 or newer", found, "wrong" if old else "ok", "install a newer one" if old else "")]
    rows += [*packages(), *folders()]
    show("this installation", rows)
    return 2 if any(row.verdict == "wrong" for row in rows) else 0
