"""One training run: a model, a plan and a recipe go in, the trained model and its loss curve come out."""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import LlavaNextForConditionalGeneration, Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from mmevol.config import Run
from mmevol.config.train import Recipe
from mmevol.progress import Heartbeat
from mmevol.records import BadInput
from mmevol.store import write_json, write_text
from mmevol.train.collate import Collator
from mmevol.train.launch import is_main, world
from mmevol.train.recipe import arguments, freeze, parameter_groups
from mmevol.train.sampler import Order, Plan, plan
from mmevol.train.samples import Sample

WHOLE = "whole.json"
"""Written into a checkpoint when all else is in it; names the run."""

State = dict[str, torch.Tensor]
"""Parameters by name, gathered from all devices."""


@dataclass(frozen=True)
class Trained:
    """What a run saw: optimizer steps, epochs of its samples, non-padding input tokens; and how it took a step: samples of it
    over all processes, processes, forward passes of each."""

    steps: int
    epochs: float
    tokens: int
    batch: int
    processes: int
    accumulated: int


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
    """Reports each step, marks whole checkpoints, and ends the run at the first loss that is not a number."""

    def __init__(self, beat: Heartbeat, plan: Plan, identity: str) -> None:
        self.beat, self.plan, self.identity = beat, plan, identity

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError(f"step {state.global_step}: the loss is {logs['loss']}; lower the learning rates")
        done = state.global_step - self.beat.done
        self.beat.advance(done, loss=round(logs["loss"], 4), tokens=self.plan.tokens[state.global_step - 1])

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        torch.distributed.barrier()  # a checkpoint is whole when every process has written its part
        if is_main():
            mark = {"run": self.identity, "processes": world()}
            write_json(Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE, mark)


def train(
    model: LlavaNextForConditionalGeneration,
    samples: Sequence[Sample],
    collator: Collator,
    *,
    recipe: Recipe,
    tokens: int,
    key: Sequence[str | int],
    identity: str,
    run: Run,
    job: str,
    out: Path,
    save: Callable[[State], None],
) -> Trained:
    """Train `model` in place on `tokens` tokens of `samples` in the order that `key` draws; `save` is handed the result.

    ``out/loss.csv`` keeps the loss curve. Checkpoints go to ``out/checkpoint-*``; those of a killed run of the same `identity`
    are taken up. Raises `FloatingPointError` when the loss is not finite, `OSError` before the first step when `out` cannot hold
    the model. Every process of a distributed run calls this; the main one alone writes.
    """
    order = plan(
        [s.length for s in samples],
        [s.picture is not None for s in samples],
        batch=recipe.batch,
        tokens=tokens,
        key=key,
    )
    freeze(model, recipe)
    check_destination(model, out, run.checkpoints.keep)
    model.config.use_cache = False
    own = run if is_main() else run.model_copy(update={"status": None})
    with Heartbeat(own, job=job, total=len(order.steps), unit="steps") as beat:
        trainer = _Planned(
            model=model,
            args=arguments(recipe, run.checkpoints, steps=len(order.steps), parameters=model.num_parameters(), out=out),
            train_dataset=_Samples(samples),
            data_collator=collator,
            callbacks=[_Watch(beat, order, identity)],
            plan=order,
            recipe=recipe,
        )
        trainer.remove_callback(PrinterCallback)
        if is_main():
            sweep(out, identity)
        torch.distributed.barrier()
        found = resumable(out)
        trainer.train(resume_from_checkpoint=str(found) if found else None)
    state: State = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    model.config.use_cache = True
    if is_main():
        save(state)
        write_losses(out / "loss.csv", trainer.state.log_history, order)
        for folder in out.glob("checkpoint-*"):
            shutil.rmtree(folder)
    accumulated = trainer.args.gradient_accumulation_steps
    return Trained(len(order.steps), order.epochs[-1], order.tokens[-1], recipe.batch, world(), accumulated)


def check_destination(model: LlavaNextForConditionalGeneration, out: Path, checkpoints: int) -> None:
    """Find out before training whether the result can be saved: settings that save, and room on the disk.

    Raises `ValueError` for generation settings that transformers would refuse to save, `OSError` where the disk is too small.
    """
    out.mkdir(parents=True, exist_ok=True)
    if is_main():
        model.generation_config.save_pretrained(out)
        model.config.save_pretrained(out)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    states = sum(p.numel() * 12 for p in model.parameters() if p.requires_grad)
    needed, free = (checkpoints + 1) * (weights + states) + weights, shutil.disk_usage(out).free
    if needed > free:
        raise OSError(f"{out}: {free / 2**30:.1f} GiB free, checkpoints and model take up to {needed / 2**30:.1f} GiB")


def sweep(out: Path, identity: str) -> None:
    """Delete the checkpoints in `out` that are torn or another run's."""
    for folder in out.glob("checkpoint-*"):
        mark = folder / WHOLE
        if not mark.exists() or json.loads(mark.read_text())["run"] != identity:
            shutil.rmtree(folder)


def resumable(out: Path) -> Path | None:
    """The newest checkpoint in `out`, all of which are whole and this run's.

    Raises `BadInput` where another number of processes wrote it: the optimizer's state is divided by them.
    """
    found = max(out.glob("checkpoint-*"), key=lambda folder: int(folder.name.removeprefix("checkpoint-")), default=None)
    if found and (wrote := json.loads((found / WHOLE).read_text()).get("processes", 1)) != world():
        raise BadInput(
            file=str(found),
            field="processes",
            found=str(wrote),
            expected=f"{world()}, as many as go on from it",
            remedy=f"set the backbone's machines to {wrote} processes, or delete the folder's checkpoints to begin anew",
        )
    return found


def write_losses(path: Path, log: list[dict[str, Any]], plan: Plan) -> None:
    """``loss.csv``: step, epoch, loss, lr (of the fastest module), tokens seen so far; one row a step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "epoch", "loss", "lr", "tokens"])
    for row in log:
        if "loss" in row:
            at = row["step"] - 1
            writer.writerow([row["step"], plan.epochs[at], row["loss"], row["learning_rate"], plan.tokens[at]])
    write_text(path, text.getvalue())
