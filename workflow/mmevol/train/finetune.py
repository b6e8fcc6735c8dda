"""Stage 2: an arm learns its mixture (paper section 4)."""

import json
from dataclasses import asdict
from pathlib import Path

from mmevol.config import Run
from mmevol.config.commands import FinetuneSettings
from mmevol.records import digest
from mmevol.store import write_json
from mmevol.train.backbone import base_model, load_base, load_processor, read_manifest
from mmevol.train.launch import is_main, join
from mmevol.train.mixture import conversations
from mmevol.train.pretrain import load_trained, unchanged
from mmevol.train.samples import Encoder, encode_all


def finetune(
    settings: FinetuneSettings,
    *,
    run: Run,
    base: Path,
    tower: Path | None,
    pretrained: Path | None,
    mixture: Path,
    target: Path,
    shards: list[Path],
    evolved: dict[str, Path],
    images_root: Path | None,
    out: Path,
) -> None:
    """Train an arm; write model and processor (`from_pretrained` reads them), ``loss.csv`` and, last, ``manifest.json`` into `out`.

    `mixture` is what is trained on; `target` the mixture whose tokens, times the recipe's epochs, the run sees: the same one,
    or that of the arm it is to be matched with. A killed run goes on from its ``checkpoint-*``. Ends at once, with the old
    manifest, when mixture, target tokens, recipe, base, tower and stage 1 are those of the last run.
    """
    stats = json.loads((mixture / "stats.json").read_text())
    wanted = json.loads((target / "stats.json").read_text())["backbones"][base.name]["tokens"]
    tokens = round(settings.recipe.epochs * wanted)
    parts = [read_manifest(folder)["digest"] for folder in (base, tower, pretrained) if folder]
    identity = digest(settings.dump(), stats["digest"], tokens, *parts)
    if unchanged(out, identity):
        return
    join()
    from mmevol.train.collate import Collator, Pictures
    from mmevol.train.recipe import deterministic, dtype
    from mmevol.train.trainer import State, train

    recipe = settings.recipe
    deterministic(recipe, "finetune", settings.seed, settings.train_seed)
    processor = load_processor(base)
    encoder = Encoder(processor, base_model(base), mask=recipe.mask)
    talks = conversations(mixture / "ids.parquet", seed=settings.seed, shards=shards, evolved=evolved)
    samples, too_long = encode_all(encoder, talks)
    model = load_base(base, tower=tower, dtype=dtype(recipe), attention=recipe.attention)
    if pretrained:
        load_trained(model, pretrained / "trained.safetensors")

    def save(state: State) -> None:
        model.save_pretrained(out, state_dict=state)
        processor.save_pretrained(out)

    trained = train(
        model,
        samples,
        Collator(encoder, Pictures(images_root, processor)),
        recipe=recipe,
        tokens=tokens,
        key=("finetune", settings.seed, settings.train_seed),
        identity=identity,
        run=run,
        job=f"train/finetune/{out.parent.name}/{out.name}",
        out=out,
        save=save,
    )
    if is_main():
        facts = {"mixture": stats["digest"], "samples": len(samples), "qas_too_long": too_long, **asdict(trained)}
        write_json(out / "manifest.json", {"digest": identity, **facts})
