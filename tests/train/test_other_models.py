"""Any image-text-to-text model of transformers answers from its folder: here an Idefics3, minute and untrained."""

from pathlib import Path

import pytest
from mmevol.records import BadInput
from mmevol.train.backbone import seeded
from mmevol.train.generate import Item, answer, layout, load, prompt
from mmevol.train.tokenizer import train_tokenizer
from PIL import Image

TEMPLATE = (
    "{% for message in messages %}{{ '<|system|>' if message['role'] == 'system' else '<|user|>' }}"
    "{% for part in message['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    out = tmp_path_factory.mktemp("idefics3")
    tokenizer = train_tokenizer(["What is it? Which color? red blue green cup"] * 3, 320)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<fake_token_around_image>", "<end_of_utterance>"]})
    images = Idefics3ImageProcessorPil(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=TEMPLATE)
    config = Idefics3Config(
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "initializer_range": 0.5,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": None,
        },
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )
    with seeded("other"):
        Idefics3ForConditionalGeneration(config).save_pretrained(out)
    processor.save_pretrained(out)
    return out


def items() -> list[Item]:
    colors = ["red", "blue", "green", "white", "black", "cyan", "pink", "gold"]
    pictures = [Image.new("RGB", (20 + 3 * n, 32), color) for n, color in enumerate(colors)]
    asked = [Item([picture], f"Which color? {'What is it? ' * n}") for n, picture in enumerate(pictures)]
    return [*asked, Item([], "What is it?"), Item(pictures[:2], "Which?", system="Say red or blue.")]


def test_answers_do_not_depend_on_the_batch(folder: Path) -> None:
    model, processor = load(folder)
    assert type(model).__name__ == "Idefics3ForConditionalGeneration"
    alone = answer(model, processor, items(), max_new_tokens=6, batch=1)
    assert alone == answer(model, processor, items(), max_new_tokens=6, batch=8)
    assert len(set(alone)) > 1


def test_its_own_layout_and_system_message(folder: Path) -> None:
    _, processor = load(folder, grid="square")
    assert layout(processor) == ""
    assert (
        prompt(processor, items()[-1])
        == "<|system|>Say red or blue.<|end|><|user|><image><image>Which?<|end|><|assistant|>"
    )


@pytest.mark.parametrize(
    ("broken", "found"), [("chat_template.jinja", "without a chat template"), ("model", "model.safetensors")]
)
def test_a_folder_that_lacks_something(folder: Path, tmp_path: Path, broken: str, found: str) -> None:
    for file in folder.iterdir():
        if not file.name.startswith(broken):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BadInput, match=found):
        load(tmp_path)
