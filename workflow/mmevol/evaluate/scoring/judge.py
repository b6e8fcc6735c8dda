"""What scorers ask of a judge, and how recorded replies answer in place of one.

A scorer asks many independent questions at once, one attempt level at a time; whoever answers may do so concurrently.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from mmevol.evaluate.scoring.shapes import Recording, check
from mmevol.records import BadInput

Kind = Literal["yes_no", "mcq", "blink_yes_no", "mathvista_extract", "mia", "hallusion_verdict", "hallusion_same"]

WARMING: dict[Kind, float] = {
    "yes_no": 0.5,
    "mcq": 0.0,
    "blink_yes_no": 0.0,
    "mathvista_extract": 0.5,
    "mia": 0.0,
    "hallusion_verdict": 0.0,
    "hallusion_same": 0.0,
}
"""By how much the official code raises the temperature with each attempt."""

KINDS = tuple(WARMING)


@dataclass(frozen=True)
class JudgeQuestion:
    """One question to a judge.

    ``key``: the row's index as text (MIA-Bench: its position). ``attempt``: 0, 1, …: the question is asked again
    because the last reply was of no use. ``data``: the fields of the request. ``image``: the picture that the judge
    must see, '' for none.
    """

    kind: Kind
    key: str
    attempt: int
    data: dict[str, Any]
    image: str = ""

    @property
    def temperature(self) -> float:
        """What the official code samples this attempt with."""
        return WARMING[self.kind] * self.attempt


Ask = Callable[[Sequence[JudgeQuestion]], Sequence[str | None]]
"""Answers questions in order. None: a complete reply without text. Outages are exceptions, never replies."""

Judges = Mapping[Kind, Ask]
"""Who answers each kind of question; a kind that is absent has no judge."""

Parsed = TypeVar("Parsed")


class Panel:
    """The judges of one scoring, with a count of what they were asked.

    ``calls``: questions put, all attempts. ``failures``: rows for which no attempt brought a usable reply.
    """

    def __init__(self, judges: Judges) -> None:
        self._judges = judges
        self.calls = 0
        self.failures = 0

    def has(self, kind: Kind) -> bool:
        """Whether anyone answers questions of this kind."""
        return kind in self._judges

    def settle(
        self,
        kind: Kind,
        rows: Sequence[tuple[str, dict[str, Any], str]],
        parse: Callable[[int, str], Parsed | None],
        attempts: int,
    ) -> list[Parsed | None]:
        """Ask about `rows` (key, data, image) until ``parse(position, reply)`` gives something, `attempts` times at most."""
        settled: list[Parsed | None] = [None] * len(rows)
        waiting = list(range(len(rows)))
        for attempt in range(attempts):
            if not waiting:
                break
            questions = [JudgeQuestion(kind, rows[i][0], attempt, rows[i][1], rows[i][2]) for i in waiting]
            self.calls += len(questions)
            replies = self._judges[kind](questions)
            for i, reply in zip(waiting, replies, strict=True):
                if reply is not None:
                    settled[i] = parse(i, reply)
            waiting = [i for i in waiting if settled[i] is None]
        self.failures += len(waiting)
        return settled


def recorded(replies: Mapping[str, Any] | Sequence[Mapping[str, Any]], file: str) -> Judges:
    """The judges that a file of recorded replies stands for.

    ``replies`` is ``{"kind", "replies"}``: a list in row order (MIA-Bench), or by key one reply, or a list of replies
    by attempt whose last one serves all further attempts; or a list of such, one a kind.
    """
    check(replies, list[Recording] if isinstance(replies, list) else Recording, file)
    if isinstance(replies, Sequence):
        return {kind: ask for each in replies for kind, ask in recorded(each, file).items()}
    kind: Kind = "mia" if replies["kind"] == "mia_raw_score" else replies["kind"]
    by_key = replies["replies"]
    if isinstance(by_key, list):
        by_key = {str(position): reply for position, reply in enumerate(by_key)}

    def answer(question: JudgeQuestion) -> str | None:
        try:
            said = by_key[question.key]
        except KeyError:
            raise BadInput(
                file=file,
                field=f"replies.{question.key}",
                found="nothing",
                expected=f"the judge's reply ({kind}) for row {question.key}",
                remedy="record the reply, or score with a live judge",
            ) from None
        reply = said[min(question.attempt, len(said) - 1)] if isinstance(said, list) else said
        return None if reply is None else str(reply)

    return {kind: lambda questions: [answer(question) for question in questions]}
