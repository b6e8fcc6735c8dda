"""Tokenizers and chat templates.

A template marks with ``{% generation %}`` what the assistant says, its end token included: that is what the loss counts. With
the variable ``reference_mask`` it marks the whole assistant message, header included; `Chat.control` lists the tokens that the
reference un-masks on top of that in every message.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mmevol.config.train import PublishedModel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IMAGE = "<image>"


@dataclass(frozen=True)
class Chat:
    """How a model family writes a conversation. `header` holds ROLE for the role; `after` follows each message's `end`.

    `system_header`: of the system message, where it is another.
    """

    header: str
    end: str
    system_header: str = ""
    after: str = ""
    start: str = ""
    system: str = ""
    between: str = ""
    image: str = IMAGE
    pad: str = ""
    control: tuple[str, ...] = ()

    def head(self, role: str) -> str:
        """What stands before the content of a message."""
        return self.header.replace("ROLE", role)

    def template(self) -> str:
        """The Jinja chat template; a message's content is text or a list of image and text parts."""

        def literal(text: str) -> str:
            return "{{ " + json.dumps(text) + " }}" if text else ""

        said = "{{ text(message.content) | trim }}" + literal(self.end)
        assistant = literal(self.head("assistant"))
        head = self.system_header or self.head("system")
        opening = self.start + (head + self.system + self.end + self.after if self.system else "")
        return (
            _content(self.image + self.between)
            + literal(opening)
            + "{%- for message in messages -%}{%- if message.role == 'assistant' -%}{%- if reference_mask -%}"
            + f"{{% generation %}}{assistant}{said}{{% endgeneration %}}{{%- else -%}}"
            + f"{assistant}{{% generation %}}{said}{{% endgeneration %}}{{%- endif -%}}{{%- else -%}}"
            + f"{literal(self.head('user'))}{said}{{%- endif -%}}{literal(self.after)}{{%- endfor -%}}"
            + f"{{%- if add_generation_prompt -%}}{assistant}{{%- endif -%}}"
        )

    def plain(self) -> str:
        """The template of stage 1: the picture, then its caption and an end; no roles."""
        end = json.dumps(self.after or self.end)
        return (
            _content(self.image) + "{%- for message in messages -%}{%- if message.role == 'assistant' -%}"
            "{% generation %}{{ text(message.content) | trim }}{{ " + end + " }}{% endgeneration %}"
            "{%- else -%}{{ text(message.content) }}{%- endif -%}{%- endfor -%}"
        )


def _content(image: str) -> str:
    return (
        "{%- macro text(content) -%}{%- if content is string -%}{{ content }}{%- else -%}{%- for part in content -%}"
        "{%- if part.type == 'image' -%}{{ " + json.dumps(image) + " }}{%- else -%}{{ part.text }}{%- endif -%}"
        "{%- endfor -%}{%- endif -%}{%- endmacro -%}"
    )


CHATS = {
    "tiny": Chat(header="<|ROLE|>", end="<|end|>", pad="<|pad|>", control=("<|user|>", "<|assistant|>", "<|end|>")),
    "qwen2": Chat(
        header="<|im_start|>ROLE\n",
        end="<|im_end|>",
        after="\n",
        system="You are a helpful assistant.",
        between="\n",
        pad="<|endoftext|>",
        control=("<|im_start|>", "<|im_end|>", "\n"),
    ),
    "llama3": Chat(
        start="<|begin_of_text|>",
        header="<|start_header_id|>ROLE<|end_header_id|>\n\n",
        end="<|eot_id|>",
        system="You are a helpful language and vision assistant.",
        between="\n",
        image="<|reserved_special_token_249|>",
        pad="<|reserved_special_token_250|>",
        control=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "\n\n"),
    ),
}
"""Llama-3 has no room for a new token: two of its reserved ones stand for picture and padding."""

REFERENCE_CHATS = {
    "qwen2": replace(CHATS["qwen2"], system_header="<|im_start|>system ", after=""),
    "llama3": CHATS["llama3"],
}
"""As the reference asks a trained model: Qwen2 without the line breaks that it was trained with."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> "PreTrainedTokenizerFast":
    """A byte-level BPE of at most `vocabulary` entries, trained on `texts`; any text round-trips but for a leading space.

    Every word carries its space, also the first after a special token: an answer "red" is the same token as in a question.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    chat = CHATS["tiny"]
    special = [chat.pad, chat.head("user"), chat.head("assistant"), chat.end, chat.image]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        pad_token=chat.pad,
        eos_token=chat.end,
        additional_special_tokens=[chat.head("user"), chat.head("assistant"), chat.image],
        extra_special_tokens={"image_token": chat.image},
        chat_template=chat.template(),
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )


def published_tokenizer(model: PublishedModel) -> "PreTrainedTokenizerFast":
    """The language model's own tokenizer with our chat template and a token for pictures; needs no new embedding row."""
    from transformers import AutoTokenizer

    chat = CHATS[model.template]
    tokenizer: Any = AutoTokenizer.from_pretrained(
        model.language,
        revision=model.language_revision,
        extra_special_tokens={"image_token": chat.image},
        pad_token=chat.pad,
        eos_token=chat.end,
        padding_side="right",
    )
    tokenizer.chat_template = chat.template()
    loaded: PreTrainedTokenizerFast = tokenizer
    return loaded
