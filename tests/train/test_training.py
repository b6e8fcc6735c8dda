"""Both stages through DeepSpeed, as the workflow runs them, on a minute model and a few steps."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmevol.config.commands import FinetuneSettings, MixtureSettings, PretrainSettings, Run
from mmevol.config.train import Checkpoints, Entry, Recipe
from mmevol.progress import Heartbeat
from mmevol.records import BadInput
from mmevol.store import write_json
from mmevol.train import trainer
from mmevol.train.backbone import load_base, load_processor, module_of, read_manifest, weights_digest
from mmevol.train.finetune import finetune
from mmevol.train.mixture import mixture
from mmevol.train.pretrain import load_trained, pretrain
from mmevol.train.sampler import Plan
from tiny_study import Study
from transformers import LlavaNextForConditionalGeneration

RATES: dict[str, Any] = {"language": 2e-3, "projector": 2e-3, "tower": 5e-4}
SMALL: dict[str, Any] = {
    "batch": 4,
    "per_device": 4,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "attention": "sdpa",
}


@pytest.fixture(scope="module", autouse=True)
def no_process_group_left() -> Iterator[None]:
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def mixed(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixture")
    entries = [Entry(seeds="all"), Entry(evolution="full")]
    mixture(
        MixtureSettings(seed=1, entries=entries),
        run=Run(),
        shards=study.shards,
        evolved=study.evolved,
        bases=[study.base],
        out=out,
    )
    return out


def tuned(study: Study, mixed: Path, out: Path, *, every: int = 500, train_seed: int = 0, **recipe: Any) -> Path:
    """An arm trained for about 6 steps, or as `recipe` says."""
    finetune(
        FinetuneSettings(seed=1, train_seed=train_seed, recipe=Recipe(**RATES | SMALL | {"epochs": 1.5} | recipe)),
        run=Run(checkpoints=Checkpoints(every=every)),
        base=study.base,
        tower=None,
        pretrained=None,
        mixture=mixed,
        target=mixed,
        shards=study.shards,
        evolved=study.evolved,
        images_root=study.images,
        out=out,
    )
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(LlavaNextForConditionalGeneration.from_pretrained(folder).named_parameters())


@pytest.fixture(scope="module")
def arm(study: Study, mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuned(study, mixed, tmp_path_factory.mktemp("arm"))


def test_stage_one_moves_the_projector_alone(study: Study, tmp_path: Path) -> None:
    recipe = Recipe(projector=1e-2, epochs=1, **SMALL)
    pretrain(
        PretrainSettings(seed=1, recipe=recipe),
        run=Run(),
        base=study.base,
        tower=None,
        shards=study.shards,
        images_root=study.images,
        out=tmp_path,
    )
    model = load_base(study.base, tower=None, dtype=torch.float32, attention="sdpa")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    load_trained(model, tmp_path / "trained.safetensors")
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {module_of(name) for name in moved} == {"projector"}
    assert len(moved) == 4
    losses = (tmp_path / "loss.csv").read_text().splitlines()
    assert losses[0] == "step,epoch,loss,lr,tokens"
    assert len(losses) == 1 + read_manifest(tmp_path)["steps"] == 1 + 3


def test_stage_two_moves_every_module_and_saves_what_loads(study: Study, arm: Path) -> None:
    before = dict(load_base(study.base, tower=None, dtype=torch.float32, attention="sdpa").named_parameters())
    after = weights(arm)
    assert after.keys() == before.keys()
    moved = {module_of(name) for name, p in after.items() if not torch.equal(p, before[name])}
    assert moved == {"language", "projector", "tower"}
    assert load_processor(arm).tokenizer.chat_template == load_processor(study.base).tokenizer.chat_template


def test_a_run_sees_its_tokens_and_says_so(mixed: Path, arm: Path) -> None:
    wanted = 1.5 * json.loads((mixed / "stats.json").read_text())["backbones"]["tiny"]["tokens"]
    manifest = read_manifest(arm)
    rows = [line.split(",") for line in (arm / "loss.csv").read_text().splitlines()[1:]]
    assert [int(row[0]) for row in rows] == list(range(1, manifest["steps"] + 1))
    assert int(rows[-1][4]) == manifest["tokens"] >= wanted > int(rows[-2][4])
    assert float(rows[-1][3]) < float(rows[1][3]), "the cosine comes down"
    assert not list(arm.glob("checkpoint-*"))


def test_the_same_seed_gives_the_same_weights_and_losses(study: Study, mixed: Path, arm: Path, tmp_path: Path) -> None:
    again = tuned(study, mixed, tmp_path / "again")
    other = tuned(study, mixed, tmp_path / "other", train_seed=1)
    assert (again / "loss.csv").read_bytes() == (arm / "loss.csv").read_bytes()
    assert (again / "manifest.json").read_bytes() == (arm / "manifest.json").read_bytes()
    digests = [weights_digest(LlavaNextForConditionalGeneration.from_pretrained(f)) for f in (arm, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_eight_at_once_are_eight_one_by_one(study: Study, mixed: Path, tmp_path: Path) -> None:
    together = tuned(study, mixed, tmp_path / "a", batch=8, per_device=8, epochs=1)
    one_by_one = tuned(study, mixed, tmp_path / "b", batch=8, per_device=1, epochs=1)
    first, second = weights(together), weights(one_by_one)
    assert all(torch.allclose(first[name], second[name], atol=2e-4) for name in first)
    losses = [
        [float(r.split(",")[2]) for r in (f / "loss.csv").read_text().splitlines()[1:]] for f in (together, one_by_one)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_killed_run_goes_on_to_the_same_weights(
    study: Study, mixed: Path, arm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    step = trainer._Planned.training_step

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        steps.append(self.state.global_step)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(trainer._Planned, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        tuned(study, mixed, tmp_path, every=2)
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    (tmp_path / "checkpoint-4" / trainer.WHOLE).unlink()  # as if killed while it was being written
    tuned(study, mixed, tmp_path, every=2)
    assert steps[6] == 2, "goes on from the newest whole checkpoint"
    assert (tmp_path / "loss.csv").read_bytes() == (arm / "loss.csv").read_bytes()
    first, second = weights(arm), weights(tmp_path)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_checkpoints_of_another_run_are_not_taken_up(tmp_path: Path) -> None:
    for step in (9, 10):
        write_json(tmp_path / f"checkpoint-{step}" / trainer.WHOLE, {"run": "a", "processes": 1})
    trainer.sweep(tmp_path, "a")
    assert trainer.resumable(tmp_path) == tmp_path / "checkpoint-10"
    trainer.sweep(tmp_path, "b")
    assert trainer.resumable(tmp_path) is None
    assert not list(tmp_path.glob("checkpoint-*"))


def test_a_checkpoint_of_more_processes_is_kept_and_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "checkpoint-9" / trainer.WHOLE, {"run": "a", "processes": 8})
    trainer.sweep(tmp_path, "a")
    with pytest.raises(BadInput, match="machines to 8 processes"):
        trainer.resumable(tmp_path)
    assert (tmp_path / "checkpoint-9").exists()


def test_nothing_is_trained_when_nothing_changed(
    study: Study, mixed: Path, arm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in arm.iterdir()}
    tuned(study, mixed, arm)
    assert {p.name: p.stat().st_mtime_ns for p in arm.iterdir()} == before

    def trained(*_: Any, **__: Any) -> None:
        raise AssertionError("trains")

    monkeypatch.setattr(trainer, "train", trained)
    with pytest.raises(AssertionError, match="trains"):
        tuned(study, mixed, arm, tower=4e-4)


def test_a_loss_that_is_not_a_number_ends_the_run(tmp_path: Path) -> None:
    watch = trainer._Watch(Heartbeat(Run(), job="x"), Plan([[0]], [1], [1.0]), "a")
    with pytest.raises(FloatingPointError, match="step 1: the loss is nan"):
        watch.on_log(None, SimpleNamespace(global_step=1), None, logs={"loss": float("nan")})


def test_a_disk_that_is_too_small_is_found_before_training(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_base(study.base, tower=None, dtype=torch.float32, attention="sdpa")
    monkeypatch.setattr(trainer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="GiB free"):
        trainer.check_destination(model, tmp_path, 2)
