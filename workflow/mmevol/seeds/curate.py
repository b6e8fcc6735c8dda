"""Curation: a record that has only a caption gets Q&A by asking the teacher (paper appendix A)."""

from functools import cache
from pathlib import Path
from typing import Any

import uvloop
from pydantic import ValidationError

from mmevol.config import CurateSettings, Run
from mmevol.endpoint.ask import Asker, Rejected, in_order
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Prompt, picture_of
from mmevol.endpoint.schemas import QAS
from mmevol.progress import Heartbeat
from mmevol.records import QA, Reason, Request, SeedRecord
from mmevol.replies import ReplyStore
from mmevol.store import buckets_of, read_rows, writing


@cache
def instructions() -> str:
    """The text of ``prompts/curate.jinja``."""
    return (Path(__file__).parent / "prompts" / "curate.jinja").read_text(encoding="utf-8").strip() + "\n"


def read_qas(reply: dict[str, Any], ids: Any) -> tuple[dict[str, list[QA]], dict[str, Rejected]]:
    """The Q&A of a reply; those that cannot be read are left out, and a reply with none is rejected."""
    items = reply.get("qas")
    good: list[QA] = []
    for item in items if isinstance(items, list) else []:
        try:
            qa = QA.model_validate({k: v for k, v in item.items() if k in QA.model_fields})
        except (AttributeError, ValidationError):
            continue
        if not qa.options and qa.question.strip() and qa.answer.strip() and qa not in good:
            good.append(qa)
    if good:
        return {ids[0]: good}, {}
    return {}, {ids[0]: Rejected(Reason.SCHEMA, "no usable question-answer pair was in qas")}


async def curated(asker: Asker, record: SeedRecord, settings: CurateSettings) -> SeedRecord:
    """The record with Q&A; one that has some, or for which the teacher found none, stays as it is."""
    if record.qas:
        return record
    request = Request(task="curate", caption=record.caption, objects=record.objects)
    picture = picture_of(record, settings.images_root)
    found, _ = await asker.items(
        [record.key],
        lambda ids, errors: Prompt(instructions(), request, QAS, picture, errors),
        read_qas,
        record=record.key,
        attempts=settings.content_attempts,
    )
    return record.model_copy(update={"qas": found[record.key], "curated": True}) if found else record


async def _curate(
    settings: CurateSettings,
    run: Run,
    *,
    shard: int,
    records: Path,
    out: Path,
    usage: Path,
    buckets: list[int] | None,
) -> None:
    job = f"seeds/curate/{shard}"
    mine = buckets_of(shard, settings.shards) if buckets is None else buckets
    with Heartbeat(run, job=job) as beat, ReplyStore(mine, job=job, on_wait=beat.waits) as store:
        async with Clients(run, settings.shards, usage=usage, beat=beat) as clients:
            asker = Asker(clients.client(settings.endpoint, settings.identity), store)
            with writing(out, "seed") as add:
                width = clients.width()
                rows = read_rows(records, "seed")
                async for record in in_order(rows, lambda r: curated(asker, r, settings), width):
                    add(record)
                    beat.advance(1)


def curate(
    settings: CurateSettings,
    run: Run,
    *,
    shard: int,
    records: Path,
    out: Path,
    usage: Path,
    buckets: list[int] | None = None,
) -> None:
    """`mmevol seeds curate`: read an audited shard, write the shard with Q&A, and what it cost. `buckets`: those of its records,
    where it is known that they are fewer than the shard's."""
    paths = {"records": records, "out": out, "usage": usage}
    uvloop.run(_curate(settings, run, shard=shard, buckets=buckets, **paths))
