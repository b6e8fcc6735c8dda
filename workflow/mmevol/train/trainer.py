"""One training run: a model, a plan and a recipe go in, the trained model and its loss curve come out."""

import csv
import io
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import LlavaNextForConditionalGeneration, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint

from mmevol.config.train import Checkpoints, Recipe
from mmevol.progress import Heartbeat
from mmevol.store import write_text
from mmevol.train.collate import Collator
from mmevol.train.recipe import arguments, freeze, parameter_groups
from mmevol.train.sampler import Order, Plan
from mmevol.train.samples import Sample


class _Samples(torch.utils.data.Dataset[Sample]):
    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def __len__(self) -> int:
        return len(self.samples)


class _Planned(Trainer):
    """The Trainer with our order of samples and our learning rate for each module."""

    def __init__(self, *args: Any, plan: Plan, recipe: Recipe, **kwargs: Any) -> None:
        self._plan, self._recipe = plan, recipe
        super().__init__(*args, **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return Order(self._plan)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            groups = parameter_groups(model or cast(torch.nn.Module, self.model), self._recipe)
            betas = (0.9, self._recipe.beta2)
            self.optimizer = torch.optim.AdamW(groups, lr=self.args.learning_rate, betas=betas, eps=1e-8)
        return self.optimizer


class _Watch(TrainerCallback):
    """Reports each step and ends the run at the first loss that is not a number."""

    def __init__(self, beat: Heartbeat, plan: Plan) -> None:
        self.beat, self.plan = beat, plan

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(f"step {state.global_step}: the loss is {logs['loss']}; lower the learning rates")
        done = state.global_step - self.beat.done
        self.beat.advance(done, loss=round(logs["loss"], 4), tokens=self.plan.tokens[state.global_step - 1])


def train(
    model: LlavaNextForConditionalGeneration,
    samples: Sequence[Sample],
    collator: Collator,
    *,
    plan: Plan,
    recipe: Recipe,
    checkpoints: Checkpoints,
    beat: Heartbeat,
    out: Path,
    key: str,
) -> list[dict[str, float]]:
    """Train `model` in place along `plan` and return its loss curve, one row a step.

    Checkpoints go to ``out/checkpoint-*``; those of an earlier, killed run with the same `key` are taken up, others deleted.
    Raises `FloatingPointError` when the loss is not finite, `OSError` before the first step when `out` cannot hold the model.
    """
    freeze(model, recipe)
    check_destination(model, out, checkpoints.keep)
    model.config.use_cache = False
    trainer = _Planned(
        model=model,
        args=arguments(recipe, checkpoints, steps=len(plan.steps), parameters=model.num_parameters(), out=out),
        train_dataset=_Samples(samples),
        data_collator=collator,
        callbacks=[_Watch(beat, plan)],
        plan=plan,
        recipe=recipe,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resumable(out, key))
    model.config.use_cache = True
    return [
        {
            "step": step,
            "epoch": plan.epochs[step - 1],
            "loss": row["loss"],
            "lr": row["learning_rate"],
            "tokens": plan.tokens[step - 1],
        }
        for row in trainer.state.log_history
        if "loss" in row and (step := int(row["step"]))
    ]


def check_destination(model: LlavaNextForConditionalGeneration, out: Path, checkpoints: int) -> None:
    """Find out before training whether the result can be saved: settings that save, and room on the disk.

    Raises `ValueError` for generation settings that transformers would refuse to save, `OSError` where the disk is too small.
    """
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config.save_pretrained(out)
    model.config.save_pretrained(out)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    states = sum(p.numel() * 12 for p in model.parameters() if p.requires_grad)
    needed, free = (checkpoints + 1) * (weights + states) + weights, shutil.disk_usage(out).free
    if needed > free:
        raise OSError(f"{out}: {free / 2**30:.1f} GiB free, checkpoints and model take up to {needed / 2**30:.1f} GiB")


def resumable(out: Path, key: str) -> str | None:
    """The newest whole checkpoint in `out` of a run with this key; checkpoints of other runs, and torn ones, are deleted."""
    mark = out / "checkpoints.json"
    same = mark.exists() and json.loads(mark.read_text())["key"] == key
    for folder in out.glob("checkpoint-*"):
        if not same or not (folder / "trainer_state.json").exists():
            shutil.rmtree(folder)
    write_text(mark, json.dumps({"key": key}) + "\n")
    found: str | None = get_last_checkpoint(str(out))  # type: ignore[no-untyped-call]
    return found


def remove_checkpoints(out: Path) -> None:
    """Delete what only a resumed run would need."""
    for folder in out.glob("checkpoint-*"):
        shutil.rmtree(folder)
    (out / "checkpoints.json").unlink(missing_ok=True)


def write_losses(path: Path, rows: list[dict[str, float]]) -> None:
    """``loss.csv``: step, epoch, loss, lr (of the fastest module), tokens seen so far."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=["step", "epoch", "loss", "lr", "tokens"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
