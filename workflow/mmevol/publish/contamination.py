"""Contamination: how many rows of each benchmark are in what each arm was trained on, and its score without them."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from mmevol.config import DISPLAY
from mmevol.config.publish import ContaminationTableSettings
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table

COLUMNS = (
    *("arm", "mixture", "benchmark", "name", "rows"),
    *("same picture", "near picture", "words", "question"),
    *("overlapping", "score", "score without", "n without"),
)


def contamination_table(
    settings: ContaminationTableSettings, found: dict[str, Any], cleaned: dict[str, Any], reported: dict[Path, Any]
) -> Table:
    """A row an arm and benchmark. `found`, `cleaned`: what `evaluate contamination` and `clean` wrote; `reported`: the numbers of
    the score files, each by its path below the folder of the arms."""
    bits, words = found["settings"]["distance"], found["settings"]["words"]
    return Table(
        title="What the training data share with the benchmarks",
        columns=COLUMNS,
        rows=list(_rows(settings, found, cleaned, reported)),
        notes=[
            "Rows of the benchmark whose picture is a file of the mixture; whose picture is nearly one (perceptual hashes of 64 "
            f"bits that differ in at most {bits}); whose question shares a run of {words} words with the mixture's text; that are "
            "asked about the same or nearly the same picture in the same words. A row may be of several kinds, and counts once as "
            "overlapping.",
            "The score without: by the same rules over the rows of no kind. It is over other, fewer rows: a difference is no "
            "measure of what was learnt by heart. None where no row is left, or the rules need all of a benchmark's parts.",
        ],
    )


def _rows(
    settings: ContaminationTableSettings, found: dict[str, Any], cleaned: dict[str, Any], reported: dict[Path, Any]
) -> Iterator[list[Cell]]:
    for arm, (mixture, _) in settings.arms.items():
        for name in settings.benchmarks:
            kinds = found["overlaps"][mixture][name]
            over = set().union(*kinds.values())
            whole = _mean([reported[file] for file in score_files(settings, arm, name)])
            rest = cleaned[arm][name]
            counts = [len(kinds[kind]) for kind in ("picture", "near", "words", "question")]
            after: list[Cell] = [_mean(rest["reported"]), max(rest["n"])] if over else [whole, found["rows"][name]]
            yield [arm, mixture, name, DISPLAY[name], found["rows"][name], *counts, len(over), whole, *after]


def _mean(numbers: list[float | None]) -> float | None:
    """Over training runs; None where a run has no number."""
    return None if None in numbers else mean(n for n in numbers if n is not None)


def score_files(settings: ContaminationTableSettings, arm: str, benchmark: str) -> list[Path]:
    """The score file of every training run of an arm, below the folder of the arms."""
    return [Path(arm) / f"seed_{seed}" / benchmark / f"score.{settings.rules}.json" for seed in settings.arms[arm][1]]


def contamination(
    settings: ContaminationTableSettings, *, overlaps: Path, cleaned: Path, evaluate: Path, out: Path
) -> None:
    """`mmevol publish contamination`: write the table `out` (path without suffix)."""
    files = [file for arm in settings.arms for name in settings.benchmarks for file in score_files(settings, arm, name)]
    reported = {file: json.loads((evaluate / file).read_text(encoding="utf-8"))["reported"] for file in files}
    found, rest = (json.loads(path.read_text(encoding="utf-8")) for path in (overlaps, cleaned))
    written = write_table(out, contamination_table(settings, found, rest, reported))
    inputs = [overlaps, cleaned, *(evaluate / file for file in files)]
    record(out, outputs=written, inputs=inputs, settings=settings)
