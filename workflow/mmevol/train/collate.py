"""From samples to padded batches."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from mmevol.records import BadInput
from mmevol.train.samples import Encoder, Picture, Sample

if TYPE_CHECKING:
    from transformers import LlavaNextProcessor

IGNORED = -100
CACHE_BYTES = 512 << 20
"""Processed pictures that are kept for the next epoch."""


class Pictures:
    """Pictures below a root as tiles (tiles, 3, side, side) float32; a few hundred megabytes of them stay in memory."""

    def __init__(self, root: Path | None, processor: "LlavaNextProcessor") -> None:
        self.root, self._process = root, processor.image_processor
        self._kept: OrderedDict[Picture, np.ndarray] = OrderedDict()
        self._bytes = 0

    def tiles(self, picture: Picture) -> np.ndarray:
        """The tiles of a picture.

        Raises `BadInput` where it is missing, leads out of the root, or has another size than recorded.
        """
        if picture in self._kept:
            return self._kept[picture]
        with Image.open(self._inside(picture)) as opened:
            image = opened.convert("RGB")
        if image.size != (picture.width, picture.height):
            raise self._bad(picture, f"{image.width} x {image.height} px", f"{picture.width} x {picture.height} px")
        tiles: np.ndarray = self._process(image, return_tensors="np")["pixel_values"][0].astype(np.float32)
        while self._kept and self._bytes + tiles.nbytes > CACHE_BYTES:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept[picture] = tiles
        self._bytes += tiles.nbytes
        return tiles

    def _inside(self, picture: Picture) -> Path:
        if self.root is None:
            raise self._bad(picture, "no folder of pictures", "seeds.images_root")
        path = (self.root / picture.path).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise self._bad(picture, str(path), f"a picture inside {self.root}")
        if not path.is_file():
            raise self._bad(picture, "no such file", f"a picture inside {self.root}")
        return path

    def _bad(self, picture: Picture, found: str, expected: str) -> BadInput:
        remedy = "run the seeds target again: its audit looks at every picture"
        return BadInput(
            file=f"{self.root}/{picture.path}", field="image", found=found, expected=expected, remedy=remedy
        )


class Collator:
    """Samples to a right-padded batch.

    input_ids, attention_mask, labels are (batch, length), pixel_values (pictures, tiles, 3, side, side).

    A batch of text alone gets one black picture whose placeholders nobody attends to and no loss counts: every device then
    touches the same modules, without which ZeRO stalls.
    """

    def __init__(self, encoder: Encoder, pictures: Pictures) -> None:
        self.encoder, self.pictures = encoder, pictures
        self.pad: int = encoder.tokenizer.pad_token_id

    def __call__(self, samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
        """The batch of these samples."""
        rows = [self._expand(s) for s in samples]
        shown = [(self.pictures.tiles(s.picture), s.picture) for s in samples if s.picture]
        if not shown:
            blank, count, tiles = self._blank()
            shown = [(tiles, blank)]
            ids, counts, seen = rows[0]
            rows[0] = (
                np.concatenate([ids, np.full(count, self.encoder.image_id, dtype=ids.dtype)]),
                np.concatenate([counts, np.zeros(count, dtype=bool)]),
                np.concatenate([seen, np.zeros(count, dtype=bool)]),
            )
        width = max(len(ids) for ids, _, _ in rows)
        input_ids = torch.full((len(rows), width), self.pad, dtype=torch.long)
        labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
        attention = torch.zeros((len(rows), width), dtype=torch.long)
        for at, (ids, counts, seen) in enumerate(rows):
            input_ids[at, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
            labels[at, : len(ids)] = torch.from_numpy(np.where(counts, ids, IGNORED).astype(np.int64))
            attention[at, : len(ids)] = torch.from_numpy(seen.astype(np.int64))
        return {
            "input_ids": input_ids,
            "attention_mask": attention,
            "labels": labels,
            "pixel_values": _stack([tiles for tiles, _ in shown]),
            "image_sizes": torch.tensor([[p.height, p.width] for _, p in shown]),
        }

    def _expand(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Token ids, what the loss counts, what is attended to; the placeholder repeated once an image token."""
        repeats = np.where(sample.ids == self.encoder.image_id, sample.image_tokens, 1)
        ids, counts = np.repeat(sample.ids, repeats), np.repeat(sample.counts, repeats)
        return ids, counts, np.ones(len(ids), dtype=bool)

    def _blank(self) -> tuple[Picture, int, np.ndarray]:
        process = self.pictures._process
        side = process.crop_size["height"]
        blank = Picture("", side, side)
        tiles = process(Image.new("RGB", (side, side)), return_tensors="np")["pixel_values"][0].astype(np.float32)
        return blank, self.encoder.image_tokens(blank), np.zeros_like(tiles)


def _stack(tiles: list[np.ndarray]) -> torch.Tensor:
    """One tensor of pictures with different numbers of tiles; missing tiles are zero and never read."""
    most = max(len(t) for t in tiles)
    out = np.zeros((len(tiles), most, *tiles[0].shape[1:]), dtype=np.float32)
    for at, picture in enumerate(tiles):
        out[at, : len(picture)] = picture
    return torch.from_numpy(out)
