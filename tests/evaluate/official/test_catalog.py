"""The tables: every benchmark, well-formed addresses and checksums, each with the place that it is from."""

import re
from urllib.parse import urlsplit

import pytest
from mmevol.config import BENCHMARKS
from mmevol.evaluate.official.catalog import official, read, splits
from mmevol.evaluate.scoring.inputs import FILES, NEEDS
from mmevol.records import BadInput


def test_every_benchmark_has_its_row_and_what_it_needs() -> None:
    rows = read("benchmarks.tsv")
    assert list(dict.fromkeys(row["benchmark"] for row in rows)) == list(BENCHMARKS)
    for row in rows:
        assert int(row["rows"]) > 0 and all(row[name] for name in ("split", "task", "prompt", "metric", "page"))
        assert row["licence"] or "licence" in row["note"], row["benchmark"]
    for name in BENCHMARKS:
        parts = {file.part for file in official(name)}
        assert parts <= {*FILES, "images"}
        # test-dev has no annotations, MMSInst's questions are made of what its archive holds
        assert set(NEEDS[name]) - {"predictions", "annotations"} <= parts
    assert {file.part for file in official("VQA_v2", "val")} == {"questions", "annotations", "images"}
    assert splits("VQA_v2") == ["test-dev", "val"]


@pytest.mark.parametrize("row", read("files.tsv"), ids=lambda row: f"{row['benchmark']}-{row['split']}-{row['part']}")
def test_every_checksum_says_where_it_is_from(row: dict[str, str]) -> None:
    for name, digits in (("md5", 32), ("md5_before", 32), ("sha256", 64)):
        assert re.fullmatch(rf"([0-9a-f]{{{digits}}})?", row[name])
        assert not row[name] or name in row["checksum_source"] + row["note"]
    assert not row["bytes"] or "bytes" in row["checksum_source"]
    assert row["checksum_source"] or re.search("no checksum|each picture", row["note"])
    for address in filter(None, (row["url"], row["mirror"])):
        assert urlsplit(address).scheme in ("http", "https") and urlsplit(address).path
    assert not row["path"].startswith("/") and ".." not in row["path"].split("/")


def test_names_that_are_not_known() -> None:
    with pytest.raises(BadInput, match="MMStar"):
        official("MMstar")
    with pytest.raises(BadInput, match="test-dev, val"):
        official("VQA_v2", "train")
