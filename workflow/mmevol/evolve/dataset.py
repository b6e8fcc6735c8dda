"""The evolved dataset: every version with its lineage, verdicts and outcome, and the LLaVA file made of what survived."""

from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from mmevol.config.commands import DatasetSettings, sft_name
from mmevol.evolve.ask import seed_versions
from mmevol.evolve.card import Facts, card
from mmevol.records import QA, Candidate, Outcome, SeedRecord, Version, canonical, turns
from mmevol.store import read_rows, replacing, write_text, writing

Round = tuple[Path, Path]
"""Candidates and outcomes of a round and shard."""


def _row(record: SeedRecord, version: Version, outcome: str, reason: str, more: dict[str, Any]) -> dict[str, Any]:
    """A row of ``evolved.parquet``; image, caption and licence stand beside every version."""
    qa = version.qa.model_dump(mode="json", exclude={"image_position"})
    beside = record.model_dump(include={"image", "caption", "source", "licence", "attribution"})
    lineage = version.model_dump(exclude={"qa"})
    return {**lineage, "outcome": outcome, "reason": reason, **qa, **more, **beside}


def candidate_row(record: SeedRecord, c: Candidate, o: Outcome) -> dict[str, Any]:
    """The row of a candidate; a failed one has no text, and an id made of parent and round."""
    more = {"verdicts": [v.model_dump() for v in c.verdicts], "prompt": c.prompt, "model": c.model}
    if c.version:
        return _row(record, c.version, o.outcome, o.reason, more)
    empty = QA.model_construct(question="", answer="", format="", options=[], objects=[], skills=[], steps=[])
    tried = Version.model_construct(
        id=f"{c.parent.id}/r{c.round}",
        line=c.parent.line,
        record=record.key,
        parent=c.parent.id,
        round=c.round,
        direction=c.direction,
        qa=empty,
    )
    return _row(record, tried, "failed", o.reason, more)


def lineages(seeds: Path, rounds: Iterable[Round]) -> Iterator[tuple[SeedRecord, list[dict[str, Any]]]]:
    """Each record of a shard with all rows of its lineage: seeds first, then round by round, each sorted by id.

    Records that the first round has not are left out: a target was reached without them.
    """
    streams = [
        groupby(
            zip(read_rows(candidates, "candidate"), read_rows(outcomes, "outcome"), strict=True),
            key=lambda pair: pair[0].parent.record,
        )
        for candidates, outcomes in rounds
    ]
    first, *later = streams
    ahead = next(first, None)
    for record in read_rows(seeds, "seed"):
        if ahead is None or ahead[0] != record.key:
            continue
        rows = [_row(record, v, "seed", "", {"verdicts": [], "prompt": "", "model": ""}) for v in seed_versions(record)]
        for name, pairs in chain([ahead], (next(stream) for stream in later)):
            assert name == record.key, f"a round is about {name} where the seeds have {record.key}"
            rows += sorted((candidate_row(record, c, o) for c, o in pairs), key=lambda row: (row["round"], row["id"]))
        yield record, rows
        ahead = next(first, None)
    assert ahead is None, f"a round is about {ahead[0]}, which {seeds} has not, or elsewhere"


def llava_samples(record: SeedRecord, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One multi-turn LLaVA sample a round with survivors. Steps, skills and objects are not in it."""
    survived = [row for row in rows if row["outcome"] == "survived"]
    for round_, some in groupby(survived, key=lambda row: row["round"]):
        talk: list[dict[str, str]] = []
        for row in some:
            qa = QA.model_validate({k: row[k] for k in ("question", "answer", "options", "format")})
            human, assistant = turns(qa)
            mark = "<image>\n" if not talk and record.image else ""
            talk += [{"from": "human", "value": mark + human}, {"from": "gpt", "value": assistant}]
        sample: dict[str, Any] = {"id": f"{record.key}/r{round_}", "conversations": talk}
        yield sample | ({"image": record.image} if record.image else {})


def files_of(settings: DatasetSettings, root: Path) -> tuple[list[Path], list[list[Round]]]:
    """The seed shards below a study's results, and for each shard candidates and outcomes of every round."""
    folder = root / "seeds" / ("shards" if settings.curated else "audited")
    rounds = [root / "evolve" / settings.evolution / f"round_{r}" for r in settings.rounds]
    names = [f"{shard}.parquet" for shard in range(settings.shards)]
    return [folder / n for n in names], [[(r / "candidates" / n, r / "ledger" / n) for r in rounds] for n in names]


def dataset(settings: DatasetSettings, *, root: Path, out: Path) -> None:
    """`mmevol evolve dataset`: write ``evolved.parquet``, ``sft.json`` and the card ``README.md`` into `out`, streaming.

    `root`: the study's results. In a smoke study every row and sample has a field ``smoke``, true.
    """
    seeds, rounds = files_of(settings, root)
    facts, evolved, sft = Facts(), out / "evolved.parquet", out / sft_name(settings.smoke)
    mark = {"smoke": True} if settings.smoke else {}
    with (
        writing(evolved, "smoke_version" if mark else "version") as add,
        replacing(sft) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
    ):
        separator = "[\n"
        for shard, files in zip(seeds, rounds, strict=True):
            for record, rows in lineages(shard, files):
                for row in rows:
                    add(row | mark)
                facts.add(record, rows)
                for sample in llava_samples(record, rows):
                    file.write(separator + canonical(sample | mark))
                    separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")
    write_text(out / "README.md", card(settings, facts))
