"""A study of a data builder: a file of records, some with pictures, one with markup in its texts, asked of the scripted server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmevol.config.resolve import resolve
from mmevol.config.study import Study
from PIL import Image
from scripted import Server

MARKUP = '<script>alert("x")</script><img src=x onerror=alert(1)>'
RECORDS = 30

Make = Callable[..., Study]


def raw(i: int) -> dict[str, Any]:
    """A record as a builder has it: every third has only a caption, the others one to three Q&A."""
    entry: dict[str, Any] = {
        "id": f"rec-{i}",
        "image": f"{i % 5}.png",
        "caption": f"a red cup and a blue lamp, seen {i} times",
    }
    entry["det"] = [
        {"label": "cup", "bbox": [0.1, 0.2, 0.3, 0.4]},
        {"label": f"lamp {MARKUP}", "bbox": [0.5, 0.5, 0.9, 0.8]},
    ]
    if i % 3:
        entry["conversations_v0"] = [{"question": f"What is {n}? {MARKUP}", "answer": "a cup"} for n in range(i % 3)]
    return entry


@pytest.fixture
def study(tmp_path: Path, server: Server, replies: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the study; its results lie in the test's folder."""
    monkeypatch.setenv("MMEVOL_RESULTS", str(tmp_path / "results"))
    images = tmp_path / "images"
    images.mkdir()
    for i in range(5):
        Image.new("RGB", (60 + 200 * i, 100), (50 * i, 90, 120)).save(images / f"{i}.png")
    (tmp_path / "seeds.json").write_text(json.dumps([raw(i) for i in range(RECORDS)]))

    def make(seeds: dict[str, Any] | None = None, evolve: dict[str, Any] | None = None, **evolver: Any) -> Study:
        endpoint = {"base_url": server.base_url, "model": "scripted", "timeout": 5, "patience": 5, "concurrency": 8}
        value = {
            "study": "mine",
            "seed": 3,
            "endpoints": {
                "evolver": endpoint | evolver,
                "judge": {"same_as": "evolver", "temperature": 0},
                "other": {"same_as": "judge", "model": "other"},
            },
            "seeds": {"source": str(tmp_path / "seeds.json"), "images_root": str(images), "curate": {}} | (seeds or {}),
            "evolve": {"shards": 2, "evolutions": {"full": {"rounds": 2}}} | (evolve or {}),
        }
        return resolve(value, "mine.yaml")

    return make
