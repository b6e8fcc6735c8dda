"""Runs of the test study through Snakemake as a user starts it, each in a folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mmevol.config import Faults
from mmevol.config.endpoints import Endpoint

REPO = Path(__file__).parents[1]
TEST_STUDY = REPO / "config" / "test.yaml"


@dataclass
class Place:
    """A working folder with its own results, replies and Snakemake state; `study` is the study file's content."""

    folder: Path
    study: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        return self.folder / "results" / self.study["study"]

    @property
    def requests_log(self) -> Path:
        return self.folder / "requests.jsonl"

    def command(self, *arguments: str) -> list[str]:
        file = self.folder / "study.yaml"
        file.write_text(yaml.safe_dump(self.study, sort_keys=False))
        snakemake = [sys.executable, "-m", "snakemake", "-s", str(REPO / "Snakefile"), "--directory", str(self.folder)]
        return [*snakemake, *arguments, "--configfile", str(file)]

    def env(self) -> dict[str, str]:
        return os.environ | {"MMEVOL_TEACHER_LOG": str(self.requests_log)} | self.environment

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run Snakemake to its end; returns all that it printed."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
        )
        assert done.returncode == expect, done.stdout[-6000:]
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake in a process group of its own, and leave it running."""
        out = open(self.folder / "snakemake.out", "ab")  # noqa: SIM115
        return subprocess.Popen(
            self.command(*arguments), env=self.env(), stdout=out, stderr=out, cwd=self.folder, start_new_session=True
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """How many jobs of each rule a dry run plans."""
        text = self.run("-n", *arguments)
        if "Job stats:" not in text:
            return {}
        table = text.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
        return {rule: int(n) for rule, n in (line.split() for line in table if line.strip()) if rule != "total"}

    def requests(self) -> list[dict[str, Any]]:
        """What the teacher was asked, in order."""
        if not self.requests_log.exists():
            return []
        return [json.loads(line) for line in self.requests_log.read_text().splitlines()]

    def copy(self, folder: Path) -> "Place":
        """The same state in another folder, with an empty request log."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = Place(folder, json.loads(json.dumps(self.study)), dict(self.environment))
        other.requests_log.unlink(missing_ok=True)
        return other

    def data_files(self, *folders: str) -> dict[str, bytes]:
        """Every data file below the results (or some folders of it): run facts are left out."""
        facts = ("logs", "timings", "status", "usage")
        found = {}
        for path in sorted(self.results.rglob("*")):
            place = path.relative_to(self.results)
            fact = set(facts) & set(place.parts) or path.name.endswith(".provenance.json")
            if path.is_file() and not fact and (not folders or place.parts[0] in folders):
                found[str(place)] = path.read_bytes()
        return found


def new_place(folder: Path, **changes: Any) -> Place:
    """An empty place with the test study, top-level keys replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    return Place(folder, yaml.safe_load(TEST_STUDY.read_text()) | changes)


def spread(folder: Path) -> Place:
    """The test study with one arm and two benchmarks, spread; its server is the teacher that the study otherwise embeds."""
    place = new_place(folder)
    study = place.study
    embedded = study["endpoints"]["evolver"]
    faults = Faults(**embedded["faults"]).dump()
    model = Endpoint.model_validate(embedded).identity().model
    serve = {
        "command": f"$python -m mmevol.teacher --port $port --model $model --faults '{faults}'",
        "token_env": "MMEVOL_TEACHER_TOKEN",
        "gpus": 1,
        "cpus": 2,
        "mem_gb": 4,
    }
    own = {"serve": serve, "provider": "embedded", "model": model}
    study["endpoints"]["evolver"] = {"concurrency": 16, "timeout": 3, **own}
    study["train"]["arms"] = {"evolved": study["train"]["arms"]["evolved"]}
    tiny = study["train"]["backbones"]["tiny"]
    tiny["finetune"] |= {"per_device": 4}
    tiny["machines"] = {"finetune": {"tasks": 2, "cpus": 2, "mem_gb": 2, "hours": 1}}
    benchmarks = {name: study["evaluate"]["benchmarks"][name] for name in ("MME", "POPE")}
    study["evaluate"] = {"benchmarks": benchmarks, "chunks": 2, "max_new_tokens": 8, "gpus": 1}
    return place


def children(pid: int) -> list[int]:
    """The pids of all descendants of a process."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        below.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        new = below.get(todo.pop(), [])
        found += new
        todo += new
    return found


def command_line(pid: int) -> str:
    """The command line of a process, '' if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_until(condition: Any, seconds: float, what: str) -> Any:
    """Poll until the condition is true; its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
