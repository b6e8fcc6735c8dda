"""A run on several processes: the same batches and the same result, whatever their number, and after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mmevol.config.commands import FinetuneSettings, MixtureSettings, Run
from mmevol.config.train import Checkpoints, Entry, Recipe, TinyBackbone
from mmevol.records import BadInput
from mmevol.train import launch
from mmevol.train.backbone import read_manifest
from mmevol.train.mixture import mixture
from pydantic import ValidationError
from tiny_study import Study
from transformers import LlavaNextForConditionalGeneration

RECIPE = {
    "language": 2e-3,
    "projector": 2e-3,
    "tower": 5e-4,
    "batch": 8,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "attention": "sdpa",
}


@pytest.fixture(scope="module")
def mixed(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixture")
    settings = MixtureSettings(seed=1, entries=[Entry(seeds="all"), Entry(evolution="full")])
    mixture(settings, run=Run(), shards=study.shards, evolved=study.evolved, bases=[study.base], out=out)
    return out


def command(study: Study, mixed: Path, out: Path, processes: int, **recipe: Any) -> list[str]:
    """The command of an arm's training, as the rule writes it."""
    settings = FinetuneSettings(seed=1, recipe=Recipe(**RECIPE | {"per_device": 8 // processes, "epochs": 1} | recipe))
    run = Run(checkpoints=Checkpoints(every=1))
    files = {"--base": study.base, "--mixture": mixed, "--target": mixed, "--images-root": study.images, "--out": out}
    options = {**files, "--settings": settings.dump(), "--run": run.dump(), "--processes": processes}
    shards = [part for shard in study.shards for part in ("--shard-file", str(shard))]
    given = [str(part) for option in options.items() for part in option]
    evolved = f"--evolved=full={study.evolved['full']}"
    return [sys.executable, "-m", "mmevol", "train", "finetune", *given, *shards, evolved]


def trained(*arguments: Any, **recipe: Any) -> Path:
    out: Path = arguments[2]
    done = subprocess.run(command(*arguments, **recipe), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(LlavaNextForConditionalGeneration.from_pretrained(folder).named_parameters())


@pytest.fixture(scope="module")
def two(study: Study, mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(study, mixed, tmp_path_factory.mktemp("two"), 2)


def losses(folder: Path) -> list[float]:
    return [float(row.split(",")[2]) for row in (folder / "loss.csv").read_text().splitlines()[1:]]


def test_two_processes_train_what_one_does(study: Study, mixed: Path, two: Path, tmp_path: Path) -> None:
    one = trained(study, mixed, tmp_path, 1)
    assert losses(one) == pytest.approx(losses(two), rel=1e-3)
    first, second = weights(one), weights(two)
    assert all(torch.allclose(first[name], second[name], atol=2e-4) for name in first)
    alone, both = read_manifest(one), read_manifest(two)
    assert both.pop("processes") == 2 and alone.pop("processes") == 1
    assert both == alone | {"digest": both["digest"]}
    assert both["batch"] == 8 and both["accumulated"] == 1


def test_two_processes_go_on_after_a_kill(study: Study, mixed: Path, two: Path, tmp_path: Path) -> None:
    run = subprocess.Popen(command(study, mixed, tmp_path, 2), start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob("checkpoint-*/whole.json")):
            assert run.poll() is None, "ended before its first checkpoint was seen"
            time.sleep(0.005)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert not (tmp_path / "manifest.json").exists()
    kept = {p.name: p.stat().st_ino for p in tmp_path.glob("checkpoint-*")}
    trained(study, mixed, tmp_path, 2)
    assert kept
    assert losses(tmp_path) == losses(two)
    first, second = weights(tmp_path), weights(two)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_process_is_not_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execvp", lambda *_: pytest.fail("launched"))
    launch.spread(1, 1, 1)
    monkeypatch.setenv(launch.LAUNCHED, "any")
    launch.spread(2, 8, 64)


def test_many_machines_meet_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setattr(launch.socket, "gethostname", lambda: "node3")
    monkeypatch.setattr(launch.shutil, "which", lambda _: None)
    with pytest.raises(BadInput, match="one node"):
        launch.spread(2, 8, 64)
    monkeypatch.setattr(launch.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(sys, "argv", ["mmevol", "train", "finetune", "--nodes", "2"])
    ran: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda _, command: ran.append(command))
    launch.spread(2, 8, 64)
    assert ran[0][:2] == ["srun", "--nodes=2"] and "--cpus-per-task=64" in ran[0]
    assert "--nproc-per-node=8" in ran[0] and "--rdzv-id=77" in ran[0]
    assert [part for part in ran[0] if part.startswith("--rdzv-endpoint=node3:")]
    assert ran[0][-7:] == ["-m", "--", "mmevol", "train", "finetune", "--nodes", "2"]


def test_a_batch_must_divide_over_all_processes() -> None:
    stage = {"nodes": 2, "gpus": 2}
    backbone = {"kind": "tiny", "finetune": {"batch": 16, "per_device": 4}, "machines": {"finetune": stage}}
    assert TinyBackbone.model_validate(backbone).machines.finetune.world == 4
    with pytest.raises(ValidationError, match="batch 16 does not divide over 6 processes"):
        TinyBackbone.model_validate(backbone | {"machines": {"finetune": stage | {"nodes": 3}}})
