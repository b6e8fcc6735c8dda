from pathlib import Path

import pytest
from mmevol.records import BadInput
from mmevol.train.generate import Item, answer, layout, load, prompt
from mmevol.train.tokenizer import CHATS, REFERENCE_CHATS
from PIL import Image
from tiny_study import Study


def items(study: Study) -> list[Item]:
    def picture(number: int) -> Image.Image:
        return Image.open(study.images / f"{number:02d}.png")

    return [
        Item([picture(0)], "What color is the upper square?"),
        Item([picture(1)], "Which?"),
        Item([], "Is one more than two?"),
        Item([picture(2), picture(3)], "What differs?"),
        Item([picture(4)], "Is there an <image> or an <|end|>, and what is it that the upper one of them does?"),
        Item([picture(5).convert("L")], "Which?", system="Select a letter."),
    ]


def test_answers_keep_their_order_whatever_the_batch(study: Study) -> None:
    model, processor = load(study.base)
    asked = items(study)
    together = answer(model, processor, asked, max_new_tokens=5, batch=6)
    assert together == answer(model, processor, asked, max_new_tokens=5, batch=1)
    assert together == [answer(model, processor, [item], max_new_tokens=5)[0] for item in asked]
    assert len(set(together)) > 1


def test_a_question_is_never_structure(study: Study) -> None:
    _, processor = load(study.base)
    text = prompt(processor, items(study)[4])
    assert text.count("<image>") == 1
    assert text.count("<|end|>") == 1
    assert text.endswith("<|assistant|>")


def test_a_folder_without_a_model_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run the finetune target"):
        load(tmp_path)


def test_a_square_grid_cuts_every_picture_alike(study: Study) -> None:
    (_, as_trained), (model, square) = load(study.base), load(study.base, grid="square")
    asked = [Item([Image.new("RGB", size, "red")], "Which?") for size in ((80, 80), (200, 50))]
    tiles = {
        processor.image_processor(image, return_tensors="pt")["pixel_values"].shape[1]
        for processor in (square,)
        for (image,), *_ in asked
    }
    assert tiles == {5}  # 2 by 2, and the whole
    assert as_trained.image_processor.image_grid_pinpoints == [[80, 80]]
    assert answer(model, square, asked, max_new_tokens=3, batch=2) == answer(
        model, square, asked, max_new_tokens=3, batch=1
    )


def test_a_system_message_in_each_layout(study: Study) -> None:
    _, processor = load(study.base)
    item = Item([], "Which?", system="Select.")
    assert layout(processor) == "tiny"
    assert prompt(processor, item) == "<|user|>Select.\nWhich?<|end|><|assistant|>"
    assert prompt(processor, item, REFERENCE_CHATS["qwen2"]) == (
        "<|im_start|>system You are a helpful assistant. Select.<|im_end|><|im_start|>user\nWhich?<|im_end|>"
        "<|im_start|>assistant\n"
    )
    assert prompt(processor, item._replace(system=""), REFERENCE_CHATS["llama3"]) == prompt(
        processor, item._replace(system=""), CHATS["llama3"]
    )
