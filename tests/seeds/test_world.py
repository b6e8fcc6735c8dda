"""The drawn world: repeatable, exact, legible, and its questions right."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mmevol.config.commands import DrawSettings
from mmevol.seeds import world
from mmevol.teacher.execute import Run, Scene
from mmevol.teacher.grammar import parse
from PIL import Image


def drawn(folder: Path, **changes: Any) -> list[dict[str, Any]]:
    world.draw(
        DrawSettings(**{"seed": 7, "images": 60} | changes), records=folder / "r.jsonl", images=folder / "images"
    )
    return [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]


def test_same_seed_same_bytes_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        drawn(tmp_path / name, seed=seed)
    read = {n: [p.read_bytes() for p in sorted((tmp_path / n).rglob("*.*"))] for n in "abc"}
    assert read["a"] == read["b"]
    assert not set(read["a"]) & set(read["c"])


def test_a_longer_series_begins_with_the_shorter_one(tmp_path: Path) -> None:
    assert drawn(tmp_path / "long", images=60)[:20] == drawn(tmp_path / "short", images=20)


def test_scenes_of_a_full_study_are_distinct_and_within_bounds() -> None:
    looks = Counter()  # type: ignore[var-annotated]
    for things in world.scenes(DrawSettings(seed=7, images=1500)):
        assert 2 <= len(things) <= 7
        looks[tuple((t.cell, t.size, t.color, t.shape, t.text) for t in things)] += 1
        boxes = [(t.left, t.top, t.left + t.side, t.top + t.side) for t in things]
        for at, (x1, y1, x2, y2) in enumerate(boxes):
            assert 0 <= x1 < x2 <= 80 and 0 <= y1 < y2 <= 80
            assert all(x2 <= a1 or a2 <= x1 or y2 <= b1 or b2 <= y1 for a1, b1, a2, b2 in boxes[:at])
    assert max(looks.values()) == 1


def test_a_scene_seen_before_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    real = world.scene
    monkeypatch.setattr(world, "scene", lambda seed, index, attempt, size: real(seed, 0, attempt, size))
    first, second = world.scenes(DrawSettings(seed=7, images=2))
    assert (first, second) == (real(7, 0, 0, 80), real(7, 0, 1, 80))


@pytest.mark.parametrize("size", [80, 160])
def test_boxes_are_those_of_the_pixels(tmp_path: Path, size: int) -> None:
    """Every box is filled to its edges with its thing, and nothing is drawn outside the boxes."""
    for record in drawn(tmp_path, images=25, image_size=size):
        image = Image.open(tmp_path / "images" / record["image"]).convert("RGB")
        ground = image.getpixel((0, 0))
        if any(o["bbox"][:2] == [0, 0] for o in record["det"]):
            continue  # the corner belongs to a thing
        inked = Image.new("1", image.size)
        inked.putdata(
            [255 * (sum(abs(a - b) for a, b in zip(p, ground, strict=True)) > 30) for p in image.get_flattened_data()]
        )
        for entry in record["det"]:
            box = tuple(round(c * size) for c in entry["bbox"])
            inside = inked.crop(box).getbbox()
            assert inside is not None
            reach = max(inside[0], inside[1], box[2] - box[0] - inside[2], box[3] - box[1] - inside[3])
            assert reach <= size / 80  # a tip's last pixel may be too faint
            inked.paste(0, box)
        assert inked.getbbox() is None


def test_letters_are_at_least_eight_pixels_high(tmp_path: Path) -> None:
    heights = {glyph: len(rows.split("|")) for glyph, rows in world.GLYPHS.items()}
    assert set(heights.values()) == {world.GLYPH_HEIGHT} and world.GLYPH_HEIGHT >= 8
    assert len(set(world.GLYPHS.values())) == len(world.GLYPHS)
    assert not set("ABCD") & set(world.GLYPHS)  # these name options
    with pytest.raises(ValueError, match="greater than or equal to 80"):
        DrawSettings(seed=7, image_size=64)
    for record in drawn(tmp_path):
        image = Image.open(tmp_path / "images" / record["image"]).convert("RGB")
        if (255, 255, 255) in (image.getpixel((0, 0)), image.getpixel((79, 79))):
            continue  # ground and ink are alike
        for entry in record["det"]:
            if not entry["attributes"].get("text"):
                continue
            ink = (0, 0, 0) if entry["attributes"]["color"] == "yellow" else (255, 255, 255)
            crop = image.crop(tuple(round(c * 80) for c in entry["bbox"]))
            rows = {i // crop.width for i, pixel in enumerate(crop.get_flattened_data()) if pixel == ink}
            assert max(rows) - min(rows) + 1 == 8


def test_seed_questions_are_one_or_two_of_many_kinds_and_right(tmp_path: Path) -> None:
    records = drawn(tmp_path, images=400)
    counts = Counter(len(r["conversations_v0"]) for r in records)
    assert set(counts) == {0, 1, 2}
    assert counts[0] / 400 == pytest.approx(0.2, abs=0.06)
    starts, said = Counter(), Counter()  # type: ignore[var-annotated]
    for record in records:
        scene = Scene([world_object(entry) for entry in record["det"]])
        for qa in record["conversations_v0"]:
            question = parse(qa["question"], scene.plurals)
            assert question is not None, qa["question"]
            assert Run(scene).answer(question.program) == qa["answer"]
            starts[" ".join(qa["question"].split()[:2])] += 1
            if qa["question"].startswith("Is there"):
                said[qa["answer"]] += 1
    assert set(starts) == {"What color", "How many", "Is there", "What is", "What letters", "Where is", "What shape"}
    assert 0.4 < said["Yes"] / said.total() < 0.6


def world_object(entry: dict[str, Any]) -> Any:
    from mmevol.records import Object

    return Object.model_validate(entry)


def test_captions_name_everything_once(tmp_path: Path) -> None:
    numbers = {"a": 1} | {word: n for n, word in enumerate(world.NUMBERS)}
    for record in drawn(tmp_path):
        first = record["caption"][1]["value"].split(". ")[0].removeprefix("The image shows ").rstrip(".")
        parts = first.replace(" and ", ", ").split(", ")
        assert sum(numbers[part.split()[0]] for part in parts) == len(record["det"])
        for entry in record["det"]:
            assert f"{entry['attributes']['size']} {entry['attributes']['color']} {entry['label']}" in first
