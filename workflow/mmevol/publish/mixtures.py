"""What the arms are trained on: Q&A, where they come from, and in what form they are answered."""

import json
from pathlib import Path
from typing import Any

from mmevol.config.publish import MixturesSettings
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table

COLUMNS = ("mixture", "arms", "records", "Q&A", "seed Q&A", "evolved Q&A", "letter", "yes or no", "open")


def mixtures_table(settings: MixturesSettings, stats: dict[str, Any]) -> Table:
    """A row a mixture. `stats`: the ``stats.json`` of each."""
    rows: list[list[Cell]] = []
    for name, of in stats.items():
        arms = ", ".join(arm for arm, mixture in settings.arms.items() if mixture == name)
        seeds = of["by_source"].get("seeds", 0)
        shares = [of["by_form"].get(form, 0) / of["qas"] for form in ("letter", "yes_no", "open")]
        rows.append([name, arms, of["records"], of["qas"], seeds, of["qas"] - seeds, *shares])
    notes = [
        "The last three columns are shares of the Q&A by how they are answered: by an option's letter, by yes or no, or openly.",
        "An arm that never saw a form of answer seldom gives it. Where two mixtures differ in their forms, part of a difference on "
        "benchmarks that ask for a letter or for yes or no is a difference in form, not in what is seen in the picture.",
    ]
    return Table("What the arms are trained on", COLUMNS, rows, notes)


def mixtures(settings: MixturesSettings, *, stats: list[Path], out: Path) -> None:
    """`mmevol publish mixtures`: write the table `out` (path without suffix) from ``<mixture>/stats.json``."""
    read = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in stats}
    written = write_table(out, mixtures_table(settings, read))
    record(out, outputs=written, inputs=stats, settings=settings)
