"""The live judge of a benchmark: the scorer's questions go to an endpoint of the study, through the reply store.

An attempt that the official code makes at a higher temperature is a draw of its own. An answer that was kept is not asked
again, so a re-score makes no call; an endpoint that is down ends the job, never gives a zero.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from mmevol.config import Run
from mmevol.config.commands import JudgeSettings
from mmevol.endpoint.ask import Asker, Rejected
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Picture, Prompt
from mmevol.evaluate.benchmarks import picture_file
from mmevol.evaluate.scoring.judge import KINDS, JudgeQuestion, Judges
from mmevol.evaluate.scoring.prompts import judge_prompt
from mmevol.progress import waiting
from mmevol.records import Reason
from mmevol.replies import ReplyStore
from mmevol.store import bucket_of, file_digest


def read_reply(reply: dict[str, Any], ids: Sequence[str]) -> tuple[dict[str, str], dict[str, Rejected]]:
    """The one text of a judge's JSON reply."""
    text = reply.get("reply")
    if isinstance(text, str):
        return {ids[0]: text}, {}
    return {}, {ids[0]: Rejected(Reason.SCHEMA, "field reply: a text is needed")}


class _Bench:
    """The judge of one benchmark, for as long as it is scored."""

    def __init__(
        self, settings: JudgeSettings, clients: Clients, store: ReplyStore, benchmark: str, root: Path
    ) -> None:
        self.settings, self.clients, self.store = settings, clients, store
        self.record, self.root = f"benchmark/{benchmark}", root
        self._askers: dict[float | None, Asker] = {}

    def asker(self, raised: float) -> Asker:
        """The endpoint at a raised temperature: another identity, hence other answers. Where none is sent, none is raised."""
        own = self.settings.identity.temperature
        temperature = None if own is None else own + raised
        if temperature not in self._askers:
            identity = self.settings.identity.model_copy(update={"temperature": temperature})
            self._askers[temperature] = Asker(self.clients.client(self.settings.endpoint, identity), self.store)
        return self._askers[temperature]

    async def answer(self, question: JudgeQuestion) -> str | None:
        """The text of one reply; None where no complete reply held one."""
        picture = None
        if question.image:
            path = picture_file(self.root, question.image)
            picture = Picture(str(path), file_digest(path))

        def prompt(_: Sequence[str], errors: tuple[str, ...]) -> Prompt:
            asked = judge_prompt(question, picture)
            return Prompt(asked.instructions, asked.request, asked.schema, picture, errors)

        found, _ = await self.asker(question.temperature).items(
            [question.key],
            prompt,
            read_reply,
            record=self.record,
            attempts=self.settings.content_attempts,
            draw=question.attempt,
        )
        return found.get(question.key)

    async def answers(self, questions: Sequence[JudgeQuestion]) -> list[str | None]:
        """All questions at once; the endpoint's limits hold."""
        return list(await asyncio.gather(*(self.answer(question) for question in questions)))


@contextmanager
def live(settings: JudgeSettings, run: Run, benchmark: str, root: Path, usage: Path | None = None) -> Iterator[Judges]:
    """Judges of every kind, answered by the study's endpoint.

    `root`: the benchmark's folder, with its pictures below ``images``; `usage`: file that says what the endpoint was asked.
    Its budget is ``evaluate.budget``, for one scoring.
    """
    mine = [bucket_of(f"benchmark/{benchmark}")]
    with (
        ReplyStore(mine, job=f"evaluate/score/{benchmark}", on_wait=waiting) as store,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        own = run.model_copy(update={"budget": run.answering})
        clients = Clients(own, usage=usage, budget=("evaluate.budget", "judge"))
        bench = _Bench(settings, clients, store, benchmark, root)
        try:
            yield dict.fromkeys(KINDS, lambda questions: runner.run(bench.answers(questions)))
        finally:
            runner.run(clients.__aexit__(*sys.exc_info()))
