"""Reading a benchmark's official files as rows to be answered.

Rows hold where their pictures are, not the pictures: a table of gigabytes is gone through once, and its rows are small.
"""

import ast
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pybase64
from PIL import Image

from mmevol.evaluate.prompts import Style, prompt, system
from mmevol.evaluate.scoring.inputs import COLUMNS, REFERENCE_LENGTH
from mmevol.evaluate.scoring.json_array import JsonArray, json_field
from mmevol.evaluate.tables import Place, TableRow, table_rows
from mmevol.records import BadInput

GAP = 10
"""Black pixels between pictures that are joined."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture in base64: the cell that holds it, and which one of the list there."""

    place: Place
    number: int

    def read_bytes(self) -> bytes:
        """The picture's file, as of a path."""
        return pybase64.b64decode(_listed(self.place.text())[self.number], validate=True)


GREY = (127, 127, 127)
"""What a picture is for those who are to answer without it."""

Source = Path | Encoded
"""Where a picture is: a file, or a cell of a table."""


def opened(source: Source) -> Image.Image:
    """The picture, in RGB."""
    with Image.open(io.BytesIO(source.read_bytes())) as image:
        return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class Row:
    """One question to a model.

    ``key``: what the prediction is filed under, unique in a benchmark. ``question``: as the file has it; ``text``: what is
    asked. ``echo``: the fields of the result file beside the answer, and ``field`` the one that takes it. ``system``: what the
    system message says beyond the model's own words.
    """

    key: str
    pictures: tuple[Source, ...]
    question: str
    text: str
    echo: dict[str, Any]
    field: str
    system: str = ""

    def shown(self, *, blind: bool) -> Image.Image | None:
        """The picture as a model sees it: with `blind` grey, in its size."""
        picture = self.picture()
        return Image.new("RGB", picture.size, GREY) if picture and blind else picture

    def result(self, answer: str) -> dict[str, Any]:
        """The line of the result file."""
        return self.echo | {self.field: answer}

    def picture(self) -> Image.Image | None:
        """The pictures as one: joined from left to right, `GAP` black pixels apart, centred; None without any."""
        images = [opened(source) for source in self.pictures]
        if len(images) < 2:
            return images[0] if images else None
        height = max(image.height for image in images)
        joined = Image.new("RGB", (sum(i.width for i in images) + GAP * (len(images) - 1), height))
        left = 0
        for each in images:
            joined.paste(each, (left, (height - each.height) // 2))
            left += each.width + GAP
        return joined


def rows(
    benchmark: str, folder: Path, style: Style = "plain", *, textual: bool = False, chat: str = ""
) -> Iterator[Row]:
    """The rows of a benchmark's folder in the order of its file, worded for a model of the layout `chat`.

    Rows of a table with pictures that have none are left out as the kit does, or kept if `textual`, as the authors of
    HallusionBench do. Raises `BadInput` for a missing or broken file or picture.
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
            yield from _table(benchmark, folder, style, textual, chat)


def vqa_prefix(questions: Path) -> str:
    """How the names of the pictures begin that VQA's questions name by number; COCO's test-dev asks about pictures of test."""
    kind, subtype = (str(json_field(questions, name)) for name in ("data_type", "data_subtype"))
    return f"COCO_{subtype.replace('test-dev', 'test')}_" if kind == "mscoco" else f"{kind}_{subtype}_"


def _bad(path: Path, field: str, found: str, expected: str) -> BadInput:
    return BadInput(
        file=str(path), field=field, found=found, expected=expected, remedy="use the benchmark's official files"
    )


def read_json(path: Path) -> Any:
    """A benchmark's JSON file. Raises `BadInput`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise _bad(path, "(file)", str(error), "a JSON file") from error


def picture_file(folder: Path, address: str) -> Path:
    """The file of a picture that is named by its address, or by a path. Raises `BadInput` where it is not there."""
    return _file(folder, address.rsplit("/", 1)[-1])


def _file(folder: Path, name: str) -> Path:
    """A picture file below ``images``, whatever the usual suffix."""
    for suffix in ("", ".jpg", ".png", ".jpeg"):
        path = folder / "images" / (name + suffix)
        if path.is_file():
            return path
    raise _bad(folder / "images" / name, "image", "no such file", "the picture, as .png or .jpg")


def _table(benchmark: str, folder: Path, style: Style, textual: bool, chat: str) -> Iterator[Row]:
    path = folder / "data.tsv"
    read = [
        (row.cells["index"], _shown(folder, row), {k: v for k, v in row.cells.items() if k != "image"})
        for row in table_rows(path, COLUMNS[benchmark])
        if textual or row.cells.get("image", "shown")
    ]
    held = {index: shown for index, shown, _ in read}
    for index, shown, cells in read:
        if isinstance(shown, str):
            pictures = held.get(shown)
            if pictures is None or isinstance(pictures, str):
                raise _bad(path, f"image of {index}", shown, "base64, or the index of a row that holds some")
            shown = pictures
        yield Row(
            key=index,
            pictures=shown,
            question=cells["question"],
            text=prompt(benchmark, cells, style, chat),
            echo={"index": int(index) if index.lstrip("-").isdigit() else index},
            field="prediction",
            system=system(benchmark, cells, len(shown), style),
        )


def _shown(folder: Path, row: TableRow) -> tuple[Source, ...] | str:
    """A row's pictures, in base64 or in files, one or a list of them; or the index of the row that holds them."""
    if image := row.cells.get("image"):
        if len(image) <= REFERENCE_LENGTH:
            return image
        try:
            for text in (encoded := _listed(image)):
                pybase64.b64decode(text, validate=True)
        except (ValueError, SyntaxError) as error:
            raise _bad(row.file, f"image of {row.cells['index']}", str(error), "base64") from error
        place = row.place("image")
        return tuple(Encoded(place, number) for number in range(len(encoded)))
    if path := row.cells.get("image_path"):
        return tuple(_file(folder, name) for name in _listed(path))
    return ()


def _listed(cell: str) -> list[str]:
    """A cell's texts: a list, if it is written as one."""
    return [str(each) for each in ast.literal_eval(cell)] if cell.startswith("[") and cell.endswith("]") else [cell]


def _vqa(folder: Path, style: Style) -> Iterator[Row]:
    path = folder / "questions.json"
    prefix = vqa_prefix(path)
    for question in JsonArray(path, "questions"):
        yield Row(
            key=str(question["question_id"]),
            pictures=(_file(folder, f"{prefix}{question['image_id']:012d}"),),
            question=question["question"],
            text=prompt("VQA_v2", question, style),
            echo={"question_id": question["question_id"]},
            field="text",
        )


def _gqa(folder: Path, style: Style) -> Iterator[Row]:
    for key, question in read_json(folder / "questions.json").items():
        text = prompt("GQA", question, style)
        yield Row(key, (_file(folder, question["imageId"]),), question["question"], text, {"question_id": key}, "text")


def _mia(folder: Path, style: Style) -> Iterator[Row]:
    """Results are aligned by position; pictures are looked for by the last part of their address."""
    for number, item in enumerate(read_json(folder / "questions.json")):
        picture = picture_file(folder, item["image"])
        asked = item["instruction"]
        echo = {"question_id": item["image"], "prompt": asked, "image": picture.name}
        yield Row(str(number), (picture,), asked, prompt("MIA-Bench", item, style), echo, "text")


def _self_instruct(folder: Path, style: Style) -> Iterator[Row]:
    """Question ids are a task's own."""
    for item in read_json(folder / "questions.json"):
        yield Row(
            key=f"{item['source']}/{item['question_id']}",
            pictures=(_file(folder, item["image"].removeprefix("images/")),),
            question=item["question"],
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
