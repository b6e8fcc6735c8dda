"""Reading a benchmark's official files as rows to be answered."""

import ast
import base64
import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mmevol.evaluate.prompts import Style, prompt
from mmevol.evaluate.scoring.inputs import COLUMNS, REFERENCE_LENGTH
from mmevol.records import BadInput

GAP = 10
"""Black pixels between pictures that are joined."""

Source = Path | bytes
"""Where a picture is: a file, or its bytes."""


@dataclass(frozen=True)
class Row:
    """One question to a model.

    ``key``: what the prediction is filed under, unique in a benchmark. ``echo``: the fields of the result file beside the answer,
    and ``field`` the one that takes it.
    """

    key: str
    pictures: tuple[Source, ...]
    text: str
    echo: dict[str, Any]
    field: str

    def result(self, answer: str) -> dict[str, Any]:
        """The line of the result file."""
        return self.echo | {self.field: answer}

    def picture(self) -> Image.Image | None:
        """The pictures as one: joined from left to right, `GAP` black pixels apart, centred; None without any."""
        opened: list[Image.Image] = []
        for source in self.pictures:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                opened.append(image.convert("RGB"))
        if len(opened) < 2:
            return opened[0] if opened else None
        height = max(image.height for image in opened)
        joined = Image.new("RGB", (sum(i.width for i in opened) + GAP * (len(opened) - 1), height))
        left = 0
        for each in opened:
            joined.paste(each, (left, (height - each.height) // 2))
            left += each.width + GAP
        return joined


def rows(benchmark: str, folder: Path, style: Style) -> Iterator[Row]:
    """The rows of a benchmark's folder in the order of its file.

    Raises `BadInput` for a missing or broken file or picture.
    """
    match benchmark:
        case "VQA_v2":
            yield from _vqa(folder, style)
        case "GQA":
            yield from _gqa(folder, style)
        case "MIA-Bench":
            yield from _mia(folder, style)
        case "MMSInst":
            yield from _self_instruct(folder, style)
        case _:
            yield from _table(benchmark, folder, style)


def _bad(path: Path, field: str, found: str, expected: str) -> BadInput:
    return BadInput(
        file=str(path), field=field, found=found, expected=expected, remedy="use the benchmark's official files"
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise _bad(path, "(file)", str(error), "a JSON file") from error


def _file(folder: Path, name: str) -> Path:
    """A picture file below ``images``, whatever the usual suffix."""
    for suffix in ("", ".png", ".jpg", ".jpeg"):
        path = folder / "images" / (name + suffix)
        if path.is_file():
            return path
    raise _bad(folder / "images" / name, "image", "no such file", "the picture, as .png or .jpg")


def _cells(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(sys.maxsize)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, delimiter="\t")
    except OSError as error:
        raise _bad(path, "(file)", str(error), "the benchmark's table") from error


def _table(benchmark: str, folder: Path, style: Style) -> Iterator[Row]:
    path = folder / "data.tsv"
    held: dict[str, str] = {}
    for number, cells in enumerate(_cells(path), 2):
        if missing := [name for name in COLUMNS[benchmark] if cells.get(name) is None]:
            raise _bad(path, missing[0], f"line {number} has none", f"columns {', '.join(COLUMNS[benchmark])}")
        index = cells["index"]
        yield Row(
            key=index,
            pictures=_pictures(folder, cells, held),
            text=prompt(benchmark, cells, style),
            echo={"index": int(index) if index.lstrip("-").isdigit() else index},
            field="prediction",
        )


def _pictures(folder: Path, cells: Mapping[str, str], held: dict[str, str]) -> tuple[Source, ...]:
    """A row's pictures: base64, a list of it, the index of an earlier row (`held`: what each row holds), or paths."""
    if image := cells.get("image"):
        if len(image) <= REFERENCE_LENGTH and image in held:
            image = held[image]
        held[cells["index"]] = image
        encoded = ast.literal_eval(image) if image.startswith("[") else [image]
        try:
            return tuple(base64.b64decode(text, validate=True) for text in encoded)
        except ValueError as error:
            raise _bad(folder / "data.tsv", f"image of {cells['index']}", str(error), "base64") from error
    if path := cells.get("image_path"):
        names = ast.literal_eval(path) if path.startswith("[") else [path]
        return tuple(_file(folder, name) for name in names)
    return ()


def _vqa(folder: Path, style: Style) -> Iterator[Row]:
    read = _json(folder / "questions.json")
    prefix = "COCO" if read["data_type"] == "mscoco" else read["data_type"]
    for question in read["questions"]:
        yield Row(
            key=str(question["question_id"]),
            pictures=(_file(folder, f"{prefix}_{read['data_subtype']}_{question['image_id']:012d}"),),
            text=prompt("VQA_v2", question, style),
            echo={"question_id": question["question_id"]},
            field="text",
        )


def _gqa(folder: Path, style: Style) -> Iterator[Row]:
    for key, question in _json(folder / "questions.json").items():
        text = prompt("GQA", question, style)
        yield Row(key, (_file(folder, question["imageId"]),), text, {"question_id": key}, "text")


def _mia(folder: Path, style: Style) -> Iterator[Row]:
    """Results are aligned by position; pictures are looked for by the last part of their address."""
    for number, item in enumerate(_json(folder / "questions.json")):
        picture = _file(folder, item["image"].rsplit("/", 1)[-1])
        text = prompt("MIA-Bench", item, style)
        echo = {"question_id": item["image"], "prompt": item["instruction"], "image": picture.name}
        yield Row(str(number), (picture,), text, echo, "text")


def _self_instruct(folder: Path, style: Style) -> Iterator[Row]:
    for item in _json(folder / "questions.json"):
        yield Row(
            key=str(item["question_id"]),
            pictures=(_file(folder, item["image"].rsplit("/", 1)[-1]),),
            text=prompt("MMSInst", item, style),
            echo={
                "question_id": item["question_id"],
                "prompt": item["question"],
                "truth": item["answer"],
                "type": item["type"],
                "markers": item.get("markers", []),
                "source": item["source"],
            },
            field="text",
        )
