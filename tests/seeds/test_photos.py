"""The photo study: pictures as their packages ship them, boxes inside, licences carried."""

import json
from pathlib import Path

import pytest
from mmevol.config.commands import AuditSettings
from mmevol.records import BadInput
from mmevol.seeds import photos
from mmevol.seeds.audit import audit
from mmevol.store import read_rows
from PIL import Image


def test_export_passes_the_audit(tmp_path: Path) -> None:
    photos.export(records=tmp_path / "r.jsonl", images=tmp_path / "images")
    audit(
        AuditSettings(seed=1, shards=1),
        records=tmp_path / "r.jsonl",
        images_root=tmp_path / "images",
        out=tmp_path / "s",
    )
    report = json.loads((tmp_path / "s" / "audit.json").read_text())
    assert report["records"] == report["with_image"] == 7 and report["caption_only"] == 1
    assert report["licence"] == {"CC-BY-2.0": 2, "CC0-1.0": 3, "Public domain": 2}
    for record in read_rows(tmp_path / "s" / "audited" / "0.parquet", "seed"):
        assert record.attribution and len(record.qas) <= 2 and len(record.objects) >= 4
        with Image.open(tmp_path / "images" / record.image) as image:
            assert image.size == (record.width, record.height)


def test_declared_sizes_are_the_pictures(tmp_path: Path) -> None:
    photos.export(records=tmp_path / "r.jsonl", images=tmp_path / "images")
    for photo in photos.PHOTOS:
        with Image.open(tmp_path / "images" / Path(photo.file).name) as image:
            assert image.size == photo.size


def test_every_author_is_named_in_the_notice() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text()
    for photo in photos.PHOTOS:
        assert Path(photo.file).name in notice
        assert photo.attribution.split(",")[0].split(" (")[0] in notice


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(photos, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="not installed"):
        photos.export(records=tmp_path / "r.jsonl", images=tmp_path / "images")
