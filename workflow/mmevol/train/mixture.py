"""Mixtures: which Q&A an arm is trained on, as an exact list of ids, and how many tokens that is for each backbone."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmevol.config import Run
from mmevol.config.commands import MixtureSettings
from mmevol.config.train import Entry
from mmevol.progress import Heartbeat
from mmevol.records import ASK_LETTER, QA, BadInput, digest, qa_id, turns
from mmevol.store import columns_of, read_dicts, write_json, write_rows
from mmevol.train.backbone import base_model, load_processor
from mmevol.train.samples import Conversation, Encoder, Picture, Turn, encode_all, picture_of, read_seeds

Row = dict[str, str | int]
"""A row of ids.parquet: record, qa, source (``seeds`` or the evolution's name), round."""

_EVOLVED = ["id", "record", "round", "direction", "outcome", "question", "answer", "options"]


def _seed_qas(shards: list[Path]) -> Iterator[tuple[str, str, Turn]]:
    """Record key, Q&A id and turn of every seed Q&A."""
    for record in read_seeds(shards):
        for qa in record.qas:
            yield record.key, qa_id(record.key, "", 0, "seed", qa), turns(qa)


def _evolved_qas(evolved: Path) -> Iterator[tuple[dict[str, str | int], Turn]]:
    """The rows of an evolved dataset that survived, each with its turn. Raises `BadInput` for one of a smoke study."""
    if "smoke" in columns_of(evolved):
        raise BadInput(
            file=str(evolved),
            field="smoke",
            found="a dataset that a smoke study made",
            expected="a dataset that is meant as data",
            remedy="take another; smoke data are never mixed",
        )
    for row in read_dicts(evolved, _EVOLVED):
        if row["outcome"] == "survived":
            yield row, turns(QA(question=row["question"], answer=row["answer"], options=row["options"] or []))


def _chosen(entry: Entry, seed: int, shards: list[Path], evolved: dict[str, Path]) -> list[Row]:
    """What one entry of a mixture asks for. Subsets are the first in hash order, so a smaller one is part of a larger."""
    if entry.evolution is None:
        rows: list[Row] = [{"record": r, "qa": i, "source": "seeds", "round": 0} for r, i, _ in _seed_qas(shards)]
        if isinstance(entry.seeds, int):
            records = sorted({str(r["record"]) for r in rows}, key=lambda key: digest(seed, "seeds", key))
            kept = set(records[: entry.seeds])
            rows = [r for r in rows if r["record"] in kept]
    else:
        rows = [
            {"record": row["record"], "qa": row["id"], "source": entry.evolution, "round": row["round"]}
            for row, _ in _evolved_qas(evolved[entry.evolution])
            if (entry.rounds is None or row["round"] in entry.rounds)
            and (entry.directions is None or row["direction"] in entry.directions)
        ]
    if entry.limit is not None:
        rows = sorted(rows, key=lambda r: digest(seed, "limit", r["qa"]))[: entry.limit]
    return rows


def mixture(
    settings: MixtureSettings, *, run: Run, shards: list[Path], evolved: dict[str, Path], bases: list[Path], out: Path
) -> None:
    """Write ``ids.parquet`` and ``stats.json`` of a mixture into `out`.

    `evolved`: the dataset of each evolution that the mixture names; `bases`: base folders of the backbones that train on it.
    Tokens are non-padding input tokens, image tokens included, of one epoch.
    """
    rows: dict[str, Row] = {}
    for entry in settings.entries:
        for row in _chosen(entry, settings.seed, shards, evolved):
            rows.setdefault(str(row["qa"]), row)
    ordered = sorted(rows.values(), key=lambda r: (r["record"], r["round"], r["qa"]))
    write_rows(out / "ids.parquet", "mixture", ordered)
    talks = conversations(out / "ids.parquet", seed=settings.seed, shards=shards, evolved=evolved)
    images = {record.key: record.image_digest or "" for record in read_seeds(shards)}
    counted = {}
    with Heartbeat(run, job=f"train/mixtures/{out.name}", total=len(talks) * len(bases)) as beat:
        for base in bases:
            encoder = Encoder(load_processor(base), base_model(base))
            samples, too_long = encode_all(encoder, talks, seen=beat.advance)
            counted[base.name] = {
                "samples": len(samples),
                "tokens": sum(s.length for s in samples),
                "image_tokens": sum(s.image_tokens for s in samples),
                "qas_too_long": too_long,
            }
    stats = {
        "records": len(talks),
        "qas": len(ordered),
        "by_source": _by_source(ordered),
        "by_form": dict(Counter(form(turn) for talk in talks for turn in talk.turns)),
        "backbones": counted,
        "digest": digest(*(part for r in ordered for part in (str(r["qa"]), images[str(r["record"])]))),
    }
    write_json(out / "stats.json", stats)


def form(turn: Turn) -> str:
    """How a turn is answered: by a ``letter``, by ``yes_no``, or ``open``."""
    human, assistant = turn
    if human.endswith(ASK_LETTER):
        return "letter"
    return "yes_no" if assistant.strip(".").lower() in ("yes", "no") else "open"


def _by_source(rows: list[Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        name = "seeds" if row["source"] == "seeds" else f"{row['source']}/round_{row['round']}"
        counts[name] = counts.get(name, 0) + 1
    return counts


def conversations(ids: Path, *, seed: int, shards: list[Path], evolved: dict[str, Path]) -> list[Conversation]:
    """The Q&A of a mixture, all of a record together, in hash order within it; records by key.

    Raises `KeyError` where an id is in none of the files.
    """
    wanted = list(read_dicts(ids))
    sources = {row["source"] for row in wanted} - {"seeds"}
    known: dict[str, Turn] = {i: turn for _, i, turn in _seed_qas(shards)}
    for name in sorted(sources):
        known |= {str(row["id"]): turn for row, turn in _evolved_qas(evolved[name])}
    pictures: dict[str, Picture | None] = {r.key: picture_of(r, "seeds") for r in read_seeds(shards)}
    by_record: dict[str, list[str]] = {}
    for row in wanted:
        by_record.setdefault(row["record"], []).append(row["qa"])
    return [
        Conversation(
            id=record,
            picture=pictures[record],
            turns=tuple(known[qa] for qa in sorted(qas, key=lambda qa: digest(seed, "order", qa))),
        )
        for record, qas in sorted(by_record.items())
    ]
