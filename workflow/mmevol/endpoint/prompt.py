"""What is sent to a model, laid out for prefix caches, and the key under which its answer is kept.

The system text and the instructions never change within a task, the image follows, and what differs (the fenced JSON block of
schema ``mmevol-request/1``) comes last.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Self

import orjson

from mmevol.config import Identity
from mmevol.endpoint.dialect import to_dialect
from mmevol.endpoint.images import ENCODER
from mmevol.records import Request, SeedRecord, canonical, prefixed

SYSTEM = (
    "You write and examine question-answer data for training vision-language models. You are exact: you state only what "
    "the picture and its annotations support, and you reply with JSON alone."
)
"""One text for all roles, so that evolver and judge share a cached prefix."""


SHOWN, TAIL = "\0", "\1"
"""Where a picture's URL and the end of the user's message stand in the encoded messages that all questions of a kind share."""


def cut(encoded: bytes) -> list[bytes]:
    """Encoded messages cut where `SHOWN` and `TAIL` stand. A text can hold these too, but then without bare quotes around them."""
    return re.split(rb'"\\u000[01]"', encoded)


@dataclass(frozen=True)
class Picture:
    """An image of a seed record: where its file is, the digest of its bytes, its size in px, its path below the images' root.

    ``made``: gives its bytes, where it is in no file of its own; the digest is then that of what it is made from.
    """

    path: str
    digest: str
    size: tuple[int, int] | None = None
    name: str = ""
    made: Callable[[], bytes] | None = None

    def sent(self, identity: Identity) -> tuple[int, int] | None:
        """Width and height in px of what a model sees of it: its own, or with the longest side at most ``image_side``."""
        if self.size is None or identity.images == "url":
            return self.size
        scale = min(1.0, identity.image_side / max(self.size))
        return max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))


@dataclass
class Prompt:
    """One question to a model; not to be changed. ``errors``: what was wrong with the last reply (a retry; never in the key)."""

    system: ClassVar[str] = SYSTEM
    instructions: str
    request: Request
    schema: dict[str, Any]
    picture: Picture | None = None
    errors: tuple[str, ...] = ()
    _asked: bytes = field(default=b"", init=False, repr=False, compare=False)

    @property
    def asked(self) -> bytes:
        """The request as JSON, defaults left out."""
        if not self._asked:
            self._asked = self.request.encoded()
        return self._asked

    def size(self, identity: Identity) -> tuple[int, int] | None:
        """The picture's size in px as the model sees it."""
        return self.picture.sent(identity) if self.picture else None

    def block(self, identity: Identity) -> str:
        """The fenced JSON block, boxes in the model's dialect."""
        body = self.asked
        if identity.box_dialect != "unit":
            body = orjson.dumps(to_dialect(orjson.loads(body), identity.box_dialect, self.size(identity)))
        return f"```json\n{body.decode()}\n```"

    def tail(self, identity: Identity) -> str:
        """The last part of the user's message."""
        if not self.errors:
            return self.block(identity)
        said = "".join(f"- {error}\n" for error in self.errors)
        return f"Your last reply could not be used:\n{said}Answer again, for these items only.\n{self.block(identity)}"

    def messages(self, identity: Identity, url: str | None, tail: str | None = None) -> list[dict[str, Any]]:
        """The chat messages; `url` is the picture itself as a data URL, or its address. `tail`: in the place of the last part."""
        user: list[dict[str, Any]] = [{"type": "text", "text": self.instructions}]
        if url is not None:
            user.append({"type": "image_url", "image_url": {"url": url, "detail": identity.image_detail}})
        user.append({"type": "text", "text": self.tail(identity) if tail is None else tail})
        return [{"role": "system", "content": self.system}, {"role": "user", "content": user}]


NO_SCHEMA: dict[str, Any] = {}


class Question(Prompt):
    """A question as a benchmark asks it: a picture, ``request.data["question"]``, and a system message if it has ``instructions``.
    The reply is the answer, whatever its form."""

    system: ClassVar[str] = ""

    @classmethod
    def of(cls, text: str, picture: Picture | None, system: str = "") -> Self:
        """The question of a text."""
        return cls(system, Request(task="answer", data={"question": text}), NO_SCHEMA, picture)

    def tail(self, identity: Identity) -> str:
        """The text alone."""
        return str(self.request.data["question"])

    def messages(self, identity: Identity, url: str | None, tail: str | None = None) -> list[dict[str, Any]]:
        """The chat messages; nothing is added to what the benchmark says."""
        _, user = super().messages(identity, url, tail)
        asked = [{"role": "user", "content": user["content"][1:]}]
        return [{"role": "system", "content": self.instructions}, *asked] if self.instructions else asked


def key_of(prompt: Prompt, identity: Identity, *, draw: int, attempt: int) -> bytes:
    """The 32 bytes under which an answer is kept: over endpoint identity, messages (an image as source digest, resize rule and
    encoder version), sampling parameters, schema, draw and content attempt. `prompt` is that of the first attempt."""
    picture = [prompt.picture.digest, identity.image_side, ENCODER] if prompt.picture and identity.sees_images else None
    hashed = _hashed(_canonical(identity), prompt.system, prompt.instructions).copy()
    hashed.update(prefixed(prompt.tail(identity), orjson.dumps(picture), _canonical(prompt.schema), draw, attempt))
    return hashed.digest()


@lru_cache(256)
def _hashed(identity: str, system: str, instructions: str) -> "hashlib._Hash":
    """The hash over what begins the key of every question of a kind; to be copied."""
    return hashlib.sha256(prefixed(identity, system, instructions))


_known: dict[int, tuple[dict[str, Any] | Identity, str]] = {}


def _canonical(of: dict[str, Any] | Identity) -> str:
    """The canonical form of a schema or an identity, made once: there are few."""
    if id(of) not in _known:
        value = of.model_dump(mode="json") if isinstance(of, Identity) else of
        _known[id(of)] = of, canonical(value)  # what it is of is held too, so that its id is never another's
    return _known[id(of)][1]


def picture_of(record: SeedRecord, images_root: str | None) -> Picture | None:
    """Where a record's image is; None in a study without pictures."""
    if record.image is None or record.image_digest is None or images_root is None:
        return None
    size = (record.width, record.height) if record.width and record.height else None
    return Picture(f"{images_root}/{record.image}", record.image_digest, size, record.image)
