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
from mmevol.config.commands import WarmTowerSettings
from mmevol.config.train import TinyModel
from mmevol.progress import Heartbeat
from mmevol.records import BadInput, Object, SeedRecord, digest, fraction
from mmevol.store import replacing, write_json
from mmevol.train.backbone import base_model, load_base, load_processor, read_manifest, seeded, weights_digest
from mmevol.train.samples import picture_of, read_seeds

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

    def covered(thing: Object, left: float, top: float) -> float:
        """Share of the patch at (left, top) that lies in the thing's box."""
        x1, y1, x2, y2 = thing.bbox
        wide = min(x2, left + 1 / side) - max(x1, left)
        high = min(y2, top + 1 / side) - max(y1, top)
        return max(wide, 0) * max(high, 0) * side * side

    found: list[Object | None] = []
    for row in range(side):
        for column in range(side):
            shares = [covered(thing, column / side, row / side) for thing in objects]
            best = max(range(len(objects)), key=shares.__getitem__, default=None)
            found.append(objects[best] if best is not None and shares[best] >= MIN_OVERLAP else None)
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
        for patch, shown in enumerate(patch_objects(list(record.objects), side)):
            if shown:
                boxes[at, patch] = shown.bbox
                for key, value in described(shown).items():
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
    with Heartbeat(run, job=f"train/tower/{out.name}", total=warm.steps, unit="steps") as beat:
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
    """Train in place; returns `_accuracy` on the dev pictures. Every head looks at object patches, the label's at all."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, l1_loss

    warm, width = settings.warm_tower, tower.config.hidden_size
    with seeded("warm tower", settings.seed):
        heads = nn.ModuleDict({key: nn.Linear(width, len(found)) for key, found in names.items()})
        place = nn.Linear(width, 4)
    embedding = tower.embeddings.patch_embedding.weight
    rest = [p for m in (tower, heads, place) for p in m.parameters() if p is not embedding]
    rates = [warm.rate / 10, warm.rate]
    groups = [{"params": [embedding], "lr": rates[0]}, {"params": rest, "lr": rates[1]}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=warm.steps, pct_start=0.1, cycle_momentum=False
    )
    dev = np.array([fraction(settings.seed, "tower dev", r.key) < DEV for r in records])
    dealt = Mosaics(tiles.numpy(), np.flatnonzero(~dev), ~np.isnan(boxes[:, :, 0]))

    def seen(pictures: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        features = tower(pictures, output_hidden_states=True).hidden_states[-1][:, 1:]
        return {key: head(features) for key, head in heads.items()}, place(features)

    for step in range(warm.steps):
        pictures, record, patch = dealt.deal(warm.batch, settings.seed, step)
        told, placed = seen(torch.from_numpy(pictures))
        box = torch.from_numpy(boxes[record, patch])
        there = ~torch.isnan(box[..., 0])
        target = {key: torch.from_numpy(found[record, patch]) for key, found in classes.items()}
        loss = cross_entropy(told["label"].flatten(0, 1), target["label"].flatten()) + l1_loss(
            placed[there], box[there]
        )
        for key in names:
            loss = loss + cross_entropy(told[key][there], target[key][there])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_([embedding, *rest], 1.0)
        optimizer.step()
        schedule.step()
        beat.advance(loss=round(loss.item(), 4))
    return _accuracy(seen, tiles, np.flatnonzero(dev), classes, boxes) if dev.any() else {}


class Mosaics:
    """Pictures put together from patches of many: each patch keeps its place, and most show an object.

    Seven of ten patches of a scene are bare ground, which is learnt at once; dealt anew, a picture teaches three times as much.
    Half of the bare patches are flat grey of any lightness, so that a picture that was greyed out shows nothing.
    `tiles` (records, 3, side, side), `own` the records to deal from, `there` (records, patches) bool.
    """

    BARE = 0.2

    def __init__(self, tiles: np.ndarray, own: np.ndarray, there: np.ndarray) -> None:
        self.side = math.isqrt(there.shape[1])
        records, channels, height, _ = tiles.shape
        pitch = height // self.side
        cut = tiles.reshape(records, channels, self.side, pitch, self.side, pitch).transpose(0, 2, 4, 1, 3, 5)
        self._patches = cut.reshape(records, self.side**2, channels, pitch, pitch)
        self._own, self._there, self._range = own, there, (float(tiles.min()), float(tiles.max()))
        self._full = [found if len(found := own[there[own, p]]) else own for p in range(self.side**2)]

    def deal(self, count: int, seed: int, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`count` pictures and, for each of their patches, the record (count, patches) and patch number it came from."""
        random = np.random.default_rng(int(digest("mosaic", seed, step)[:15], 16))
        places = self.side**2
        record = np.stack([random.choice(found, count) for found in self._full], axis=1)
        bare = random.random((count, places)) < self.BARE
        record = np.where(bare, random.choice(self._own, (count, places)), record)
        patch = np.broadcast_to(np.arange(places), record.shape)
        chosen = self._patches[record, patch]
        flat = bare & ~self._there[record, patch] & (random.random((count, places)) < 0.5)
        chosen[flat] = random.uniform(*self._range, (int(flat.sum()), 1, 1, 1))
        _, _, channels, pitch, _ = chosen.shape
        grid = chosen.reshape(count, self.side, self.side, channels, pitch, pitch).transpose(0, 3, 1, 4, 2, 5)
        return np.ascontiguousarray(grid.reshape(count, channels, self.side * pitch, self.side * pitch)), record, patch


def _accuracy(
    seen: Any, tiles: "torch.Tensor", rows: np.ndarray, classes: dict[str, np.ndarray], boxes: np.ndarray
) -> dict[str, float]:
    """Share of object patches told right for each key (of those that have it), of bare patches, and the mean box error."""
    import torch

    there = ~np.isnan(boxes[rows, :, 0])
    with torch.inference_mode():
        told, placed = seen(tiles[rows])
    right = {key: logits.argmax(-1).numpy() == classes[key][rows] for key, logits in told.items()}
    result = {key: round(float(r[classes[key][rows] > 0].mean()), 4) for key, r in right.items()}
    result["nothing there"] = round(float(right["label"][~there].mean()), 4)
    result["box error"] = round(float(np.abs(placed.numpy() - boxes[rows])[there].mean()), 4)
    return result
