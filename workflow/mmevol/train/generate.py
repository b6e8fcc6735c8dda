"""Answering questions about pictures with a trained model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from transformers import LlavaNextForConditionalGeneration

from mmevol.train.backbone import load_processor

if TYPE_CHECKING:
    from transformers import LlavaNextProcessor

Item = tuple[list[Image.Image], str]
"""Pictures (none, one or several) and the question."""


def load(model_dir: Path, *, threads: int = 2) -> tuple[LlavaNextForConditionalGeneration, "LlavaNextProcessor"]:
    """A trained model, on the GPU where there is one, and its processor. `threads`: of the CPU."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    model = LlavaNextForConditionalGeneration.from_pretrained(model_dir, dtype="auto", attn_implementation="sdpa")
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu"), load_processor(model_dir)


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
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    prompts = [
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image"}] * len(images) + [{"type": "text", "text": question}]}],
            add_generation_prompt=True,
        )
        for images, question in items
    ]
    order = sorted(range(len(items)), key=lambda i: (len(items[i][0]), len(prompts[i]), i))
    answers = [""] * len(items)
    for at in range(0, len(order), batch):
        chosen = order[at : at + batch]
        images = [image.convert("RGB") for i in chosen for image in items[i][0]]
        inputs = processor(
            images=images or None, text=[prompts[i] for i in chosen], padding=True, return_tensors="pt"
        ).to(model.device)
        if images:
            inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=max_new_tokens, num_beams=beams, do_sample=False)
        said = out[:, inputs["input_ids"].shape[1] :]
        for i, text in zip(chosen, tokenizer.batch_decode(said, skip_special_tokens=True), strict=True):
            answers[i] = text.strip()
    return answers
