"""Stage 1: the projector learns to say what stands in the picture, from captions (paper section 4)."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mmevol.config import Run
from mmevol.config.commands import PretrainSettings
from mmevol.records import digest
from mmevol.store import replacing, write_json
from mmevol.train.backbone import base_model, load_base, load_processor, read_manifest
from mmevol.train.launch import is_main, join
from mmevol.train.samples import Conversation, Encoder, encode_all, picture_of, read_seeds

if TYPE_CHECKING:
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
    join()
    from safetensors.torch import save_file

    from mmevol.train.collate import Collator, Pictures
    from mmevol.train.recipe import deterministic, dtype
    from mmevol.train.trainer import State, train

    recipe = settings.recipe
    deterministic(recipe, "pretrain", settings.seed)
    processor = load_processor(base)
    encoder = Encoder(processor, base_model(base), style="plain")
    samples, _ = encode_all(encoder, talks)
    model = load_base(base, tower=tower, dtype=dtype(recipe), attention=recipe.attention)

    def save(state: State) -> None:
        names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        with replacing(out / "trained.safetensors") as temporary:
            save_file({name: state[name].contiguous() for name in sorted(names)}, temporary)

    trained = train(
        model,
        samples,
        Collator(encoder, Pictures(images_root, processor)),
        recipe=recipe,
        tokens=round(recipe.epochs * sum(s.length for s in samples)),
        key=("pretrain", settings.seed),
        identity=identity,
        run=run,
        job=f"train/pretrain/{out.name}",
        out=out,
        save=save,
    )
    if is_main():
        write_json(out / "manifest.json", {"digest": identity, **asdict(trained)})


def unchanged(out: Path, identity: str) -> bool:
    """Whether `out` holds the finished run of this identity."""
    return (out / "manifest.json").exists() and read_manifest(out)["digest"] == identity


def load_trained(model: "LlavaNextForConditionalGeneration", path: Path) -> None:
    """Put the parameters that stage 1 trained into a model. Raises `KeyError` for one that the model lacks."""
    import torch
    from safetensors.torch import load_file

    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in load_file(path).items():
            own[name].copy_(value)
