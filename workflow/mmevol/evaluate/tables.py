"""Tables as the kit publishes them: tab-separated, one row a question, pictures of megabytes in a cell, in one file or in parts.

A table is read row by row; where a cell stands in its file is known, so that a picture need not be kept to be seen later.
"""

import csv
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mmevol.records import BadInput, digest
from mmevol.store import file_digest


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell stands in a file, in bytes, with its quotes if it has any."""

    file: Path
    start: int
    length: int

    def text(self) -> str:
        """What the cell says."""
        with open(self.file, "rb") as file:
            file.seek(self.start)
            raw = file.read(self.length).decode()
        return raw[1:-1].replace('""', '"') if raw.startswith('"') else raw


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row. ``line``: number of its first line in ``file``; ``cells``: by column, '' where empty."""

    file: Path
    line: int
    start: int
    raw: bytes
    cells: dict[str, str]

    def place(self, column: str) -> Place:
        """Where a cell that is not empty stands."""
        cell = self.cells[column]
        quoted = '"' + cell.replace('"', '""') + '"'
        for form in (quoted.encode(),) if cell.startswith('"') else (cell.encode(), quoted.encode()):
            if (at := self.raw.find(form)) >= 0:
                return Place(self.file, self.start + at, len(form))
        raise _bad(self.file, self.line, f"a cell {column} quoted in part", f"{column} quoted whole or not at all")


def _beside(path: Path) -> dict[Path, re.Match[str]]:
    pattern = re.compile(rf"{re.escape(path.stem)}(?:_part_?(\d+)|-(\d+)-of-(\d+)){re.escape(path.suffix)}")
    files = path.parent.iterdir() if path.parent.is_dir() else ()
    return {file: match for file in files if (match := pattern.fullmatch(file.name))}


def is_table(path: Path) -> bool:
    """Whether there is the table, or a part of it."""
    return path.is_file() or bool(_beside(path))


def parts(path: Path) -> list[Path]:
    """The files of a table: itself, or ``NAME_part0.tsv``, ``NAME_part1.tsv`` … or ``NAME-00000-of-00002.tsv`` … beside it.

    Raises `BadInput` where there is none, or one is missing among them.
    """
    if path.is_file():
        return [path]
    found = _beside(path)
    numbers = {file: int(match[1] or match[2]) for file, match in found.items()}
    count = max((int(match[3] or 0) for match in found.values()), default=0) or len(found)
    first = min(numbers.values(), default=0)
    if not found or first > 1 or sorted(numbers.values()) != list(range(first, first + count)):
        raise BadInput(
            file=str(path),
            field="(file)",
            found=", ".join(sorted(file.name for file in found)) or "No such file",
            expected="the table, or all of its parts",
            remedy="fetch what is missing",
        )
    return sorted(found, key=numbers.__getitem__)


def table_digest(path: Path) -> str:
    """sha256 of a table's bytes; of several parts, of their digests."""
    files = parts(path)
    return file_digest(files[0]) if len(files) == 1 else digest(*(file_digest(file) for file in files))


def table_rows(path: Path, columns: tuple[str, ...] = ()) -> Iterator[TableRow]:
    """The rows of a table and of all its parts, in order; a column that is asked for must be there.

    Raises `BadInput`, with the line, for what is no such table.
    """
    names: list[str] | None = None
    for file in parts(path):
        records = _records(file)
        _, _, _, header = next(records, (1, 0, b"", []))
        if missing := [name for name in columns if name not in header]:
            raise _bad(file, 1, f"columns {', '.join(header) or '(none)'}", f"a column {missing[0]}", missing[0])
        if names is not None and header != names:
            raise _bad(file, 1, f"columns {', '.join(header)}", f"those of the first part: {', '.join(names)}")
        names = header
        for number, (line, start, raw, cells) in enumerate(records, 1):
            if len(cells) != len(header):
                found, expected = f"{len(cells)} cells", f"{len(header)} cells, as in the header"
                raise _bad(file, line, found, expected, f"row {number}")
            yield TableRow(file, line, start, raw, dict(zip(header, cells, strict=True)))


def unreadable(path: Path, error: OSError) -> BadInput:
    """What a file is that cannot be opened."""
    return BadInput(
        file=str(path),
        field="(file)",
        found=error.strerror or str(error),
        expected="a readable file",
        remedy="check the path",
    )


def _records(path: Path) -> Iterator[tuple[int, int, bytes, list[str]]]:
    """Line, offset, bytes and cells of each record. What holds no quote is split without the csv reader: ten times faster."""
    csv.field_size_limit(sys.maxsize)
    line, at = 1, 0
    try:
        with open(path, "rb") as file:
            for raw in file:
                if at == 0 and raw.startswith(BOM_UTF8):
                    raw, at = raw.removeprefix(BOM_UTF8), len(BOM_UTF8)
                if b'"' not in raw and b"\r" not in raw[:-2]:
                    cells = raw.decode().removesuffix("\n").removesuffix("\r").split("\t")
                else:
                    raw, cells = _quoted(raw, file)
                if raw.strip(b"\r\n"):
                    yield line, at, raw, cells
                line, at = line + raw.count(b"\n"), at + len(raw)
    except OSError as error:
        raise unreadable(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, line, str(error), "UTF-8 text, cells with tabs or line ends in quotes") from error


def _quoted(first: bytes, more: Iterator[bytes]) -> tuple[bytes, list[str]]:
    """A record with quotes, which may go on over several lines."""
    taken: list[bytes] = []

    def lines() -> Iterator[str]:
        for raw in chain([first], more):
            taken.append(raw)
            yield raw.decode()

    cells = next(csv.reader(lines(), delimiter="\t"))
    return b"".join(taken), cells


def _bad(path: Path, line: int, found: str, expected: str, field: str = "(row)") -> BadInput:
    return BadInput(
        file=f"{path}:{line}",
        field=field,
        found=found,
        expected=expected,
        remedy="the table is cut off, badly quoted or not the official one; fetch it again",
    )
