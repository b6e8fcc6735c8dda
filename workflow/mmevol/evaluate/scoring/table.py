"""Rows of a table benchmark joined with its predictions, in the order of the table."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.spreadsheet import MISSING, Cell, column_from_text, column_read_back

Index = int | str


@dataclass(frozen=True, slots=True)
class Row:
    """One question with its prediction. ``cells``: the other columns, None if empty; ``image``: what rows may share."""

    index: Index
    cells: dict[str, Cell]
    prediction: Cell
    image: str

    @property
    def key(self) -> str:
        """The index as text."""
        return str(self.index)


@dataclass(frozen=True)
class Table:
    """``rows``: the questions with a prediction; ``missing``: how many have none.

    ``known``: what the table itself, which no spreadsheet has seen, says of every index: answer, category,
    l2-category and split of its last row.
    """

    rows: list[Row]
    known: dict[Index, dict[str, Cell]]
    missing: int


def kit_table(inputs: Inputs, formulas: bool) -> Table:
    """The table as the kit scores it: after the spreadsheet, column names in lower case but for single capitals.

    Rows without image are dropped first, rows without prediction after; a repeated index keeps the last prediction.
    """

    def read_back(columns: dict[str, list[Cell]]) -> dict[str, list[Cell]]:
        return {name: column_read_back(cells, formulas) for name, cells in columns.items()}

    names = {name: name if len(name) == 1 and name.isupper() else name.lower() for name in _columns(inputs)}
    raw = {names[name]: column_from_text([row[name] for row in inputs.data]) for name in names}
    return _join(inputs, raw, read_back, lambda texts: column_read_back(texts, formulas), no_image=MISSING)


def literal_table(inputs: Inputs, without_image: bool = False) -> Table:
    """The table as it stands: only an empty cell is missing, everything else is text.

    ``without_image``: rows without image are kept.
    """
    raw: dict[str, list[Cell]] = {name: [row[name] or None for row in inputs.data] for name in _columns(inputs)}
    return _join(inputs, raw, lambda columns: columns, lambda texts: texts, () if without_image else ("",))


def _columns(inputs: Inputs) -> list[str]:
    if not inputs.data:
        raise inputs.bad("data", "(rows)", "no row", "one row a question", "use the benchmark's official table")
    return [name for name in inputs.data[0] if name not in ("index", "image", "image_path")] + [
        name for name in ("image_path",) if name in inputs.data[0]
    ]


def _join(
    inputs: Inputs,
    columns: dict[str, list[Cell]],
    read_back: Callable[[dict[str, list[Cell]]], dict[str, list[Cell]]],
    read_predictions: Callable[[list[Cell]], list[Cell]],
    no_image: Collection[str] = ("",),
) -> Table:
    said = {str(row["index"]): row["prediction"] for row in inputs.predictions}
    shown = [at for at, row in enumerate(inputs.data) if row.get("image", "shown") not in no_image]
    indexes = dict(zip(shown, _indexes([inputs.data[at]["index"] for at in shown]), strict=True))
    scored = [at for at in shown if str(indexes[at]) in said]
    if said and not scored:
        raise inputs.bad(
            "predictions",
            "index",
            f"{next(iter(said))} and others, none of them in the table",
            "indexes of the table's rows",
            "give the predictions of this benchmark",
        )
    kept = read_back({name: [cells[at] for at in scored] for name, cells in columns.items()})
    predictions = read_predictions([_text(said[str(indexes[at])]) for at in scored])
    rows = [
        Row(
            index=indexes[at],
            cells={name: cells[position] for name, cells in kept.items()},
            prediction=predictions[position],
            image=inputs.data[at].get("image_path") or inputs.data[at].get("image") or f"row {indexes[at]}",
        )
        for position, at in enumerate(scored)
    ]
    names: list[str] = [name for name in ("answer", "category", "l2-category", "split") if name in columns]
    known = {indexes[at]: {name: columns[name][at] for name in names} for at in shown}
    return Table(rows, known, len(shown) - len(scored))


def _indexes(cells: list[str]) -> list[Index]:
    """Ints where all are; else text."""
    if all(cell.strip().lstrip("+-").isdecimal() for cell in cells):
        return [int(cell) for cell in cells]
    return list(cells)


def _text(prediction: object) -> Cell:
    return None if prediction is None else str(prediction)
