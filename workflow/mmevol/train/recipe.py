"""A recipe at work: which parameters learn at which rate, the Trainer's arguments, DeepSpeed on GPUs and CPUs alike."""

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmevol.config.train import Checkpoints, Recipe
from mmevol.records import digest
from mmevol.train.backbone import MODULES, module_of
from mmevol.train.launch import world

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments


def dtype(recipe: Recipe) -> "torch.dtype":
    """The type in which a recipe's weights are held."""
    import torch

    return torch.bfloat16 if recipe.precision == "bf16" else torch.float32


def freeze(model: "torch.nn.Module", recipe: Recipe) -> None:
    """Leave gradients to the modules that have a learning rate."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(getattr(recipe, module_of(name)) is not None)


def parameter_groups(model: "torch.nn.Module", recipe: Recipe) -> list[dict[str, Any]]:
    """Optimizer groups, one a trained module and kind: weight decay spares biases, norms and other vectors."""
    groups = []
    for module in MODULES:
        rate = getattr(recipe, module)
        own = [p for n, p in model.named_parameters() if p.requires_grad and module_of(n) == module]
        for decay, members in (
            (recipe.weight_decay, [p for p in own if p.ndim > 1]),
            (0.0, [p for p in own if p.ndim <= 1]),
        ):
            if members:
                groups.append({"params": members, "lr": rate, "weight_decay": decay, "name": f"{module}/{decay:g}"})
    return groups


def deepspeed_config(recipe: Recipe, parameters: int) -> dict[str, Any]:
    """ZeRO as the reference runs it; the optimizer is PyTorch's AdamW, so that nothing is compiled.

    Buckets are no larger than the model: DeepSpeed allocates them anew each step, 2 GB by default.
    """
    bucket = min(500_000_000, parameters)
    return {
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": recipe.precision == "bf16"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {
            "stage": recipe.zero,
            "overlap_comm": False,
            "contiguous_gradients": True,
            "reduce_bucket_size": bucket,
            "allgather_bucket_size": bucket,
            "stage3_gather_16bit_weights_on_model_save": True,
        },
    }


def deterministic(recipe: Recipe, *key: str | int) -> None:
    """Fix threads, seeds and algorithms, so that a run repeated on the same machine gives the same weights."""
    import numpy as np
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["OMP_NUM_THREADS"] = str(recipe.threads)  # else accelerate takes all cores later on
    seed = int(digest(*key)[:8], 16)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a debugging aid that writes every new tensor twice


def arguments(
    recipe: Recipe, checkpoints: Checkpoints, *, steps: int, parameters: int, out: Path
) -> "TrainingArguments":
    """The Trainer's arguments for a run of `steps` optimizer steps with checkpoints in `out`.

    Raises `ValueError` where the batch does not divide over processes.
    """
    import torch
    from transformers import TrainingArguments

    if recipe.batch % (recipe.per_device * world()):
        raise ValueError(
            f"batch {recipe.batch} does not divide over {world()} processes with {recipe.per_device} samples each: "
            "change per_device or the number of processes"
        )
    cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=recipe.per_device,
        gradient_accumulation_steps=recipe.batch // (recipe.per_device * world()),
        activation_checkpointing=recipe.gradient_checkpointing,
        learning_rate=max(r for m in MODULES if (r := getattr(recipe, m)) is not None),
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.beta2,
        max_grad_norm=recipe.clip,
        optim="adamw_torch",
        bf16=recipe.precision == "bf16",
        tf32=True if not cpu else None,
        use_cpu=cpu,
        ddp_backend="gloo" if cpu else None,
        deepspeed=deepspeed_config(recipe, parameters),
        dataloader_drop_last=True,
        dataloader_num_workers=0 if cpu else 4,
        dataloader_pin_memory=not cpu,
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=checkpoints.every,
        save_total_limit=checkpoints.keep,
        disable_tqdm=True,
        report_to=[],
    )
