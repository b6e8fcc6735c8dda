from pathlib import Path

import numpy as np
import pytest
import torch
from mmevol.records import BadInput
from mmevol.train.backbone import load_base, load_processor
from mmevol.train.collate import IGNORED, Collator, Pictures
from mmevol.train.samples import Encoder, Picture
from PIL import Image
from tiny_study import MODEL, Study

TURNS = [("What color?", "red")]


@pytest.fixture(scope="module")
def collator(study: Study) -> Collator:
    processor = load_processor(study.base)
    return Collator(Encoder(processor, MODEL), Pictures(study.images, processor))


def test_a_batch_is_what_the_processor_itself_would_make(study: Study, collator: Collator) -> None:
    encoder = collator.encoder
    batch = collator(
        [encoder.sample(Picture("00.png", 80, 80), TURNS), encoder.sample(Picture("01.png", 80, 80), TURNS * 2)]
    )
    images = [Image.open(study.images / name) for name in ("00.png", "01.png")]
    said = "<|end|><|assistant|>red<|end|>"
    texts = [f"<|user|><image>What color?{said}", f"<|user|><image>What color?{said}<|user|>What color?{said}"]
    theirs = encoder.processor(images=images, text=texts, padding=True, return_tensors="pt")
    for name in ("input_ids", "attention_mask", "pixel_values", "image_sizes"):
        assert torch.equal(batch[name], theirs[name].to(batch[name].dtype)), name
    counted = batch["labels"] != IGNORED
    assert torch.equal(batch["labels"][counted], batch["input_ids"][counted])
    assert counted.sum() == 3 * 2


def test_text_alone_gets_a_picture_that_changes_nothing(study: Study, collator: Collator) -> None:
    samples = [collator.encoder.sample(None, TURNS), collator.encoder.sample(None, TURNS * 2)]
    batch = collator(samples)
    assert batch["pixel_values"].shape == (1, 2, 3, 80, 80)
    assert not batch["pixel_values"].any()
    blank = batch["input_ids"] == collator.encoder.image_id
    assert blank.sum() == 36
    assert not batch["attention_mask"][blank].any()
    assert (batch["labels"][blank] == IGNORED).all()
    model = load_base(study.base, tower=None, dtype=torch.float32, attention="sdpa").eval()
    with torch.no_grad():
        with_blank = model(**batch).loss
        text = {k: batch[k].clone() for k in ("input_ids", "attention_mask", "labels")}
        text["input_ids"][blank] = collator.pad
        assert torch.allclose(with_blank, model(**text).loss, atol=1e-5)
    model.train()
    model(**batch).loss.backward()
    projector = model.model.multi_modal_projector.linear_1.weight.grad
    assert projector is not None and not projector.any(), "the tower is run, and learns nothing from it"


def test_pictures_are_kept_for_the_next_epoch(collator: Collator) -> None:
    picture = Picture("02.png", 80, 80)
    assert collator.pictures.tiles(picture) is collator.pictures.tiles(picture)


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (Picture("00.png", 80, 81), "80 x 80 px"),
        (Picture("none.png", 80, 80), "no such file"),
        (Picture("../0.parquet", 80, 80), "0.parquet"),
    ],
)
def test_pictures_that_are_not_as_recorded(collator: Collator, picture: Picture, found: str) -> None:
    with pytest.raises(BadInput) as error:
        collator.pictures.tiles(picture)
    assert found in error.value.found


def test_a_link_out_of_the_root_is_refused(study: Study, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((80, 80, 3), dtype=np.uint8)).save(tmp_path / "out.png")
    (tmp_path / "in" / "a.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(BadInput, match="inside"):
        Pictures(tmp_path / "in", load_processor(study.base)).tiles(Picture("a.png", 80, 80))
