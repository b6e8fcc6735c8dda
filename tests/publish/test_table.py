import csv
import html
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.publish.table import (
    Table,
    csv_text,
    html_text,
    markdown_text,
    read_table,
    tex_escape,
    tex_text,
    write_table,
)

nasty = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30)
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def table(*cells: str) -> Table:
    return Table("Title", ["name", *(f"c{i}" for i in range(len(cells)))], [["row", *cells]])


@given(nasty, nasty)
def test_csv_reads_back_and_runs_no_formula(a: str, b: str) -> None:
    read = list(csv.reader(io.StringIO(csv_text(table(a, b)))))
    for given_, found in zip((a, b), read[1][1:], strict=True):
        assert found == (f"'{given_}" if given_.startswith(DANGEROUS) else given_)
        assert not found.startswith(DANGEROUS)


def test_numbers_keep_their_minus_in_csv() -> None:
    text = csv_text(Table("T", ["a", "b", "c", "d"], [[-1, -0.5, 1 / 3, None]]))
    assert text == "a,b,c,d\n-1,-0.5,0.333333,\n"


@given(nasty)
def test_tex_has_no_active_character_of_the_text(text: str) -> None:
    escaped = tex_escape(text)
    bare = re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater)\{\}", "", escaped)
    bare = re.sub(r"\\[&%$#_{}]|\$\\?[A-Za-z−-]*\$|\$-\$", "", bare)
    assert not set(bare) & set("\\&%$#_{}~^")


def test_tex_is_one_line_a_row_and_a_bracket_opens_no_option() -> None:
    text = tex_text(Table("A\nB", ["x_1", "y"], [["a&b", "[0, 1]"]], ["50 %\nnext"]))
    assert r"x\_1 & y \\" in text and r"a\&b & {}[0, 1] \\" in text
    assert all(line.startswith(("%", "\\", "x", "a")) for line in text.splitlines())


@given(nasty)
def test_markdown_rows_keep_their_cells(text: str) -> None:
    row = markdown_text(table(text)).splitlines()[4]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3


@given(nasty)
def test_html_holds_text_only(text: str) -> None:
    page = html_text(table(text))
    assert html.escape(text, quote=False).replace('"', "&#34;").replace("'", "&#39;") in page
    assert page.count("<td") == 2 and "<script" not in page


def test_unknown_is_a_dash_and_numbers_stand_right() -> None:
    text = markdown_text(Table("T", ["", "n", "share"], [["a", 1234, 0.5], ["b", None, None]], ["note"]))
    assert "|---|---:|---:|" in text and "| a | 1,234 | 0.50 |" in text and "| b | – | – |" in text
    assert text.endswith("- note\n")


def test_a_row_of_the_wrong_width_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 cells under 1 columns"):
        Table("T", ["a"], [["b", "c"]])


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    data = Table("T", ["a", "b"], [["x", 1.0], ["y", None]])
    first = [p.read_bytes() for p in write_table(tmp_path / "one" / "t", data)]
    second = [p.read_bytes() for p in write_table(tmp_path / "two" / "t", data)]
    assert first == second and len(first) == 4
    assert read_table(tmp_path / "one" / "t.csv") == [{"a": "x", "b": "1.0"}, {"a": "y", "b": ""}]
