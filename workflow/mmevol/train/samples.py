"""From records to samples: conversations about a picture as token ids, with a mask over what the loss counts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmevol.config.train import Model
from mmevol.records import BadInput, SeedRecord
from mmevol.store import read_rows
from mmevol.train.tokenizer import CHATS

if TYPE_CHECKING:
    from transformers import LlavaNextProcessor

Turn = tuple[str, str]
"""What the human says and what the assistant answers."""


@dataclass(frozen=True)
class Picture:
    """A picture by its path below the images' root; size in px."""

    path: str
    width: int
    height: int


@dataclass(frozen=True)
class Conversation:
    """All that is said about one record, in order. `id` is the record's key."""

    id: str
    picture: Picture | None
    turns: tuple[Turn, ...]


@dataclass(frozen=True)
class Sample:
    """A conversation, or a part of one, as tokens.

    ``ids`` (n,) int32 hold one placeholder for the picture, which stands for ``image_tokens`` tokens at the model's input;
    ``counts`` (n,) bool says which tokens the loss counts.
    """

    ids: np.ndarray
    counts: np.ndarray
    picture: Picture | None
    image_tokens: int

    @property
    def length(self) -> int:
        """Tokens at the model's input, image tokens included."""
        return len(self.ids) + (self.image_tokens - 1 if self.picture else 0)


def read_seeds(shards: Iterable[Path]) -> Iterator[SeedRecord]:
    """The seed records of all shards."""
    for shard in shards:
        yield from read_rows(shard, "seed")


def picture_of(record: SeedRecord, where: str) -> Picture | None:
    """A record's picture, or None where the study has none. Raises `BadInput` where its size is unknown."""
    if record.image is None:
        return None
    if not record.width or not record.height:
        raise BadInput(
            file=f"{where}:{record.key}",
            field="width, height",
            found=f"{record.width} x {record.height}",
            expected="the picture's size in px",
            remedy="run the seeds target again: its audit measures every picture",
        )
    return Picture(record.image, record.width, record.height)


def plain_text(text: str, tokenizer: Any) -> str:
    """Text in which no special token is spelled: a record's words are never structure."""
    for token in tokenizer.get_added_vocab():
        if token in text and token.strip():  # some tokenizers add runs of spaces
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


class Encoder:
    """Encodes conversations for one backbone.

    `style`: ``chat`` is the model's template, ``plain`` the picture and its caption alone (stage 1). `mask`: what the loss
    counts (`Recipe.mask`).
    """

    def __init__(
        self,
        processor: "LlavaNextProcessor",
        model: Model,
        *,
        style: Literal["chat", "plain"] = "chat",
        mask: Literal["assistant", "reference"] = "assistant",
    ) -> None:
        self.processor, self.model, self.mask, self.style = processor, model, mask, style
        self.tokenizer: Any = processor.tokenizer
        self.chat = CHATS[model.kind if model.kind == "tiny" else model.template]
        self.image_id: int = self.tokenizer.convert_tokens_to_ids(self.chat.image)
        self.end = (self.chat.after or self.chat.end) if style == "plain" else self.chat.end
        self._control = set(self.tokenizer.convert_tokens_to_ids(list(self.chat.control)))
        if mask == "reference":  # "\n" and "\n\n" are ordinary tokens
            self._control |= {i for t in self.chat.control for i in self.tokenizer.encode(t, add_special_tokens=False)}

    def encode(self, conversation: Conversation) -> tuple[list[Sample], int]:
        """Samples of at most `Model.turns` turns and `Model.max_length` tokens, and how many turns are too long for any."""
        samples, too_long = [], 0
        pending = [
            conversation.turns[at : at + self.model.turns] for at in range(0, len(conversation.turns), self.model.turns)
        ]
        while pending:
            turns = pending.pop(0)
            sample = self.sample(conversation.picture, turns)
            if sample.length <= self.model.max_length:
                samples.append(sample)
            elif len(turns) > 1:
                pending[:0] = [turns[: len(turns) // 2], turns[len(turns) // 2 :]]
            else:
                too_long += 1
        return samples, too_long

    def sample(self, picture: Picture | None, turns: Sequence[Turn]) -> Sample:
        """One sample of these turns, whatever its length; the picture stands before the first."""
        messages: list[dict[str, Any]] = []
        for at, (human, assistant) in enumerate(turns):
            content = [{"type": "image"}] if picture and at == 0 else []
            content += [{"type": "text", "text": plain_text(human, self.tokenizer)}]
            messages.append({"role": "user", "content": content})
            messages.append({"role": "assistant", "content": plain_text(assistant, self.tokenizer)})
        encoded = self.tokenizer.apply_chat_template(
            messages,
            chat_template=self.chat.plain() if self.style == "plain" else None,
            return_dict=True,
            return_assistant_tokens_mask=True,
            reference_mask=self.mask == "reference",
        )
        ids = np.asarray(encoded["input_ids"], dtype=np.int32)
        counts = np.asarray(encoded["assistant_masks"], dtype=bool)
        if self.mask == "reference" and self.style == "chat":
            counts |= np.isin(ids, list(self._control))
        return Sample(ids, counts, picture, self.image_tokens(picture) if picture else 0)

    def image_tokens(self, picture: Picture) -> int:
        """How many tokens a picture takes at the model's input, newlines included (LLaVA-NeXT)."""
        sizes = [(picture.height, picture.width)]
        counted = self.processor._get_num_multimodal_tokens(image_sizes=sizes)  # type: ignore[no-untyped-call]
        return int(counted["num_image_tokens"][0])

    def check(self, sample: Sample, turns: Sequence[Turn]) -> None:
        """Decode what the loss counts and compare it with what the assistant says.

        Raises `ValueError`, with both, where they differ; with the reference's mask, where a word of the assistant is missing.
        """
        said = [plain_text(assistant, self.tokenizer).strip() + self.end for _, assistant in turns]
        counted = [self.tokenizer.decode(ids).strip() for ids in _runs(sample)]
        if self.style == "plain":
            said, counted = ["".join(said).strip()], ["".join(counted)]
        wrong = counted != said if self.mask == "assistant" else any(not any(s in c for c in counted) for s in said)
        if wrong or (sample.picture and np.count_nonzero(sample.ids == self.image_id) != 1):
            raise ValueError(f"the loss would count {counted!r}, the assistant says {said!r}")


def _runs(sample: Sample) -> list[list[int]]:
    """The stretches of tokens that the loss counts."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], sample.counts.astype(np.int8), [0]])))
    return [sample.ids[a:b].tolist() for a, b in zip(edges[::2], edges[1::2], strict=True)]


def encode_all(
    encoder: Encoder, conversations: Iterable[Conversation], *, check: int = 64, seen: Callable[[], None] = lambda: None
) -> tuple[list[Sample], int]:
    """All samples of `conversations` in order, and how many turns were too long; the first `check` are checked before use."""
    samples: list[Sample] = []
    too_long = 0
    for number, conversation in enumerate(conversations):
        found, dropped = encoder.encode(conversation)
        if number < check and not dropped and len(found) == 1:
            encoder.check(found[0], conversation.turns)
        samples += found
        too_long += dropped
        seen()
    return samples, too_long
