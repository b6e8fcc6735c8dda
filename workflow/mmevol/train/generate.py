"""Answering questions about pictures with a trained model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from transformers import LlavaNextForConditionalGeneration

from mmevol.records import BadInput
from mmevol.train.backbone import load_processor
from mmevol.train.samples import plain_text

if TYPE_CHECKING:
    from transformers import LlavaNextProcessor

Item = tuple[list[Image.Image], str]
"""Pictures (none, one or several) and the question."""


def load(model_dir: Path, *, threads: int = 1) -> tuple[LlavaNextForConditionalGeneration, "LlavaNextProcessor"]:
    """A trained model, on the GPU where there is one, and its processor. `threads`: of the CPU.

    Raises `BadInput` where the folder holds no model.
    """
    if not (model_dir / "config.json").exists():
        raise BadInput(
            file=str(model_dir),
            field="(folder)",
            found="no config.json",
            expected="a model saved by `mmevol train finetune`",
            remedy="run the finetune target",
        )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    model: Any = LlavaNextForConditionalGeneration.from_pretrained(model_dir, dtype="auto", attn_implementation="sdpa")
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), load_processor(model_dir)


def prompt(processor: "LlavaNextProcessor", item: Item) -> str:
    """An item as the text of a conversation that waits for the assistant; pictures stand before the question."""
    images, question = item
    content: list[dict[str, str]] = [{"type": "image"}] * len(images)
    content.append({"type": "text", "text": plain_text(question, processor.tokenizer)})
    message: Any = [{"role": "user", "content": content}]
    return str(processor.apply_chat_template(message, add_generation_prompt=True))


def answer(
    model: LlavaNextForConditionalGeneration,
    processor: "LlavaNextProcessor",
    items: Sequence[Item],
    *,
    max_new_tokens: int = 32,
    batch: int = 64,
    beams: int = 1,
) -> list[str]:
    """The model's answers, in the order of `items`: greedy (or by beam search), never sampled.

    Items of about one length share a batch; prompts are padded on the left. Which items share a batch follows from their
    lengths alone.
    """
    tokenizer, generate = processor.tokenizer, model.generate  # type: ignore[misc]
    tokenizer.padding_side = "left"
    prompts = [prompt(processor, item) for item in items]
    order = sorted(range(len(items)), key=lambda i: (len(items[i][0]), len(prompts[i]), i))
    answers = [""] * len(items)
    for at in range(0, len(order), batch):
        chosen = order[at : at + batch]
        images = [image.convert("RGB") for i in chosen for image in items[i][0]]
        texts = [prompts[i] for i in chosen]
        inputs = processor(images=images or None, text=texts, padding=True, return_tensors="pt").to(model.device)
        if images:
            inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        with torch.inference_mode():
            out = generate(**inputs, max_new_tokens=max_new_tokens, num_beams=beams, do_sample=False)
        said = out[:, inputs["input_ids"].shape[1] :]
        for i, text in zip(chosen, tokenizer.batch_decode(said, skip_special_tokens=True), strict=True):
            answers[i] = text.strip()
    return answers
