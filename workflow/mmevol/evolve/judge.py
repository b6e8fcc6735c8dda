"""The judge: named verdicts on candidates."""

from typing import Any

from pydantic import ValidationError

from mmevol.config import Judge
from mmevol.endpoint.ask import Asker, Rejected
from mmevol.endpoint.prompt import Picture
from mmevol.evolve import prompts
from mmevol.records import QA, JudgeReply, Reason, SeedRecord, Verdict

NAMES = ("improved", "difficulty", "faithful", "image_needed")


def read(reply: dict[str, Any], ids: object) -> tuple[dict[str, JudgeReply], dict[str, Rejected]]:
    """The verdicts of a reply by id, and what is wrong with the others."""
    good: dict[str, JudgeReply] = {}
    bad: dict[str, Rejected] = {}
    items = reply.get("verdicts")
    for item in items if isinstance(items, list) else []:
        try:
            verdict = JudgeReply.model_validate(item)
            good[verdict.id] = verdict
        except ValidationError as error:
            first = error.errors()[0]
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                bad[item["id"]] = Rejected(Reason.SCHEMA, f"field {'.'.join(map(str, first['loc']))}: {first['msg']}")
    return good, bad


async def verdicts(
    asker: Asker,
    settings: Judge,
    record: SeedRecord,
    picture: Picture | None,
    aim: tuple[str, str],
    pairs: list[tuple[str, QA, QA]],
    *,
    attempts: int,
) -> dict[str, list[Verdict]]:
    """The judge's verdicts by candidate id; a candidate for which no usable verdict came is absent.

    `aim`: the direction and its family; `pairs`: id, candidate, and what it is compared with.
    """

    def prompt(ids: Any, errors: tuple[str, ...]) -> Any:
        asked = [pair for pair in pairs if pair[0] in ids]
        shown = record if settings.sees_annotations else None
        return prompts.judge(shown, picture if settings.sees_image else None, *aim, asked, errors)

    found, _ = await asker.items([p[0] for p in pairs], prompt, read, record=record.key, attempts=attempts)
    name = asker.client.identity.model
    return {
        i: [Verdict(judge=name, name=n, value=float(getattr(reply, n)), reason=reply.reason) for n in NAMES]
        for i, reply in found.items()
    }
