"""Warming the tiny vision tower: it learns to tell what stands in each patch before it meets a language model.

A published tower has seen 400 million captioned pictures; the tiny one has seen none. The labels come from the exact
annotations of the train split: label, attributes, printed letters and place of the object in a patch. This is supervision that
real backbones do not get, hence a rule of its own with this name; every arm starts from the same warmed tower.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmevol.config import Run
from mmevol.config.train import TinyModel
from mmevol.progress import Heartbeat
from mmevol.records import BadInput, Object, SeedRecord, digest, fraction
from mmevol.store import replacing, write_json
from mmevol.train.backbone import base_model, load_base, load_processor, read_manifest, seeded, weights_digest
from mmevol.train.samples import picture_of, read_seeds
from mmevol.train.settings import WarmTowerSettings

if TYPE_CHECKING:
    import torch

DEV = 0.1
"""Share of train pictures on which the tower is only measured."""

LETTERS = 2
"""Printed letters that are labels, one key a position; later ones are not."""

MIN_OVERLAP = 0.05
"""Share of a patch that an object's box must cover to be the patch's label."""


def described(thing: Object) -> dict[str, str]:
    """What the tower learns of an object: its label and attributes; ``text`` letter by letter."""
    known = {"label": thing.label} | {k: v for k, v in thing.attributes.items() if k != "text"}
    return known | {f"letter {i + 1}": c for i, c in enumerate(thing.attributes.get("text", "")[:LETTERS])}


def patch_objects(objects: list[Object], side: int) -> list[Object | None]:
    """For each of side x side patches in reading order, the object that covers most of it, or None."""
    found: list[Object | None] = []
    for row in range(side):
        for column in range(side):
            left, top = column / side, row / side

            def share(thing: Object, left: float = left, top: float = top) -> float:
                x1, y1, x2, y2 = thing.bbox
                wide = min(x2, left + 1 / side) - max(x1, left)
                high = min(y2, top + 1 / side) - max(y1, top)
                return max(wide, 0) * max(high, 0) * side * side

            best = max(objects, key=share, default=None)
            found.append(best if best and share(best) >= MIN_OVERLAP else None)
    return found


def labels(records: list[SeedRecord], side: int) -> tuple[dict[str, list[str]], dict[str, np.ndarray], np.ndarray]:
    """Class names of each key (the first, '', is nothing there), class numbers (records, patches), boxes (records, patches, 4).

    Boxes are NaN where no object is.
    """
    values: dict[str, set[str]] = {}
    for record in records:
        for thing in record.objects:
            for key, value in described(thing).items():
                values.setdefault(key, set()).add(value)
    names = {key: ["", *sorted(found)] for key, found in sorted(values.items())}
    number = {key: {value: i for i, value in enumerate(found)} for key, found in names.items()}
    classes = {key: np.zeros((len(records), side * side), dtype=np.int64) for key in names}
    boxes = np.full((len(records), side * side, 4), np.nan, dtype=np.float32)
    for at, record in enumerate(records):
        for patch, thing in enumerate(patch_objects(list(record.objects), side)):
            if thing:
                boxes[at, patch] = thing.bbox
                for key, value in described(thing).items():
                    classes[key][at, patch] = number[key][value]
    return names, classes, boxes


def warm_tower(
    settings: WarmTowerSettings, *, run: Run, base: Path, shards: list[Path], images_root: Path, out: Path
) -> None:
    """Train the tower of a base folder; write ``tower.safetensors`` and, last, ``manifest.json`` with its accuracy into `out`.

    Raises `BadInput` where the train split has no pictures with annotated objects.
    """
    import torch
    from safetensors.torch import save_file

    from mmevol.train.collate import Pictures

    warm = settings.warm_tower
    torch.set_num_threads(warm.threads)
    torch.use_deterministic_algorithms(True)
    model = base_model(base)
    assert isinstance(model, TinyModel), "published towers are not warmed"
    records = [r for r in read_seeds(shards) if r.image and r.objects]
    if not records:
        raise BadInput(
            file=str(base),
            field="train.backbones.*.warm_tower",
            found="no record of the train split has a picture and annotated objects",
            expected="annotated pictures",
            remedy="set warm_tower: null for this backbone",
        )
    names, classes, boxes = labels(records, model.image_size // model.patch_size)
    pictures = Pictures(images_root, load_processor(base))
    tiles = torch.from_numpy(np.stack([pictures.tiles(p)[0] for r in records if (p := picture_of(r, str(shards[0])))]))
    tower = load_base(base, tower=None, dtype=torch.float32, attention="sdpa").model.vision_tower
    with Heartbeat(run, job=f"train/tower/{out.name}", total=warm.epochs, unit="epochs") as beat:
        accuracy = _fit(tower, tiles, names, classes, boxes, records, settings, beat)
    with replacing(out / "tower.safetensors") as temporary:
        save_file({k: v.contiguous() for k, v in tower.state_dict().items()}, temporary)
    identity = digest(read_manifest(base)["digest"], weights_digest(tower))
    write_json(out / "manifest.json", {"digest": identity, "records": len(records), "accuracy": accuracy})


def _fit(
    tower: Any,
    tiles: "torch.Tensor",
    names: dict[str, list[str]],
    classes: dict[str, np.ndarray],
    boxes: np.ndarray,
    records: list[SeedRecord],
    settings: WarmTowerSettings,
    beat: Heartbeat,
) -> dict[str, float]:
    """Train in place; returns the share of object patches of dev pictures that are told right, for each key, and box error."""
    import torch
    from torch import nn

    warm, width = settings.warm_tower, tower.config.hidden_size
    with seeded("warm tower", settings.seed):
        heads = nn.ModuleDict({key: nn.Linear(width, len(found)) for key, found in names.items()})
        place = nn.Linear(width, 4)
    parameters = [*tower.parameters(), *heads.parameters(), *place.parameters()]
    dev = np.array([fraction(settings.seed, "tower dev", r.key) < DEV for r in records])
    own = np.flatnonzero(~dev)
    per_epoch = math.ceil(len(own) / warm.batch)
    optimizer = torch.optim.AdamW(parameters, lr=warm.rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, warm.rate, total_steps=warm.epochs * per_epoch, pct_start=0.1
    )

    def seen(rows: np.ndarray) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        features = tower(tiles[rows], output_hidden_states=True).hidden_states[-1][:, 1:]
        return {key: head(features) for key, head in heads.items()}, place(features)

    for epoch in range(warm.epochs):
        order = sorted(own, key=lambda i: fraction(settings.seed, "tower", epoch, int(i)))
        for at in range(0, len(order), warm.batch):
            rows = np.array(order[at : at + warm.batch])
            told, placed = seen(rows)
            loss = sum(
                nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(classes[key][rows]).flatten())
                for key, logits in told.items()
            )
            there = torch.from_numpy(~np.isnan(boxes[rows, :, 0]))
            loss = loss + nn.functional.l1_loss(placed[there], torch.from_numpy(boxes[rows])[there])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[union-attr]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
        beat.advance(loss=round(float(loss), 4))
    return _accuracy(seen, np.flatnonzero(dev), classes, boxes) if dev.any() else {}


def _accuracy(seen: Any, rows: np.ndarray, classes: dict[str, np.ndarray], boxes: np.ndarray) -> dict[str, float]:
    import torch

    there = ~np.isnan(boxes[rows, :, 0])
    with torch.inference_mode():
        told, placed = seen(rows)
    right = {key: logits.argmax(-1).numpy() == classes[key][rows] for key, logits in told.items()}
    result = {key: round(float(r[there].mean()), 4) for key, r in right.items()}
    result["nothing there"] = round(float(right["label"][~there].mean()), 4)
    result["box error"] = round(float(np.abs(placed.numpy() - boxes[rows])[there].mean()), 4)
    return result
