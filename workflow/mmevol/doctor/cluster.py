"""``mmevol doctor --cluster``: does the site block of the cluster profile fit this cluster, and what should stand there?"""

import getpass
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from mmevol.doctor import Row, show
from mmevol.records import BadInput

PROFILE = Path("slurm/config.yaml")
PARTITIONS = ("sinfo", "-h", "-a", "-o", "%P|%a|%l|%D|%c|%m|%G")
CONFIG = ("scontrol", "show", "config")
ACCOUNTS = ("sacctmgr", "-n", "-P", "show", "assoc", "format=account,qos")
LONGEST = 24 * 60
"""Minutes that a job asks for at most unless the study says otherwise: full-size training, and asking at the third attempt."""
KEPT = 60
"""Seconds for which Slurm must remember a job that ended, where `squeue` is asked: three times the profile's first look."""


@dataclass
class Partition:
    """A partition, from the lines that ``sinfo`` has of it: one for each kind of node."""

    name: str
    default: bool = False
    up: bool = False
    minutes: float = 0
    nodes: int = 0
    cores: int = 0
    memory: int = 0
    gpus: dict[str, int] = field(default_factory=dict)

    @property
    def most(self) -> int:
        """GPUs of the node that has most."""
        return max(self.gpus.values(), default=0)

    def __str__(self) -> str:
        state = "" if self.up else "down, "
        kinds = ", ".join(f"{n} GPUs {kind}".strip() for kind, n in self.gpus.items())
        limit = "no time limit" if self.minutes == float("inf") else f"at most {self.minutes / 60:g} h"
        node = f"up to {self.cores} cores, {self.memory / 1000:.0f} GB{', ' + kinds if kinds else ''}"
        return f"{state}{self.nodes} nodes of {node}; {limit}"


def minutes(limit: str) -> float:
    """A time limit as Slurm prints it (``infinite``, ``1-00:00:00``, ``8:00:00``, ``30:00``), in minutes."""
    if limit in ("infinite", "UNLIMITED", "n/a"):
        return float("inf")
    days, _, rest = limit.rpartition("-")
    parts = [int(p) for p in rest.split(":")]
    hours, mins, seconds = ([0] * (3 - len(parts)) + parts) if not days else [*parts, 0, 0][:3]
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60


