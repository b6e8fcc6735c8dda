"""The blind check: a question put without image and annotations.

An open question that is answered right does not need its image. A yes/no question or one with options may be guessed, so it
counts as answered blind only when the answer stays right over several draws with the options shuffled.
"""

import re

from mmevol.endpoint.ask import Asker, Rejected
from mmevol.evolve import prompts
from mmevol.evolve.checks import chosen_option
from mmevol.records import BlindReply, Verdict, Version, digest

NUMBERS = dict(
    zip(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        map(str, range(13)),
        strict=True,
    )
)
SHORT = 4
"""Words up to which an answer counts as given when it stands inside a longer reply. Longer answers must agree as a whole."""


def words(text: str) -> list[str]:
    """Lower-case words without punctuation and, where others remain, without articles; numbers as digits."""
    found = re.findall(r"\d+(?:\.\d+)?|\w+", text.lower())
    return [NUMBERS.get(w, w) for w in found if w not in ("a", "an", "the")] or found


def same_answer(reply: str, answer: str) -> bool:
    """Does a reply say the answer?"""
    said, right = words(reply), words(answer)
    if said == right:
        return True
    places = range(len(said) - len(right) + 1) if 0 < len(right) <= SHORT else ()
    return any(said[i : i + len(right)] == right for i in places)


def shuffled(options: list[str], question: str, draw: int) -> list[str]:
    """The options in an order drawn from question and draw."""
    return sorted(options, key=lambda option: digest(question, draw, option))


async def answered_blind(asker: Asker, version: Version, *, draws: int, attempts: int) -> Verdict | None:
    """The blind check's verdict on a candidate; None if no usable reply came."""
    qa = version.qa
    choices = qa.options or (["Yes", "No"] if qa.answer.strip(". ").lower() in ("yes", "no") else [])

    def read(reply: dict[str, object], ids: object) -> tuple[dict[str, str], dict[str, Rejected]]:
        items = reply.get("answers")
        good = {}
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and isinstance(item.get("answer"), str) and isinstance(item.get("id"), str):
                answer = BlindReply.model_validate(item)
                good[answer.id] = answer.answer
        return good, {}

    said = ""
    for draw in range(draws if choices else 1):
        shown = shuffled(choices, qa.question, draw)
        found, _ = await asker.items(
            [version.id],
            lambda ids, errors, shown=shown: prompts.blind(ids[0], qa.question, shown, errors),  # type: ignore[misc]
            read,
            record=version.record,
            attempts=attempts,
            draw=draw,
        )
        if version.id not in found:
            return None
        said = found[version.id]
        chosen = chosen_option(said, shown)
        right = chosen == qa.answer if qa.options else same_answer(chosen or said, qa.answer)
        if not right:
            return Verdict(
                judge=asker.client.identity.model, name="answered_blind", value=0.0, reason=f"said: {said[:80]}"
            )
    return Verdict(judge=asker.client.identity.model, name="answered_blind", value=1.0, reason=f"said: {said[:80]}")
