"""The audit: everything wrong is found before anything is written, and what is right is split once and for all."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmevol.config.commands import AuditSettings, DrawSettings
from mmevol.records import BadInput, SeedRecord
from mmevol.seeds import audit as auditing
from mmevol.seeds.audit import audit
from mmevol.seeds.world import draw
from mmevol.store import order_of, read_rows, shard_of
from PIL import Image


def raw(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "image": f"{number}.png",
        "caption": f"Picture {number}.",
        "licence": "CC0-1.0",
    } | changes


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for number in range(12):
        Image.new("RGB", (20 + number, 10), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def run(study: Path, records: list[dict[str, Any]], *, pictures: bool = True, **settings: Any) -> dict[str, Any]:
    path = study / "records.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    root = study / "images" if pictures else None
    audit(AuditSettings(**{"seed": 3, "shards": 2} | settings), records=path, images_root=root, out=study / "seeds")
    report: dict[str, Any] = json.loads((study / "seeds" / "audit.json").read_text())
    return report


def rows(study: Path, shards: int = 2) -> list[SeedRecord]:
    files = [study / "seeds" / "audited" / f"{i}.parquet" for i in range(shards)] + [
        study / "seeds" / "heldout.parquet"
    ]
    return [row for file in files for row in read_rows(file, "seed")]


def test_counts_digests_shards_and_order(study: Path) -> None:
    report = run(study, [raw(n) for n in range(12)], heldout=0.4)
    assert report["records"] == report["train"] + report["heldout"] == 12 and 0 < report["heldout"] < 12
    assert report["licence"] == {"CC0-1.0": 12} and report["caption_only"] == 12 and report["pictures"] == "present"
    assert {r.id: (r.width, r.height) for r in rows(study)} == {f"r{n}": (20 + n, 10) for n in range(12)}
    for shard in range(2):
        train = list(read_rows(study / "seeds" / "audited" / f"{shard}.parquet", "seed"))
        assert [r.key for r in train] == sorted((r.key for r in train), key=order_of)
        assert all(r.split == "train" and shard_of(r.key, 2) == shard for r in train)
    held = [r.key for r in read_rows(study / "seeds" / "heldout.parquet", "seed")]
    assert held == sorted(held, key=order_of)


def test_order_and_shard_number_of_the_input_change_nothing(study: Path) -> None:
    run(study, [raw(n) for n in range(12)], heldout=0.4)
    first, files = rows(study), sorted((study / "seeds").rglob("*.*"))
    data = [f.read_bytes() for f in files]
    run(study, [raw(n) for n in reversed(range(12))], heldout=0.4)
    assert [f.read_bytes() for f in files] == data
    run(study, [raw(n) for n in range(12)], heldout=0.4, shards=4)
    assert rows(study, 4) == first


def test_one_picture_is_on_one_side_whatever_its_name(study: Path) -> None:
    records = []
    for number in range(12):
        (study / "images" / f"copy{number}.png").write_bytes((study / "images" / f"{number}.png").read_bytes())
        records += [raw(number), raw(number, id=f"again{number}", image=f"copy{number}.png")]
    run(study, records, heldout=0.5)
    sides: dict[str, set[str]] = {}
    for record in rows(study):
        assert record.image_digest
        sides.setdefault(record.image_digest, set()).add(record.split)
    assert len(sides) == 12 and {len(s) for s in sides.values()} == {1}
    assert {side for s in sides.values() for side in s} == {"train", "heldout"}


def test_the_world_passes_and_held_out_scenes_never_train(tmp_path: Path) -> None:
    draw(DrawSettings(seed=5, images=120), records=tmp_path / "r.jsonl", images=tmp_path / "images")
    audit(
        AuditSettings(seed=5, heldout=0.2),
        records=tmp_path / "r.jsonl",
        images_root=tmp_path / "images",
        out=tmp_path / "seeds",
    )
    found = rows(tmp_path, 4)
    looks = {
        side: {
            tuple((o.label, tuple(o.attributes.items()), o.bbox) for o in r.objects) for r in found if r.split == side
        }
        for side in ("train", "heldout")
    }
    assert len(found) == 120 and len(looks["heldout"]) > 10 and not looks["train"] & looks["heldout"]
    assert all(r.licence == "CC0-1.0" and r.objects[0].attributes["color"] for r in found)


def test_without_pictures(study: Path) -> None:
    report = run(study, [raw(n, image="not/there.jpg") for n in range(12)], pictures=False, heldout=0.5)
    assert report["pictures"].startswith("absent") and report["without_image"] == 12
    assert all(r.image is None and r.image_digest is None for r in rows(study))
    assert len({r.split for r in rows(study)}) == 1  # one picture, one side, though nobody has it


def test_text_only_records_are_counted(study: Path) -> None:
    report = run(study, [raw(0), raw(1, image=None)])
    assert (report["with_image"], report["without_image"]) == (1, 1)


def test_fields_that_are_not_read_are_counted(study: Path) -> None:
    report = run(study, [raw(0, conversations_v1=[], model="x"), raw(1, model="y")])
    assert report["ignored_fields"] == {"conversations_v1": 1, "model": 2}


def test_limit_keeps_the_same_records_whatever_their_order(study: Path) -> None:
    run(study, [raw(n) for n in range(12)], limit=5)
    kept = {r.key for r in rows(study)}
    run(study, [raw(n) for n in reversed(range(12))], limit=5)
    assert {r.key for r in rows(study)} == kept and len(kept) == 5
    run(study, [raw(n) for n in range(12)], limit=7)
    assert kept < {r.key for r in rows(study)}


def corrupt(study: Path) -> None:
    data = (study / "images" / "3.png").read_bytes()
    (study / "images" / "3.png").write_bytes(data[: len(data) // 2])
    (study / "images" / "4.png").write_bytes(b"no picture")
    (study / "images" / "5.png").unlink()


def test_bad_pictures_are_fatal_and_nothing_is_written(study: Path) -> None:
    corrupt(study)
    with pytest.raises(BadInput) as error:
        run(study, [raw(n) for n in range(12)])
    text = str(error.value)
    assert all(f"records.jsonl:{n + 1} (r{n})" in text for n in (3, 4, 5)) and "no such file" in text
    assert "bad_images: exclude" in text and "(r6)" not in text
    assert not list((study / "seeds").iterdir())


def test_bad_pictures_are_left_out_and_counted_by_policy(study: Path) -> None:
    corrupt(study)
    report = run(study, [raw(n) for n in range(12)], bad_images="exclude")
    assert [(e["key"], e["reason"]) for e in report["excluded"]] == [
        ("r3", "does not open"),
        ("r4", "does not open"),
        ("r5", "missing"),
    ]
    assert report["records"] == 9 and len(rows(study)) == 9


@pytest.mark.parametrize("image", ["../secret.png", "link.png", "/etc/hostname"])
def test_a_path_that_leads_outside_is_never_a_matter_of_policy(study: Path, image: str) -> None:
    Image.new("RGB", (3, 3)).save(study / "secret.png")
    (study / "images" / "link.png").symlink_to(study / "secret.png")
    with pytest.raises(BadInput, match=r"inside seeds\.images_root"):
        run(study, [raw(0, image=image)], bad_images="exclude")


def test_a_link_that_stays_inside_is_fine(study: Path) -> None:
    (study / "images" / "link.png").symlink_to(study / "images" / "1.png")
    assert run(study, [raw(0, image="link.png")])["records"] == 1


@pytest.mark.parametrize("shards", [1, 2])
def test_two_records_with_one_key(study: Path, shards: int) -> None:
    with pytest.raises(BadInput) as error:
        run(study, [raw(0), raw(1), raw(2, id="r0")], shards=shards, heldout=0.5)
    assert "records.jsonl:3 (r0)" in str(error.value) and "record 1 again" in str(error.value)
    assert not list((study / "seeds").iterdir())


def test_hash_id_is_the_key_where_given(study: Path) -> None:
    run(study, [raw(0, hash_id="a"), raw(1, id="r0", hash_id="b")])
    assert {r.key for r in rows(study)} == {"a", "b"}


def test_up_to_twenty_problems_are_told_at_once(study: Path) -> None:
    bad = [raw(n, image="0.png", caption="", det=[]) for n in range(30)]
    with pytest.raises(BadInput) as error:
        run(study, bad[:3])
    assert error.value.found.startswith("3 problems:")
    with pytest.raises(BadInput) as error:
        run(study, bad)
    assert error.value.found.startswith("the first 20 problems:") and "(r19)" in str(error.value)
    assert "(r20)" not in str(error.value)


def test_one_problem_reads_as_itself(study: Path) -> None:
    with pytest.raises(BadInput) as error:
        run(study, [raw(0), raw(1, det=[{"label": "x", "bbox": [0.5, 0, 0.4, 1]}])])
    assert error.value.field == "det[0].bbox" and "records.jsonl:2 (r1)" in error.value.file


def test_no_record_and_no_folder(study: Path) -> None:
    with pytest.raises(BadInput, match="none that can be used"):
        run(study, [])
    (study / "records.jsonl").write_text(json.dumps(raw(0)))
    with pytest.raises(BadInput, match="no such folder"):
        audit(
            AuditSettings(seed=1), records=study / "records.jsonl", images_root=study / "nowhere", out=study / "seeds"
        )


def test_memory_holds_one_shard(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of a shard at a time: no list of all is ever made."""
    sizes = []
    real = auditing.write_rows

    def spy(path: Path, kind: str, values: Any) -> int:
        sizes.append(len(values) if isinstance(values, list) else None)
        return real(path, kind, values)

    monkeypatch.setattr(auditing, "write_rows", spy)
    run(study, [raw(n) for n in range(12)], shards=4, heldout=0.3)
    assert len(sizes) == 5 and sizes[-1] is None and max(s for s in sizes[:-1] if s is not None) < 12


def test_the_real_records_of_a_neighbour(tmp_path: Path) -> None:
    path = Path(__file__).parents[3] / "shared" / "data" / "coco_real" / "seeds.json"
    if not path.exists():
        pytest.skip("the forty real COCO records are not beside this checkout")
    audit(AuditSettings(seed=1, shards=1), records=path, images_root=None, out=tmp_path / "seeds")
    report = json.loads((tmp_path / "seeds" / "audit.json").read_text())
    assert (report["records"], report["caption_only"], report["without_image"]) == (40, 25, 40)
