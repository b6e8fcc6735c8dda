"""Stage 1: the projector learns to say what stands in the picture, from captions (paper section 4)."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmevol.config import Run
from mmevol.config.commands import PretrainSettings
from mmevol.progress import Heartbeat
from mmevol.records import digest
from mmevol.store import replacing, write_json
from mmevol.train.backbone import base_model, load_base, load_processor, read_manifest
from mmevol.train.samples import Conversation, Encoder, encode_all, picture_of, read_seeds

if TYPE_CHECKING:
    import torch
    from transformers import LlavaNextForConditionalGeneration


def pretrain(
    settings: PretrainSettings,
    *,
    run: Run,
    base: Path,
    tower: Path | None,
    shards: list[Path],
    images_root: Path | None,
    out: Path,
) -> None:
    """Train on the captions of the train split; write ``trained.safetensors``, ``loss.csv`` and ``manifest.json``.

    ``trained.safetensors`` holds the trained modules alone (the projector, with the reference's recipe). Ends at once, with the
    old manifest, when base, tower, captions and recipe are those of the last run.
    """
    talks = [
        Conversation(r.key, picture, (("", r.caption),))
        for r in read_seeds(shards)
        if r.caption and (picture := picture_of(r, "seeds"))
    ]
    identity = digest(
        settings.dump(),
        read_manifest(base)["digest"],
        read_manifest(tower)["digest"] if tower else "",
        *(part for t in talks for part in (t.id, t.turns[0][1])),
    )
    if unchanged(out, identity):
        return
    from mmevol.train.recipe import deterministic, dtype, launch

    launch()
    from mmevol.train.collate import Collator, Pictures
    from mmevol.train.sampler import plan
    from mmevol.train.trainer import remove_checkpoints, train, write_losses

    recipe = settings.recipe
    deterministic(recipe, "pretrain", settings.seed)
    processor = load_processor(base)
    encoder = Encoder(processor, base_model(base), style="plain")
    samples, _ = encode_all(encoder, talks)
    total = sum(s.length for s in samples)
    order = plan(
        [s.length for s in samples],
        [s.picture is not None for s in samples],
        batch=recipe.batch,
        tokens=round(recipe.epochs * total),
        key=(settings.seed, "pretrain"),
    )
    model = load_base(base, tower=tower, dtype=dtype(recipe), attention=recipe.attention)
    with Heartbeat(run, job=f"train/pretrain/{out.name}", total=len(order.steps), unit="steps") as beat:
        rows = train(
            model,
            samples,
            Collator(encoder, Pictures(images_root, processor)),
            plan=order,
            recipe=recipe,
            checkpoints=run.checkpoints,
            beat=beat,
            out=out,
            key=identity,
        )
    save_trained(model, out / "trained.safetensors")
    write_losses(out / "loss.csv", rows)
    remove_checkpoints(out)
    write_json(out / "manifest.json", {"digest": identity, "steps": len(rows), "tokens": order.tokens[-1]})


def unchanged(out: Path, identity: str) -> bool:
    """Whether `out` holds the finished run of this identity."""
    return (out / "manifest.json").exists() and read_manifest(out)["digest"] == identity


def save_trained(model: "LlavaNextForConditionalGeneration", path: Path) -> None:
    """The parameters that have gradients, under their names in the model."""
    from safetensors.torch import save_file

    kept: dict[str, torch.Tensor] = {n: p.detach().contiguous() for n, p in model.named_parameters() if p.requires_grad}
    with replacing(path) as temporary:
        save_file(kept, temporary)


def load_trained(model: "LlavaNextForConditionalGeneration", path: Path) -> None:
    """Put the parameters of `save_trained` into a model. Raises `KeyError` for one that the model lacks."""
    import torch
    from safetensors.torch import load_file

    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in load_file(path).items():
            own[name].copy_(value)
