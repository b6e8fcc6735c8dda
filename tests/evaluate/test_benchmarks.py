"""Reading official files: every form that a picture comes in, and what is wrong said plainly."""

import base64
import io
import json
from pathlib import Path

import pytest
from mmevol.evaluate.benchmarks import GAP, Row, opened, rows
from mmevol.records import BadInput
from PIL import Image


def png(color: str, size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


def encoded(color: str, size: tuple[int, int] = (8, 6)) -> str:
    return base64.b64encode(png(color, size)).decode()


def tsv(folder: Path, header: list[str], *lines: list[str]) -> Path:
    (folder / "data.tsv").write_text("".join("\t".join(line) + "\n" for line in [header, *lines]))
    return folder


def colors(row: Row) -> list[tuple[int, ...]]:
    return [opened(source).getpixel((0, 0)) for source in row.pictures]  # type: ignore[misc]


def test_base64_reference_and_list(tmp_path: Path) -> None:
    red, green = encoded("red"), encoded("lime")
    tsv(
        tmp_path,
        ["index", "image", "question", "A", "B", "answer"],
        ["0", red, "Q?", "x", "y", "A"],
        ["1", "2", "Q?", "x", "y", "A"],
        ["2", f"['{red}', '{green}']", "Q?", "x", "y", "A"],
        ["a3", "0", "Q?", "x", "y", "A"],
        ["4", "", "Q?", "x", "y", "A"],
    )
    read = list(rows("MMStar", tmp_path, "plain", textual=True))
    assert [colors(row) for row in read] == [
        [(255, 0, 0)],
        [(255, 0, 0), (0, 255, 0)],
        [(255, 0, 0), (0, 255, 0)],
        [(255, 0, 0)],
        [],
    ]
    assert [row.result("B") for row in read[2:4]] == [
        {"index": 2, "prediction": "B"},
        {"index": "a3", "prediction": "B"},
    ]
    assert read[4].picture() is None
    assert [row.key for row in rows("MMStar", tmp_path, "plain")] == ["0", "1", "2", "a3"]


def test_several_pictures_stand_side_by_side(tmp_path: Path) -> None:
    cell = f"['{encoded('red', (8, 6))}', '{encoded('lime', (4, 12))}']"
    tsv(tmp_path, ["index", "image", "question", "answer", "category"], ["1", cell, "Q?", "A", "Jigsaw"])
    (row,) = rows("BLINK", tmp_path, "plain")
    picture = row.picture()
    assert picture is not None and picture.size == (8 + GAP + 4, 12)
    assert [picture.getpixel(at) for at in ((0, 0), (0, 3), (8, 5), (8 + GAP, 0))] == [
        (0, 0, 0),
        (255, 0, 0),
        (0, 0, 0),
        (0, 255, 0),
    ]


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "images" / "OCR").mkdir(parents=True)
    (tmp_path / "images" / "OCR" / "1.jpg").write_bytes(png("red"))
    tsv(tmp_path, ["index", "image_path", "category", "question", "answer"], ["0", "OCR/1.jpg", "OCR", "Q?", "Yes"])
    (row,) = rows("MME", tmp_path, "plain")
    assert colors(row) == [(255, 0, 0)]
    tsv(tmp_path, ["index", "image_path", "category", "question", "answer"], ["0", "OCR/2.jpg", "OCR", "Q?", "Yes"])
    with pytest.raises(BadInput, match="no such file"):
        list(rows("MME", tmp_path, "plain"))


def test_coco_names_and_gqa_ids(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("COCO_test2015_000000000100.jpg", "n7.png"):
        (tmp_path / "images" / name).write_bytes(png("red"))
    head = {"info": {}, "task_type": "Open-Ended", "data_type": "mscoco", "data_subtype": "test2015", "license": {}}
    asked = [{"image_id": 100, "question": "Q?", "question_id": 400001}]
    (tmp_path / "questions.json").write_text(json.dumps(head | {"questions": asked}))
    (row,) = rows("VQA_v2", tmp_path, "plain")
    assert row.result("x") == {"question_id": 400001, "text": "x"} and colors(row) == [(255, 0, 0)]
    (tmp_path / "questions.json").write_text(json.dumps({"20": {"question": "Q?", "imageId": "n7", "answer": "a"}}))
    (row,) = rows("GQA", tmp_path, "plain")
    assert row.result("x") == {"question_id": "20", "text": "x"}


def test_result_lines_of_the_json_benchmarks(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.jpg").write_bytes(png("red"))
    (tmp_path / "questions.json").write_text(
        json.dumps([{"image": "https://a.invalid/b/7.jpg", "instruction": "Do it."}])
    )
    (row,) = rows("MIA-Bench", tmp_path, "plain")
    assert row.result("x") == {
        "question_id": "https://a.invalid/b/7.jpg",
        "prompt": "Do it.",
        "image": "7.jpg",
        "text": "x",
    }
    item = {
        "question_id": 5,
        "image": "images/7.jpg",
        "question": "Q?",
        "answer": "12%",
        "type": "OCR",
        "source": "chart",
    }
    (tmp_path / "questions.json").write_text(json.dumps([item]))
    (row,) = rows("MMSInst", tmp_path, "plain")
    assert row.result("x") == {
        **{"question_id": 5, "prompt": "Q?", "truth": "12%", "type": "OCR", "markers": [], "source": "chart"},
        "text": "x",
    }


@pytest.mark.parametrize(
    ("header", "line", "found"),
    [
        (["index", "question"], ["0", "Q?"], "answer"),
        (["index", "question", "answer", "image"], ["0", "Q?", "A", "!" * 80], "image of 0"),
    ],
)
def test_a_broken_table(tmp_path: Path, header: list[str], line: list[str], found: str) -> None:
    with pytest.raises(BadInput, match=found):
        list(rows("MMStar", tsv(tmp_path, header, line), "plain"))


@pytest.mark.parametrize("name", ["MMStar", "VQA_v2", "GQA", "MIA-Bench", "MMSInst"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=str(tmp_path)):
        list(rows(name, tmp_path, "plain"))
