"""Reading: all formats give the same records, memory stays flat, and wrong records say what is wrong."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol.records import BadInput
from mmevol.seeds import reader

REFERENCE = {
    "id": "7",
    "image": "a/b.jpg",
    "hash_id": "0_a_b.jpg",
    "width": 640,
    "height": 480,
    "caption": [{"from": "human", "value": "<image>\nDescribe."}, {"from": "gpt", "value": "A Cat. "}],
    "det": [
        {"label": "cat", "bbox": [0.1, 0.2, 0.5, 1.0], "attributes": {"color": "black"}},
        {"label": "mat", "bbox": [0, 0, 1, 1]},
    ],
    "topic_name": "pets",
    "conversations_v0": [
        {
            "image_position": "single",
            "objects": [],
            "skills": [],
            "format": "Norm",
            "question": "Q?",
            "steps": [],
            "answer": "A",
        }
    ],
    "conversations_v1": [],
}
LLAVA = {
    "id": 8,
    "image": "c.jpg",
    "conversations": [
        {"from": "human", "value": "What is it?\n<image>"},
        {"from": "gpt", "value": "A dog."},
        {"from": "human", "value": "Where?"},
        {"from": "gpt", "value": "Outside."},
    ],
}


def raws(path: Path) -> list[dict[str, Any]]:
    return [raw for _, raw in reader.read(path)]


def write(path: Path, values: list[Any]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(values), path)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, values)) + "\n\n")
    else:
        path.write_text(json.dumps(values, indent=1))
    return path


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_the_reference_format_in_every_container(tmp_path: Path, suffix: str) -> None:
    (raw,) = raws(write(tmp_path / f"x{suffix}", [REFERENCE]))
    record = reader.record(raw, "x", licence="CC-BY-4.0")
    assert (record.key, record.id, record.caption, record.topics) == ("0_a_b.jpg", "7", "A Cat.", ["pets"])
    assert [(o.label, o.attributes) for o in record.objects] == [("cat", {"color": "black"}), ("mat", {})]
    assert [(qa.question, qa.answer, qa.format) for qa in record.qas] == [("Q?", "A", "Norm")]
    assert (record.licence, record.width, record.image_digest) == ("CC-BY-4.0", 640, None)


def test_plain_llava() -> None:
    record = reader.record(LLAVA, "x")
    assert record.key == "8" and record.caption == "" and record.licence == "unknown"
    assert [(qa.question, qa.answer) for qa in record.qas] == [("What is it?", "A dog."), ("Where?", "Outside.")]


def test_own_licence_and_plain_caption_win() -> None:
    record = reader.record({"id": "1", "caption": " A. ", "licence": "CC0-1.0"}, "x", licence="other")
    assert (record.caption, record.licence) == ("A.", "CC0-1.0")


@settings(max_examples=20, deadline=None)
@given(
    values=st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none()), max_size=5),
    chunk=st.integers(min_value=1, max_value=40),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)
def test_a_json_list_reads_as_json_does_whatever_the_chunk(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path_factory.mktemp("list") / "x.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")
    before, reader.CHUNK = reader.CHUNK, chunk
    try:
        assert raws(path) == json.loads(path.read_text(encoding="utf-8"))
    finally:
        reader.CHUNK = before


def test_a_big_list_takes_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "big.json"
    one = json.dumps(REFERENCE | {"padding": "x" * 2000})
    path.write_text("[" + ",".join([one] * 20_000) + "]")
    tracemalloc.start()
    assert sum(1 for _ in reader.read(path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 40e6 and peak < 10e6


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "''"),
        ('{"id": 1}', "'{\"id\": 1}'"),
        ('[{"id": 1}', "x.json:2"),
        ("[1]", "int '1'"),
        ('[{"a":}]', "x.json:1"),
        ("[12", "12"),
    ],
)
def test_a_broken_list(tmp_path: Path, text: str, found: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        raws(path)
    assert found in str(error.value)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1}\n{"id": \n')
    with pytest.raises(BadInput, match=r"x\.jsonl:2"):
        raws(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        raws(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"det": [{"label": "a", "bbox": [0.1, 0.2, 1.2, 0.4]}]}, "det[0].bbox"),
        ({"det": [{"label": "a", "bbox": [0, 0, 1, 1]}, {"label": "a", "bbox": [0.5, 0.2, 0.1, 0.4]}]}, "det[1].bbox"),
        ({"det": [{"label": "a", "bbox": [0.1, 0.2, 0.3]}]}, "det[0].bbox"),
        ({"det": [{"label": "a"}]}, "det[0].bbox"),
        ({"det": {}}, "det"),
        ({"hash_id": "", "id": ""}, "id"),
        ({"caption": [], "conversations_v0": []}, "conversations_v0, caption"),
        ({"conversations_v0": [{"question": "Q?"}]}, "conversations_v0[0].answer"),
        ({"conversations_v0": [{"question": "Q?", "answer": 3}]}, "conversations_v0[0].answer"),
        ({"conversations_v0": ["Q?"]}, "conversations_v0[0]"),
        ({"width": "wide"}, "width"),
        ({"caption": [{"from": "gpt", "value": "x"}]}, "caption"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as error:
        reader.record(REFERENCE | change, "file:3")
    assert error.value.field == field or error.value.field.startswith(field + ".")
    assert error.value.file == "file:3"


def test_turns_out_of_order() -> None:
    with pytest.raises(BadInput, match="human"):
        reader.record({"id": 1, "conversations": list(reversed(LLAVA["conversations"]))}, "x")  # type: ignore[call-overload]