def partitions(text: str) -> dict[str, Partition]:
    """The partitions that `PARTITIONS` lists, by name."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, available, limit, nodes, cores, memory, gres = line.split("|")
        p = found.setdefault(name.rstrip("*"), Partition(name.rstrip("*")))
        p.default, p.up, p.minutes = name.endswith("*"), available == "up", minutes(limit)
        p.nodes += int(nodes)
        p.cores = max(p.cores, int(cores.rstrip("+")))
        p.memory = max(p.memory, int(memory.rstrip("+")))
        for kind, n in re.findall(r"(?:^|,)gpu:(?:([^:,()]+):)?(\d+)", gres):
            p.gpus[kind] = max(p.gpus.get(kind, 0), int(n))
    return found


def settings(text: str) -> dict[str, str]:
    """What `CONFIG` prints, by key."""
    return dict(re.findall(r"^(\S+)\s+= (.*?)\s*$", text, re.MULTILINE))


def accounts(text: str) -> dict[str, set[str]]:
    """The QOS that each account of this user may take, from `ACCOUNTS`."""
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        account, qos = line.split("|")
        found.setdefault(account, set()).update(filter(None, qos.split(",")))
    return found


def judged(
    site: dict[str, Any], parts: dict[str, Partition], config: dict[str, str], mine: dict[str, set[str]]
) -> Iterator[Row]:
    """A row a key of the site block, and what of the cluster the profile builds on."""
    without = [p for p in parts.values() if p.up and not p.gpus]
    best = next((p for p in without if p.default), max(without, key=lambda p: p.nodes * p.cores, default=None))
    yield _partition("cpu_partition", site, parts, best)
    with_gpus = [p for p in parts.values() if p.up and p.gpus]
    most = max(with_gpus, key=lambda p: (p.most, p.nodes), default=None)
    yield _partition("gpu_partition", site, parts, most)
    gpu = parts.get(str(site["gpu_partition"]))
    if gpu and gpu.gpus:
        model, wanted = site["gpu_model"], int(site["gpus_per_node"])
        known = model is None or model in gpu.gpus
        found = ", ".join(k or "(no type)" for k in gpu.gpus)
        remedy = "" if known else f"gpu_model: {next(iter(gpu.gpus)) or 'null'}"
        yield Row("gpu_model", str(model or "any"), found, "ok" if known else "wrong", remedy)
        there = gpu.gpus.get(model, gpu.most)
        verdict: Literal["ok", "wrong", "note"] = "wrong" if wanted > there else "note" if wanted < there else "ok"
        yield Row(
            "gpus_per_node", str(wanted), str(there), verdict, f"gpus_per_node: {there}" if wanted != there else ""
        )
    yield from _accounting(site, config, mine)


def _partition(key: str, site: dict[str, Any], parts: dict[str, Partition], best: Partition | None) -> Row:
    name = str(site[key])
    remedy = f"{key}: {best.name}" if best else "ask your site which partition it is"
    if name not in parts:
        return Row(key, name, f"there are {', '.join(parts)}", "wrong", remedy)
    p, gpus = parts[name], key == "gpu_partition"
    if not p.up or (gpus and not p.gpus):
        return Row(key, f"{name}{', with GPUs' if gpus else ''}", str(p), "wrong", remedy)
    if p.gpus and not gpus and best:
        return Row(key, f"{name}, without GPUs", str(p), "note", remedy)
    if p.minutes < LONGEST:
        return Row(key, f"{name}, 24 h", str(p), "note", "docs/cluster.md says how to ask for less")
    return Row(key, name, str(p))


def _accounting(site: dict[str, Any], config: dict[str, str], mine: dict[str, set[str]]) -> Iterator[Row]:
    there = config["AccountingStorageType"] != "accounting_storage/none"
    expected, right = str(site["accounting"]).lower(), bool(site["accounting"]) == there
    remedy = "" if right else f"accounting: {str(there).lower()}"
    yield Row("accounting", expected, config["AccountingStorageType"], "ok" if right else "wrong", remedy)
    if not there:
        kept = int(config["MinJobAge"].split()[0])
        late = kept < KEPT
        remedy = "ask your site for accounting: an ended job is forgotten before it is seen" if late else ""
        yield Row("MinJobAge", f"{KEPT} s or more", f"{kept} s", "wrong" if late else "ok", remedy)
        return
    account, found = site["account"], ", ".join(mine) or "none of yours"
    wrong = account is not None and account not in mine
    open_ = account is None and len(mine) > 1
    remedy = f"account: {next(iter(mine), 'null')}" if wrong or open_ else ""
    yield Row("account", str(account or "your default"), found, "wrong" if wrong else "note" if open_ else "ok", remedy)
    qos = site["qos"]
    allowed = mine.get(str(account), set().union(*mine.values()))
    unknown = qos is not None and qos not in allowed
    remedy = f"qos: one of {', '.join(sorted(allowed))}, or null" if unknown else ""
    yield Row("qos", str(qos or "the partition's"), ", ".join(sorted(allowed)), "wrong" if unknown else "ok", remedy)


def _said(command: tuple[str, ...]) -> str:
    """What a command of Slurm prints. Raises `BadInput`."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BadInput(
            file=command[0],
            field="(answer)",
            found=(done.stderr or done.stdout).strip()[:300],
            expected="a Slurm that answers",
            remedy="run this on a login node of the cluster",
        )
    return done.stdout


def cluster() -> int:
    """Print the table. Returns the exit code. Raises `BadInput` where there is no Slurm, or no profile."""
    if not shutil.which("sinfo"):
        raise BadInput(
            file="sinfo",
            field="(command)",
            found="not on PATH",
            expected="Slurm's client commands",
            remedy="run this on a login node of the cluster",
        )
    if not PROFILE.exists():
        raise BadInput(
            file=str(PROFILE),
            field="(file)",
            found="no such file here",
            expected="the cluster profile",
            remedy="run this in the root of the repository",
        )
    site = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["__variables__"]
    config = settings(_said(CONFIG))
    accounted = config["AccountingStorageType"] != "accounting_storage/none"
    mine = accounts(_said((*ACCOUNTS, f"user={getpass.getuser()}"))) if accounted else {}
    rows = [*judged(site, partitions(_said(PARTITIONS)), config, mine)]
    show(f"the site block of {PROFILE} on this cluster", rows)
    return 2 if any(row.verdict == "wrong" for row in rows) else 0
