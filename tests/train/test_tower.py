import json
from pathlib import Path

import numpy as np
import pytest
from mmevol.config.commands import Run, WarmTowerSettings
from mmevol.config.train import WarmTower
from mmevol.records import BadInput, Object
from mmevol.store import write_rows
from mmevol.train.samples import read_seeds
from mmevol.train.tower import Mosaics, described, labels, patch_objects, warm_tower
from tiny_study import Study

WARM = WarmTowerSettings(seed=1, warm_tower=WarmTower(steps=5, batch=4))


def test_a_patch_shows_the_object_that_covers_most_of_it() -> None:
    small = Object(label="star", bbox=(0.0, 0.0, 0.2, 0.2))
    large = Object(label="circle", bbox=(0.15, 0.15, 0.9, 0.49))
    found = patch_objects([small, large], 2)
    assert [f.label if f else None for f in found] == ["circle", "circle", None, None]
    assert [f.label if f else None for f in patch_objects([small], 2)] == ["star", None, None, None]
    assert patch_objects([], 2) == [None] * 4


def test_printed_letters_are_labels_of_their_own() -> None:
    thing = Object(label="star", bbox=(0, 0, 1, 1), attributes={"color": "red", "text": "KXZ"})
    assert described(thing) == {"label": "star", "color": "red", "letter 1": "K", "letter 2": "X"}


def test_labels_name_what_is_there(study: Study) -> None:
    records = [r for r in read_seeds(study.shards) if r.objects]
    names, classes, boxes = labels(records, 4)
    assert names == {"color": ["", "blue", "green", "red"], "label": ["", "square"]}
    first = [names["color"][k] for k in classes["color"][0]]
    assert first == ["", "", "", "", "red", "", "", "", "", "", "", "", "blue", "", "", ""]
    assert np.allclose(boxes[0, 4], [2 / 80, 22 / 80, 17 / 80, 37 / 80])
    assert np.isnan(boxes[0, 5]).all()


def test_mosaics_deal_patches_to_their_own_places() -> None:
    tiles = np.random.default_rng(0).random((6, 3, 8, 8)).astype(np.float32)
    there = np.zeros((6, 4), dtype=bool)
    there[[1, 3], 2] = True
    pictures, record, patch = Mosaics(tiles, np.array([1, 2, 3]), there).deal(50, 1, 0)
    assert pictures.shape == (50, 3, 8, 8)
    assert set(record.ravel()) <= {1, 2, 3}
    assert np.mean(record[:, 2] == 2) < 0.3, "most patches show something where anything does"
    flat = 0
    for k in range(50):
        for p in range(4):
            y, x = divmod(p, 2)
            cell = np.s_[:, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
            assert patch[k, p] == p
            if not np.array_equal(pictures[k][cell], tiles[record[k, p]][cell]):
                assert np.ptp(pictures[k][cell]) == 0
                assert not there[record[k, p], p], "only bare patches are greyed"
                flat += 1
    assert 5 < flat < 40


def test_warming_is_the_same_each_time(study: Study, tmp_path: Path) -> None:
    for name in "ab":
        warm_tower(WARM, run=Run(), base=study.base, shards=study.shards, images_root=study.images, out=tmp_path / name)
    assert (tmp_path / "a/tower.safetensors").read_bytes() == (tmp_path / "b/tower.safetensors").read_bytes()
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert manifest == json.loads((tmp_path / "b/manifest.json").read_text())
    assert manifest["records"] == 12


def test_pictures_without_annotations_cannot_warm(study: Study, tmp_path: Path) -> None:
    bare = [r.model_copy(update={"objects": []}) for r in read_seeds(study.shards)]
    write_rows(tmp_path / "bare.parquet", "seed", bare)
    with pytest.raises(BadInput, match="warm_tower: null"):
        warm_tower(
            WARM,
            run=Run(),
            base=study.base,
            shards=[tmp_path / "bare.parquet"],
            images_root=study.images,
            out=tmp_path / "out",
        )
