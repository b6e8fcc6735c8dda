"""What a result table suffers on its way through a spreadsheet, as the kit reads it back before scoring.

Source: the kit writes predictions with the dataset's columns to an .xlsx file (pandas, xlsxwriter) and scores what it
reads from there (openpyxl). Cells that spell a missing value vanish, columns of numbers become numbers, odd characters
are rewritten, links lose their scheme.
"""

import math
import re
from collections.abc import Sequence

Cell = int | float | str | None
"""A cell as read: None is missing."""

MISSING = frozenset(
    (
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    )
)
"""Texts that are read as missing (pandas from 2.0)."""

LONGEST = 32767
"""Characters that a spreadsheet cell can hold."""

LONGEST_LINK = 2079
"""UTF-16 units that a link can hold before its ``#`` and after it; the cell of a longer one stays empty."""

_BLANK = r"[ \t\n\v\f\r]*"
_NUMBER = re.compile(
    rf"{_BLANK}[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?{_BLANK}|[+-]?inf(?:inity)?", re.IGNORECASE
)
_INTEGER = re.compile(rf"{_BLANK}[+-]?[0-9]+{_BLANK}")
_TRUTHS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_ESCAPED = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_LINK = re.compile("(?:ftp|http)s?://|mailto:|internal:|external:|file://")


def column_from_text(cells: Sequence[str]) -> list[Cell]:
    """A column of a TSV file: numbers or truth values where every cell that is not missing is one, else text.

    Numbers are ints, or floats as soon as one is no int or one is missing.
    """
    return _typed([None if cell in MISSING else cell for cell in cells])


def column_read_back(cells: Sequence[Cell], formulas: bool = False) -> list[Cell]:
    """A column after it was written to a spreadsheet and read from it.

    A number written is read as int where it is whole; the column is then typed as one from text, but that truth
    values beside missing cells are numbers too. ``formulas``: a text that begins with ``=`` is written as a formula and reads 0.
    """
    read = [_cell(cell, formulas) for cell in cells]
    if any(isinstance(cell, bool) for cell in read) and None not in read:
        return read
    return _typed(read)


def _typed(cells: list[Cell]) -> list[Cell]:
    numbers = _numbers(cells)
    if numbers is None:
        return _truths(cells) or cells
    if all(isinstance(number, int) and -(2**63) <= number < 2**64 for number in numbers):
        return numbers
    return [None if number is None else float(number) for number in numbers]


def text(cell: Cell) -> str:
    """A cell as the kit turns it into text: a missing one is ``nan``."""
    return "nan" if cell is None else str(cell)


def _numbers(cells: Sequence[Cell]) -> list[Cell] | None:
    """The cells as numbers, if all that are there are numbers or spell one."""
    if all(cell is None or not isinstance(cell, str) or _is_number(cell) for cell in cells):
        return [_number(cell) if isinstance(cell, str) else cell for cell in cells]
    return None


def _truths(cells: Sequence[Cell]) -> list[Cell] | None:
    """The cells as truth values, if all that are there spell one."""
    if all(cell is None or cell in _TRUTHS for cell in cells):
        return [None if cell is None else _TRUTHS[str(cell)] for cell in cells]
    return None


def _is_number(cell: str) -> bool:
    """Whether a text reads as a number; integers beyond 64 bits and floats beyond a double stay text."""
    if _INTEGER.fullmatch(cell):
        return len(cell.strip()) <= 21 and -(2**63) <= int(cell) < 2**64
    return _NUMBER.fullmatch(cell) is not None and ("n" in cell.lower() or math.isfinite(float(cell)))


def _number(cell: str) -> int | float:
    return int(cell) if _INTEGER.fullmatch(cell) else float(cell)


def _cell(cell: Cell, formulas: bool) -> Cell:
    """One cell written and read. Numbers are written with 16 digits."""
    if cell is None or isinstance(cell, bool):
        return cell
    if isinstance(cell, int | float):
        if not math.isfinite(cell):
            return str(cell)
        written = float(f"{cell:.16G}")
        return int(written) if written.is_integer() else written
    if formulas and (cell.startswith("=") or (cell.startswith("{=") and cell.endswith("}"))):
        return 0
    shown = _link_text(cell) if ":" in cell and _LINK.match(cell) else cell
    escaped = _ESCAPED.sub(lambda found: f"_x{ord(found[0]):04X}_", shown[:LONGEST])
    return None if escaped in MISSING else escaped.replace("x005F_", "")  # the reader drops what escapes an escape


def _link_text(link: str) -> str:
    """What the cell of a link shows, '' where it is too long to be one."""
    if any(len(part.encode("utf-16-le")) > 2 * LONGEST_LINK for part in link.split("#", 1)):
        return ""
    if link.startswith(("external:", "file://")):
        path = link.replace("external:", "file:///", 1).replace("file:///", "", 1).replace("file://", "", 1)
        return path.replace("/", "\\")
    return link.removeprefix("mailto:").removeprefix("internal:")
