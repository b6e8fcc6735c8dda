"""The audit of an evolved dataset: every question in the teacher's language is asked again of the second executor.

No model and no reply store are needed: questions are read back from their text, boxes come from the seeds. It works on the data of
any model, as far as its questions are in the language.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from mmevol.records import BadInput, SeedRecord
from mmevol.store import read_dicts, read_rows
from mmevol.teacher.compose import demanded
from mmevol.teacher.confirm import Unclear, solve
from mmevol.teacher.grammar import parse
from mmevol.teacher.judge import same_answer
from mmevol.teacher.scene import Scene

COLUMNS = ["id", "record", "outcome", "question", "answer"]


@dataclass(slots=True)
class Tally:
    """What became of the questions of one outcome. ``no_answer``: in the language, but the boxes do not tell. ``mismatches``: one
    line each."""

    checked: int = 0
    no_answer: int = 0
    not_executable: int = 0
    mismatches: list[str] = field(default_factory=list)

    def add(self, row: dict[str, Any], scene: Scene) -> None:
        """Check one row of the dataset."""
        question = parse(row["question"], scene.plurals)
        if question is None:
            self.not_executable += 1
            return
        try:
            value = demanded(solve(question.program, scene), question.demand)
        except Unclear:
            self.no_answer += 1
            return
        self.checked += 1
        if not same_answer(question, value, row["answer"]):
            where = f"{row['id']} of record {row['record']}"
            self.mismatches.append(f"{where}: {row['question']} Said {row['answer']!r}, executed {value!r}")


def verify(dataset: Path, seeds: Path | None = None) -> dict[str, Tally]:
    """Check every row with a text, by outcome (``seed``, ``survived``, ``eliminated``).

    `dataset`: an ``evolved.parquet`` or its folder; `seeds`: the folder of seed shards, by default that of the study which
    the dataset lies in. Raises `BadInput` where seeds are missing. Memory holds one record.
    """
    path = dataset / "evolved.parquet" if dataset.is_dir() else dataset
    shards = shard_files(path, seeds)
    records: Iterator[SeedRecord] = (record for shard in shards for record in read_rows(shard, "seed"))
    tallies = {outcome: Tally() for outcome in ("seed", "survived", "eliminated")}
    for key, rows in groupby(read_dicts(path, COLUMNS), key=lambda row: row["record"]):
        record = next((record for record in records if record.key == key), None)
        if record is None:
            raise BadInput(
                file=str(path),
                field="record",
                found=key,
                expected=f"a record of {shards[0].parent}, in the order of the seeds",
                remedy="name the folder of the seeds that the dataset was made from",
            )
        scene = Scene(record.objects)
        for row in rows:
            if row["outcome"] in tallies:  # a failed try has no text
                tallies[row["outcome"]].add(row, scene)
    return tallies


def shard_files(dataset: Path, seeds: Path | None) -> list[Path]:
    """The seed shards, in order. Raises `BadInput` where there are none."""
    root = dataset.resolve().parent / "../../../seeds"
    folders = [seeds] if seeds else [root / "shards", root / "audited"]
    for folder in folders:
        if found := [p for p in folder.glob("*.parquet") if p.stem.isdigit()]:
            return sorted(found, key=lambda path: int(path.stem))
    raise BadInput(
        file=str(folders[-1]),
        field="seeds",
        found="no seed shards",
        expected="<shard>.parquet, the records that the dataset was made from",
        remedy="give --seeds FOLDER",
    )
