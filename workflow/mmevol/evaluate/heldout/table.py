"""The tab-separated tables of the benchmarks that one widely used evaluation kit made common."""

import csv
import io
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
"""Column to cell; '' is a missing one."""
Files = dict[str, str | bytes]
"""A benchmark's files: path in its folder, content."""


def tsv(rows: Sequence[Row]) -> str:
    """The rows as a table with a header line, minimal quoting; an empty cell is a missing one. All rows have the same keys."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
