"""A table and its files: CSV to compute with, Markdown, LaTeX and HTML to read. The same table gives the same bytes."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmevol.store import write_text

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """``columns`` head the ``rows``; a cell is text, a number or None (not known). ``decimals`` of the shown numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = field(default_factory=list)
    decimals: int = 2

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: {len(row)} cells under {len(self.columns)} columns: {row}")

    def numeric(self, column: int) -> bool:
        """Whether a column is set to the right: every cell that is known starts as a number or has none of its letters."""
        cells = [row[column] for row in self.rows if row[column] not in (None, "")]
        return bool(cells) and column > 0 and all(not isinstance(c, str) or c[:1] in "+-−0123456789" for c in cells)

    def shown(self, cell: Cell) -> str:
        """A cell as people read it."""
        if cell is None:
            return "–"
        if isinstance(cell, float):
            return f"{cell:.{self.decimals}f}"
        return f"{cell:,}" if isinstance(cell, int) else cell


def csv_text(table: Table) -> str:
    """CSV after RFC 4180 with line feeds; floats with 6 decimals at most.

    Text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection).
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_plain(c) for c in table.columns])
    writer.writerows([_plain(c) for c in row] for row in table.rows)
    return out.getvalue()


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return repr(round(cell, 6) + 0.0)
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else str(cell)


def markdown_text(table: Table) -> str:
    """A Markdown pipe table under its title, notes below."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    rule = ["---:" if table.numeric(i) else "---" for i in range(len(table.columns))]
    lines = [f"# {table.title}", "", line(list(table.columns)), "|" + "|".join(rule) + "|"]
    lines += [line([table.shown(c) for c in row]) for row in table.rows]
    lines += ["", *(f"- {note}" for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


_TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\rightarrow$",
}


def tex_escape(text: str) -> str:
    """Text as LaTeX sets it literally."""
    return "".join(_TEX.get(c, c) for c in text.replace("\n", " "))


def tex_text(table: Table) -> str:
    r"""A ``tabular`` with rules of booktabs, to be put into a ``table`` by the paper; notes as comments."""
    columns = "".join("r" if table.numeric(i) else "l" for i in range(len(table.columns)))
    lines = [f"% {table.title}", *(f"% {note}" for note in table.notes)]
    lines = [" ".join(line.splitlines()) for line in lines]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _tex_line(list(table.columns)), r"\midrule"]
    lines += [_tex_line([table.shown(c) for c in row]) for row in table.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _tex_line(cells: Sequence[str]) -> str:
    return " & ".join("{}" + t if (t := tex_escape(c)).startswith("[") else t for c in cells) + r" \\"


def html_text(table: Table) -> str:
    """A page of its own for the report: no script, nothing fetched."""
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    right = [table.numeric(i) for i in range(len(table.columns))]
    return environment.get_template("table.html.jinja").render(table=table, right=right) + "\n"


RENDERERS: dict[str, Callable[[Table], str]] = {"md": markdown_text, "tex": tex_text, "html": html_text}


def write_table(out: Path, data: Table, shown: Table | None = None) -> list[Path]:
    """Write ``out``.csv of `data`, and .md, .tex, .html of `shown` (the same table where none is given); returns the paths."""
    texts = {"csv": csv_text(data)} | {kind: render(shown or data) for kind, render in RENDERERS.items()}
    paths = [out.with_name(f"{out.name}.{kind}") for kind in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table's CSV by column name, as text: '' where nothing is known."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
