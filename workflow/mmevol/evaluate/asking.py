"""Predicting with a model behind an endpoint, through the reply store: limits, retries and usage are the endpoint's.

What was answered is not asked again, so a job that was killed goes on where it stopped; another model, revision or sampling is
another key. A picture is sent as the model on this machine would see it, several side by side in one.
"""

import io
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from pathlib import Path

import uvloop

from mmevol.config import Run
from mmevol.config.commands import PredictSettings
from mmevol.endpoint.ask import Asker, in_order
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Picture, Question
from mmevol.evaluate.benchmarks import Row
from mmevol.evaluate.predict import job_name, questions, write_answers
from mmevol.progress import Heartbeat
from mmevol.records import digest
from mmevol.replies import ReplyStore
from mmevol.store import bucket_of


def ask(settings: PredictSettings, *, run: Run, data: Path, out: Path) -> None:
    """Answer every benchmark below `data` with the endpoint of the settings.

    Writes ``<benchmark>/predictions.jsonl`` below `out`, as `predict` does, and ``usage.json``. Raises `BadInput` for broken files,
    `Outage` where the endpoint stops answering.
    """
    uvloop.run(_ask(settings, run, data, out))


async def _ask(settings: PredictSettings, run: Run, data: Path, out: Path) -> None:
    assert settings.endpoint and settings.identity
    asked = questions(settings, data)
    own = run.model_copy(update={"budget": run.answering})
    record = f"model/{settings.identity.model}"
    with (
        Heartbeat(run, job=job_name(out), total=sum(map(len, asked.values())), unit="rows") as beat,
        ReplyStore([bucket_of(record)], job=job_name(out), on_wait=beat.waits) as store,
    ):
        async with Clients(own, usage=out / "usage.json", beat=beat, budget=("evaluate.budget", "model")) as clients:
            asker = Asker(clients.client(settings.endpoint, settings.identity), store)

            async def answered(row: Row) -> str:
                question = Question.of(row.text, _picture(row, blind=settings.blind), row.system)
                said = await asker.answer(question, question, record=record, draw=0, attempt=0)
                return (said.text or said.refusal).strip()

            for name, rows in asked.items():
                write_answers(out / name, rows, await _all(rows, answered, clients.width(), beat, name))


async def _all(
    asked: Sequence[Row], answered: Callable[[Row], Awaitable[str]], width: int, beat: Heartbeat, name: str
) -> dict[str, str]:
    """The answers to all rows, by key, `width` on their way at a time."""
    texts: list[str] = []
    async for text in in_order(asked, answered, width):
        texts.append(text)
        beat.advance(benchmark=name)
    return {row.key: text for row, text in zip(asked, texts, strict=True)}


def _picture(row: Row, *, blind: bool) -> Picture | None:
    """A row's picture, made only when it has to be sent; its digest is that of the files that it is made from."""
    if not row.pictures:
        return None

    def made() -> bytes:
        image, buffer = row.shown(blind=blind), io.BytesIO()
        assert image
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    sources = [sha256(source.read_bytes()).hexdigest() for source in row.pictures]
    return Picture(str(row.pictures[0]), digest("grey" if blind else "seen", *sources), made=made)
