"""What a spreadsheet does to cells: the specification's examples, and what pandas 2.1, xlsxwriter and openpyxl did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.evaluate.scoring.spreadsheet import MISSING, column_from_text, column_read_back, text


def trip(*cells: str) -> list[object]:
    return list(column_read_back(column_from_text(cells)))


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["16", "7"], [16, 7]),
        (["16", ""], [16.0, None]),
        (["16.0", "7.0"], [16, 7]),
        (["16.5", "7"], [16.5, 7.0]),
        (["16", "cat"], ["16", "cat"]),
        (["007", "+5"], [7, 5]),
        (["1_0", "2"], ["1_0", "2"]),
        (["9" * 5000, "2"], ["9" * 5000, "2"]),
        ([str(2**64), "2"], [str(2**64), "2"]),
        ([str(2**64 - 1), "2"], [18446744073709549568, 2]),
        (["0.30000000000000004", "1e16"], [0.3, 1e16]),
        (["1e22", "1e22"], [1e22, 1e22]),
        (["1e400", "2"], ["1e400", "2"]),
        (["\xa05", "\x1f5"], ["\xa05", "_x001F_5"]),
        (["TRUE", "false"], [True, False]),
        (["true", ""], [1.0, None]),
        (["true", "cat"], ["true", "cat"]),
        (["\ufffe", "_x0007_", "ax005F_b"], ["_xFFFE_", "_x0007_", "ab"]),
        (["mailto:a@b", "internal:S", "external:a/b", "http://x.y"], ["a@b", "S", "a\\b", "http://x.y"]),
        (["http://" + "x" * 2072, "y"], ["http://" + "x" * 2072, "y"]),
        (["http://" + "x" * 2073, "1e3"], [None, 1000.0]),
        (["None", "N/A"], [None, None]),
        (["none", "nan "], ["none", "nan "]),
        (["null", "x"], [None, "x"]),
        (["a\rb", "c\x07"], ["a_x000D_b", "c_x0007_"]),
        (["=1+1", "x"], ["=1+1", "x"]),
        (["x" * 40000, "y"], ["x" * 32767, "y"]),
        (["a\nb", "\t"], ["a\nb", "\t"]),
    ],
)
def test_columns(cells: list[str], read: list[object]) -> None:
    found = trip(*cells)
    assert found == read and [type(cell) for cell in found] == [type(cell) for cell in read]


def test_predictions_are_texts_until_all_are_numbers() -> None:
    assert column_read_back(["007", "3"]) == [7, 3]
    assert column_read_back(["3.0", "4.0"]) == [3.0, 4.0] and text(column_read_back(["3.0", "4.0"])[0]) == "3.0"
    assert column_read_back(["3", None]) == [3.0, None] and text(None) == "nan"
    assert column_read_back(["3", "three"]) == ["3", "three"]
    assert column_read_back(["=SUM(1)", "{=1}", "x"], formulas=True) == [0, 0, "x"]
    assert column_read_back(["=", "3.5"], formulas=True) == [0.0, 3.5]
    assert column_read_back(["TRUE", "False"]) == [True, False] and column_read_back(["TRUE", None]) == [True, None]
    assert column_read_back([]) == []


@given(st.lists(st.sampled_from(sorted(MISSING)) | st.text(max_size=5), max_size=8))
def test_missing_is_missing_and_texts_stay(cells: list[str]) -> None:
    found = trip(*cells, "text")
    assert [cell is None for cell in found] == [cell in MISSING for cell in cells] + [False]
    plain = [cell for cell in cells if cell.isalnum() and cell.isascii() and cell not in MISSING]
    assert all(cell in found for cell in plain)
