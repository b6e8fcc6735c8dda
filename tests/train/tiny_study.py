"""A dozen small records with pictures, their evolved dataset, and the settings of a minute model."""

from dataclasses import dataclass
from pathlib import Path

from mmevol.config.train import TinyModel
from mmevol.records import QA, Object, SeedRecord
from mmevol.store import file_digest
from PIL import Image, ImageDraw

MODEL = TinyModel(vocabulary=320, width=32, layers=1, heads=2, tower_width=32, tower_layers=1, max_length=200, turns=3)
COLORS = {"red": (200, 30, 30), "blue": (30, 30, 200), "green": (30, 160, 60)}


@dataclass(frozen=True)
class Study:
    """A dozen records with pictures, one without, and an evolved dataset of theirs."""

    shards: list[Path]
    evolved: dict[str, Path]
    images: Path
    base: Path


def record(number: int, images: Path) -> SeedRecord:
    names = list(COLORS)
    color, other = names[number % 3], names[(number + 1) % 3]
    picture = Image.new("RGB", (80, 80), (245, 245, 245))
    left = 20 * (number % 4) + 2
    ImageDraw.Draw(picture).rectangle((left, 22, left + 14, 36), fill=COLORS[color])
    ImageDraw.Draw(picture).rectangle((2, 62, 16, 76), fill=COLORS[other])
    name = f"{number:02d}.png"
    picture.save(images / name)
    boxes = [(left / 80, 22 / 80, (left + 15) / 80, 37 / 80), (2 / 80, 62 / 80, 17 / 80, 77 / 80)]
    return SeedRecord(
        key=f"{number:02d}",
        id=name,
        image=name,
        image_digest=file_digest(images / name),
        width=80,
        height=80,
        caption=f"A {color} square above a {other} square.",
        objects=[
            Object(label="square", bbox=b, attributes={"color": c}) for b, c in zip(boxes, (color, other), strict=True)
        ],
        qas=[
            QA(question="What color is the upper square?", answer=color),
            QA(question="How many squares are there?", answer="2"),
        ][: 1 + number % 2],
    )


def evolved(record: SeedRecord, round_: int) -> dict[str, object]:
    empty = {"prompt": "", "model": "", "source": "", "licence": "", "attribution": "", "reason": ""}
    lists: dict[str, list[object]] = {"objects": [], "skills": [], "steps": [], "verdicts": []}
    return (
        empty
        | lists
        | {
            "id": f"{record.key}-{round_}",
            "line": record.key,
            "record": record.key,
            "parent": "",
            "round": round_,
            "direction": "interactive" if round_ == 1 else "reasoning",
            "outcome": "eliminated" if record.key == "03" else "survived",
            "question": f"Which color does the upper square have in round {round_}?",
            "answer": record.qas[0].answer,
            "format": "multiple choice",
            "options": list(COLORS),
            "image": record.image,
            "caption": record.caption,
        }
    )
