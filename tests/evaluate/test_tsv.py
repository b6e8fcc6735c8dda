"""Tables: what csv writes is read back, by whichever way, and every cell is found again where it stands."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.evaluate.tables import is_table, parts, table_digest, table_rows
from mmevol.records import BadInput

COLUMNS = ("index", "question", "image")
CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12) | st.text(
    "\"\t\n\r [x,'", max_size=6
)


def written(rows: list[tuple[str, ...]], end: str = "\r\n") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator=end).writerows([COLUMNS, *rows])
    return out.getvalue().encode()


@given(st.lists(st.tuples(CELL, CELL, CELL), max_size=5))
def test_what_csv_writes(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("table") / "t.tsv"
    path.write_bytes(written(rows))
    read = list(table_rows(path, COLUMNS))
    assert [tuple(row.cells.values()) for row in read] == rows
    for row in read:
        for name, cell in row.cells.items():
            assert not cell or row.place(name).text() == cell
    lines = path.read_bytes().split(b"\n")
    assert all(lines[row.line - 1] in row.raw for row in read)


def test_the_last_line_needs_no_end_and_blank_lines_are_none(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_bytes(b"index\tquestion\timage\n\n1\tq\ti\r\n\n2\tq\ti")
    assert [row.cells["index"] for row in table_rows(path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"index\tquestion\timage\n1\tq\n", "2 cells"),
        (b"index\tquestion\timage\n1\tq\r2\tq\ti\n", "new-line"),
        (b'index\tquestion\timage\n1\t"q\ti\n2\tq\ti\n', "2 cells"),
        (b"", r"\(none\)"),
    ],
)
def test_what_is_no_table(tmp_path: Path, body: bytes, found: str) -> None:
    (tmp_path / "t.tsv").write_bytes(body)
    with pytest.raises(BadInput, match=found):
        list(table_rows(tmp_path / "t.tsv", COLUMNS))


@pytest.mark.parametrize(
    "names", [["t_part0", "t_part1"], ["t_part_1", "t_part_2"], ["t-00000-of-00002", "t-00001-of-00002"]]
)
def test_parts(tmp_path: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (tmp_path / f"{name}.tsv").write_bytes(written([(str(number), "q", "i")], "\n"))
    path = tmp_path / "t.tsv"
    assert is_table(path) and [file.stem for file in parts(path)] == names
    assert [row.cells["index"] for row in table_rows(path)] == ["0", "1"]
    before = table_digest(path)
    (tmp_path / f"{names[1]}.tsv").write_bytes(b"index\timage\tquestion\n")
    assert table_digest(path) != before
    with pytest.raises(BadInput, match="those of the first part"):
        list(table_rows(path))


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "t-00000-of-00002.tsv").write_bytes(written([("0", "q", "i")]))
    with pytest.raises(BadInput, match="all of its parts"):
        parts(tmp_path / "t.tsv")


def test_ten_parts_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"t_part{number}.tsv").write_bytes(written([(str(number), "q", "i")]))
    assert [row.cells["index"] for row in table_rows(tmp_path / "t.tsv")] == [str(n) for n in range(11)]
    (tmp_path / "t_part7.tsv").unlink()
    with pytest.raises(BadInput, match="all of its parts"):
        parts(tmp_path / "t.tsv")
