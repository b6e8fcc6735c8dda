from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol.train.tokenizer import CHATS, train_tokenizer
from transformers import PreTrainedTokenizerFast

TEXTS = ["What color is the red star?", "The image shows a red star.", "red"] * 2
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What color?"}]},
    {"role": "assistant", "content": "red"},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
]


TRAINED = train_tokenizer(TEXTS, 400)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return TRAINED


@settings(deadline=None)
@given(st.text().filter(lambda text: not any(t in text for t in ("<|", "<image>"))))
def test_any_text_round_trips_but_for_a_leading_space(text: str) -> None:
    assert TRAINED.decode(TRAINED.encode(text)).removeprefix(" ") == text.removeprefix(" ")


def test_an_answer_is_the_same_token_as_the_word_in_a_question(tokenizer: PreTrainedTokenizerFast) -> None:
    [red] = tokenizer.encode("red")
    assert red in tokenizer.encode("What color is the red star?")
    assert tokenizer.encode("<|assistant|>red<|end|>")[1] == red


def test_no_word_outside_the_training_texts_becomes_a_token(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer.encode("star")) == 1
    assert len(tokenizer.encode("zebra")) > 2


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("tiny", "<|user|><image>What color?<|end|><|assistant|>red<|end|><|user|>Why?<|end|><|assistant|>So.<|end|>"),
        (
            "qwen2",
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nWhat color?<|im_end|>\n"
            "<|im_start|>assistant\nred<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n",
        ),
        (
            "llama3",
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
            "You are a helpful language and vision assistant.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
            "<|reserved_special_token_249|>\nWhat color?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nred<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nSo.<|eot_id|>",
        ),
    ],
)
def test_templates(tokenizer: PreTrainedTokenizerFast, family: str, expected: str) -> None:
    template = CHATS[family].template()

    def written(messages: list[dict[str, Any]], **options: Any) -> str:
        text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, **options)
        assert isinstance(text, str)
        return text

    assert written(MESSAGES) == expected
    assert written(MESSAGES, reference_mask=True) == expected
    asked = written(MESSAGES[:3], add_generation_prompt=True)
    assert expected.startswith(asked), "what is asked at inference is what training showed"
    assert expected[len(asked) :].startswith("So.")
