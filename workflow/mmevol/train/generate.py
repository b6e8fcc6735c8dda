"""Answering questions about pictures with a model on this machine: one trained here, or any image-text-to-text model of
transformers that comes with a processor and a chat template."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from mmevol.records import BadInput
from mmevol.train.samples import plain_text
from mmevol.train.tokenizer import CHATS, Chat

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


class Item(NamedTuple):
    """Pictures (none, one or several), the question, and what the system message says beyond the model's own words."""

    images: Sequence[Image.Image]
    question: str
    system: str = ""


def load(
    model_dir: Path, *, threads: int = 1, grid: Literal["trained", "square"] = "trained"
) -> tuple["PreTrainedModel", "ProcessorMixin"]:
    """A model, on the GPU where there is one, and its processor. `threads`: of the CPU.

    `grid`: ``square`` makes a LLaVA-NeXT cut every picture into 2 by 2 tiles, whatever its shape. Raises `BadInput` where the
    folder holds no model, or one without a chat template.
    """
    if not (model_dir / "config.json").exists():
        raise _bad(
            model_dir, "no config.json", "run the finetune target, or name the folder of a model of transformers"
        )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    processors: Any = AutoProcessor
    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(model_dir, dtype="auto", local_files_only=True)
        processor = processors.from_pretrained(model_dir, local_files_only=True)
    except (OSError, ValueError) as error:
        raise _bad(model_dir, str(error)[:300], "mend the folder; models with code of their own are not run") from error
    if not getattr(processor, "chat_template", None):
        raise _bad(model_dir, "a processor without a chat template", "put the model's chat_template.jinja beside it")
    if grid == "square" and model.config.model_type == "llava_next":
        side = processor.image_processor.crop_size["height"]
        model.config.image_grid_pinpoints = processor.image_processor.image_grid_pinpoints = [[2 * side, 2 * side]]
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), processor


def _bad(folder: Path, found: str, remedy: str) -> BadInput:
    expected = "an image-text-to-text model, with its processor and chat template"
    return BadInput(file=str(folder), field="(folder)", found=found, expected=expected, remedy=remedy)


def layout(processor: Any) -> str:
    """The name in `CHATS` of the layout that a model was trained with here; '' of another."""
    return next((name for name, chat in CHATS.items() if chat.template() == processor.chat_template), "")


def prompt(processor: Any, item: Item, chat: Chat | None = None) -> str:
    """An item as the text of a conversation that waits for the assistant; pictures stand before the question.

    `chat` takes the place of the model's own layout. Where that knows no system message, what it would say begins the question.
    """
    text, messages, template = plain_text(item.question, processor.tokenizer), [], None
    if chat:
        template = replace(chat, system=f"{chat.system} {item.system}".strip()).template()
    elif item.system and "system" in processor.chat_template and not layout(processor):
        messages.append({"role": "system", "content": [{"type": "text", "text": item.system}]})
    elif item.system:
        text = f"{item.system}\n{text}"
    content: list[dict[str, str]] = [{"type": "image"}] * len(item.images)
    messages.append({"role": "user", "content": [*content, {"type": "text", "text": text}]})
    return str(processor.apply_chat_template(messages, chat_template=template, add_generation_prompt=True))


def answer(
    model: "PreTrainedModel",
    processor: "ProcessorMixin",
    items: Sequence[Item],
    *,
    max_new_tokens: int = 32,
    batch: int = 64,
    beams: int = 1,
    chat: Chat | None = None,
) -> list[str]:
    """The model's answers, in the order of `items`: greedy (or by beam search), never sampled.

    Items of about one length share a batch, with as many pictures each; prompts are padded on the left. Which items share a batch
    follows from their lengths alone.
    """
    read: Any = processor
    tokenizer, generate = read.tokenizer, cast(Any, model).generate
    tokenizer.padding_side = "left"
    begins = tokenizer.bos_token or "\0"
    prompts = [prompt(processor, item, chat) for item in items]
    answers = [""] * len(items)
    for chosen in _batches([(len(item.images), len(text)) for item, text in zip(items, prompts, strict=True)], batch):
        images = [[image.convert("RGB") for image in items[i].images] for i in chosen]
        inputs = read(
            images=images if images[0] else None,
            text=[prompts[i] for i in chosen],
            padding=True,
            return_tensors="pt",
            add_special_tokens=not prompts[chosen[0]].startswith(begins),  # a layout that begins so is whole
        ).to(model.device, model.dtype)
        with torch.inference_mode():
            out = generate(**inputs, max_new_tokens=max_new_tokens, num_beams=beams, do_sample=False)
        said = out if model.config.is_encoder_decoder else out[:, inputs["input_ids"].shape[1] :]
        for i, text in zip(chosen, tokenizer.batch_decode(said, skip_special_tokens=True), strict=True):
            answers[i] = text.strip()
    return answers


def _batches(sizes: Sequence[tuple[int, int]], batch: int) -> Iterator[list[int]]:
    """Numbers of items, shortest first; a batch holds items with as many pictures. `sizes`: pictures and length of each."""
    for count in sorted({pictures for pictures, _ in sizes}):
        order = sorted((length, i) for i, (pictures, length) in enumerate(sizes) if pictures == count)
        for at in range(0, len(order), batch):
            yield [i for _, i in order[at : at + batch]]
