"""Arms that repeat a row of the paper's tables, beside the paper's numbers."""

from pathlib import Path

from mmevol.config import BENCHMARKS
from mmevol.config.publish import PaperSettings
from mmevol.publish.provenance import record
from mmevol.publish.published import SOURCES, paper_row
from mmevol.publish.results import AVERAGE
from mmevol.publish.table import Cell, Table, read_table, write_table


def paper_table(settings: PaperSettings, benchmarks: Path) -> Table:
    """A row an arm and benchmark: the paper's number, ours with its interval, and whether the paper's lies inside it.

    `benchmarks` is the results' CSV. Raises `BadInput` where an arm names no row of the paper.
    """
    ours = {(r["arm"], r["benchmark"]): r for r in read_table(benchmarks)}
    rows: list[list[Cell]] = []
    for arm, name in settings.arms.items():
        paper = paper_row(arm, name)
        for benchmark in (*BENCHMARKS, AVERAGE):
            row = ours.get((arm, benchmark))
            if row is None or not row["score"]:
                continue
            theirs, score = paper.get(benchmark), float(row["score"])
            low, high = (float(row[k]) if row[k] else None for k in ("low", "high"))
            inside = None if None in (theirs, low, high) else "yes" if low <= theirs <= high else "no"  # type: ignore[operator]
            gap = None if theirs is None else score - theirs
            rows.append([arm, name, row["name"], theirs, score, low, high, gap, inside])
    return Table(
        "Beside the paper's numbers",
        [
            "arm",
            "the paper's row",
            "benchmark",
            "paper",
            "ours",
            "low",
            "high",
            "ours − paper",
            "paper inside the interval",
        ],
        rows,
        [
            "The paper's numbers: arXiv 2409.05840 v5, tables 4, 1, 2, 3, 8, 9, 10. Ours with the 95 % interval of the rows; "
            "the paper gives none.",
            "The average of the paper is over the benchmarks that it reports for that row, ours over those that every arm has.",
        ],
        decimals=1,
    )


def paper(settings: PaperSettings, *, benchmarks: Path, out: Path) -> None:
    """`mmevol publish paper`: write the table `out` (path without suffix)."""
    written = write_table(out, paper_table(settings, benchmarks))
    record(out, outputs=written, inputs=[*SOURCES, benchmarks], settings=settings)
