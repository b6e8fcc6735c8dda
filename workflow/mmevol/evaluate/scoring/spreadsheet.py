"""What a result table suffers on its way through a spreadsheet, as the kit reads it back before scoring.

Source: the kit writes predictions with the dataset's columns to an .xlsx file and scores what it reads from there.
Cells that spell a missing value vanish, columns of numbers become numbers, odd characters are rewritten.
"""

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

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*|[+-]?inf(?:inity)?", re.IGNORECASE)
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f]")


def column_from_text(cells: Sequence[str]) -> list[Cell]:
    """A column of a TSV file: numbers where every cell that is not missing is a number, else text."""
    present = [cell for cell in cells if cell not in MISSING]
    if present and all(map(_is_number, present)):
        return [None if cell in MISSING else _number(cell) for cell in cells]
    return [None if cell in MISSING else cell for cell in cells]


def column_read_back(cells: Sequence[Cell], formulas: bool = False) -> list[Cell]:
    """A column after it was written to a spreadsheet and read from it.

    A number written is read as int where it is whole. If then all cells that are there are numbers or texts of
    numbers, the column is ints, or floats as soon as one is no int or one is missing. ``formulas``: a text that
    begins with ``=`` is written as a formula and reads 0.
    """
    read = [_cell(cell, formulas) for cell in cells]
    present = [cell for cell in read if cell is not None]
    if not all(not isinstance(cell, str) or _is_number(cell) for cell in present):
        return read
    numbers = [None if cell is None else _number(cell) if isinstance(cell, str) else cell for cell in read]
    if len(present) == len(read) and all(isinstance(number, int) for number in numbers):
        return list(numbers)
    return [None if number is None else float(number) for number in numbers]


def text(cell: Cell) -> str:
    """A cell as the kit turns it into text: a missing one is ``nan``."""
    return "nan" if cell is None else str(cell)


def _is_number(cell: str) -> bool:
    """Whether a text reads as a number; integers beyond 64 bits stay text."""
    if _INTEGER.fullmatch(cell):
        return len(cell.strip()) <= 21 and -(2**63) <= int(cell) < 2**64
    return _NUMBER.fullmatch(cell) is not None


def _number(cell: str) -> int | float:
    return int(cell) if _INTEGER.fullmatch(cell) else float(cell)


def _cell(cell: Cell, formulas: bool) -> Cell:
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() else cell
    if not isinstance(cell, str):
        return cell
    if formulas and cell.startswith("="):
        return 0
    cut = _CONTROL.sub(lambda found: f"_x{ord(found[0]):04X}_", cell[:LONGEST])
    return None if cut in MISSING else cut
