"""What a server's response says: an answer, a filter's word, how long to wait."""

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import orjson


@dataclass(frozen=True)
class Answer:
    """A complete answer. ``finish``: ``stop``, ``length``, ``content_filter``; ``model``: what the server says it is.

    ``reasoning_tokens`` are part of ``output_tokens``.
    """

    text: str
    finish: str
    refusal: str
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0


def read_answer(body: bytes) -> Answer:
    """The answer in a response body. Raises `ValueError` where the body is not a complete chat completion."""
    value = orjson.loads(body)
    try:
        choice, usage = value["choices"][0], value.get("usage") or {}
        details, thought = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        return Answer(
            text=_text(choice["message"].get("content")),
            finish=_text(choice.get("finish_reason")) or "stop",
            refusal=_text(choice["message"].get("refusal")),
            model=_text(value.get("model")),
            input_tokens=int(usage.get("prompt_tokens") or 0),
            cached_tokens=int(details.get("cached_tokens") or 0),
            output_tokens=int(usage.get("completion_tokens") or 0),
            reasoning_tokens=int(thought.get("reasoning_tokens") or 0),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a chat completion: {body[:200]!r}") from error


def _text(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value or ""


def filtered(content: bytes) -> bool:
    """Was the question itself withheld by the provider's filter? Azure and OpenAI say so with a 400."""
    try:
        code = orjson.loads(content)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return False
    return code in ("content_filter", "content_policy_violation")


def retry_after(value: str | None, date: str | None = None) -> float:
    """Seconds that a Retry-After header asks for: a number, or a date, by the server's own clock (`date`: its header Date) where it
    tells it. Nonsense counts as 0."""
    with suppress(ValueError):
        return max(0.0, float(value or 0)) if math.isfinite(float(value or 0)) else 0.0
    with suppress(ValueError, TypeError):  # no date, or one without a time zone
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(value or "") - now).total_seconds())
    return 0.0
