"""How many tokens a prompt will be counted as, before anybody has counted it."""

from math import ceil
from typing import Any

from mmevol.config import Identity, ImageTokens

CHARACTERS = 4.0
"""Characters of a token: the usual rule of thumb for English text with JSON in it. What a provider has counted goes before it."""
LARGEST, SHORTEST, TILE = 2048, 768, 512
"""OpenAI's resize: fit into a square of 2048 px, then bring the shortest side down to 768 px; tiles are 512 px."""


def image_tokens(rule: ImageTokens, size: tuple[int, int] | None, identity: Identity) -> int:
    """Tokens of a picture of `size` (width, height in px, as it is sent); of unknown size: a square of the longest side sent."""
    width, height = size or (identity.image_side, identity.image_side)
    if rule.patch:
        return rule.base + ceil(width / rule.patch) * ceil(height / rule.patch)
    if identity.image_detail == "low":
        return rule.base
    scale = min(1.0, LARGEST / max(width, height))
    scale *= min(1.0, SHORTEST / (scale * min(width, height)))
    return rule.base + rule.tile * ceil(width * scale / TILE) * ceil(height * scale / TILE)


def text_tokens(messages: list[dict[str, Any]]) -> float:
    """Tokens of all texts of a prompt, by the rule of thumb; pictures are not counted."""
    parts = [part for message in messages for part in _parts(message["content"])]
    return sum(len(part["text"]) for part in parts if part["type"] == "text") / CHARACTERS


def _parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
