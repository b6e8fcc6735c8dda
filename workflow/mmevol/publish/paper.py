"""Arms that repeat a row of the paper's main table, beside the paper's numbers."""

from pathlib import Path

from mmevol.config import BENCHMARKS
from mmevol.config.publish import PaperSettings
from mmevol.publish.provenance import record
from mmevol.publish.results import AVERAGE
from mmevol.publish.table import Cell, Table, read_table, write_table
from mmevol.records import BadInput

SOURCE = Path(__file__).with_name("paper_table4.tsv")


def paper_rows() -> dict[str, dict[str, float]]:
    """The paper's table 4 by model and benchmark (official names, and `average`); what it does not report is absent."""
    lines = [line for line in SOURCE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    head = lines[0].split("\t")
    rows = (dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:])
    return {row["model"]: {c: float(row[c]) for c in (*BENCHMARKS, AVERAGE) if row[c]} for row in rows}


def paper_table(settings: PaperSettings, benchmarks: Path) -> Table:
    """A row an arm and benchmark: the paper's number, ours with its interval, and whether the paper's lies inside it.

    `benchmarks` is the results' CSV. Raises `BadInput` where an arm names no row of the paper.
    """
    paper, ours = paper_rows(), {(r["arm"], r["benchmark"]): r for r in read_table(benchmarks)}
    rows: list[list[Cell]] = []
    for arm, name in settings.arms.items():
        if name not in paper:
            raise BadInput(
                file="study",
                field=f"publish.paper.{arm}",
                found=name,
                expected=f"one of: {', '.join(paper)}",
                remedy="name a row of the paper's table 4",
            )
        for benchmark in (*BENCHMARKS, AVERAGE):
            row = ours.get((arm, benchmark))
            if row is None or not row["score"]:
                continue
            theirs, score = paper[name].get(benchmark), float(row["score"])
            low, high = (float(row[k]) if row[k] else None for k in ("low", "high"))
            inside = None if None in (theirs, low, high) else "yes" if low <= theirs <= high else "no"  # type: ignore[operator]
            gap = None if theirs is None else score - theirs
            rows.append([arm, name, row["name"], theirs, score, low, high, gap, inside])
    return Table(
        "Beside the paper's table 4",
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
            "The paper's numbers: arXiv 2409.05840 v5, table 4. Ours with the 95 % interval of the rows; the paper gives none.",
            "The average of the paper is over the benchmarks that it reports for that row, ours over those that every arm has.",
        ],
        decimals=1,
    )


def paper(settings: PaperSettings, *, benchmarks: Path, out: Path) -> None:
    """`mmevol publish paper`: write the table `out` (path without suffix)."""
    written = write_table(out, paper_table(settings, benchmarks))
    record(out, outputs=written, inputs=[SOURCE, benchmarks], settings=settings)
