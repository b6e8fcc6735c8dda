"""The paper's numbers: its main table and its ablations."""

from pathlib import Path

from mmevol.config import BENCHMARKS
from mmevol.records import BadInput

SOURCES = tuple(Path(__file__).with_name(f"paper_{name}.tsv") for name in ("table4", "ablations"))


def paper_rows() -> dict[str, dict[str, float]]:
    """By row of the paper and benchmark (official names, and `average`), 0 to 100; what is not reported is absent."""
    found = {}
    for source in SOURCES:
        lines = [line for line in source.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        head = lines[0].split("\t")
        for row in (dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]):
            found[row["model"]] = {c: float(row[c]) for c in (*BENCHMARKS, "average") if row[c]}
    return found


def paper_row(arm: str, name: str) -> dict[str, float]:
    """The row that an arm repeats. Raises `BadInput` for a name that the paper does not have."""
    rows = paper_rows()
    if name not in rows:
        raise BadInput(
            file="study",
            field=f"publish.paper.{arm}",
            found=name,
            expected=f"one of: {', '.join(rows)}",
            remedy="name a row of the paper's table 4 or of its ablations",
        )
    return rows[name]
