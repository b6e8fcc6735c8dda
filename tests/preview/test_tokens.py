"""Tokens of pictures, by the providers' own examples, and of texts."""

import pytest
from mmevol.config import Identity, ImageTokens
from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.schemas import ANSWERS
from mmevol.preview.tokens import image_tokens, text_tokens
from mmevol.records import Request

HIGH = Identity(image_detail="high", image_side=4096)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((1024, 1024), 765),
        ((2048, 4096), 1105),
        ((512, 512), 255),
        ((513, 512), 425),
        ((80, 80), 255),
        ((4096, 64), 765),
    ],
)
def test_tiles_are_counted_as_openai_does(size: tuple[int, int], tokens: int) -> None:
    assert image_tokens(ImageTokens(), size, HIGH) == tokens


def test_low_detail_is_a_constant() -> None:
    low = Identity(image_detail="low")
    assert {image_tokens(ImageTokens(), size, low) for size in [(512, 300), (10, 10), None]} == {85}
    assert image_tokens(ImageTokens(base=2833, tile=5667), (512, 512), low) == 2833


def test_other_rules_are_a_constant_or_a_token_a_patch() -> None:
    assert image_tokens(ImageTokens(base=576, tile=0), (999, 3), HIGH) == 576
    assert image_tokens(ImageTokens(base=2, patch=28), (280, 29), HIGH) == 22


def test_an_unknown_size_counts_as_the_longest_side() -> None:
    wide = Identity(image_detail="high", image_side=1024)
    assert image_tokens(ImageTokens(), None, wide) == image_tokens(ImageTokens(), (1024, 1024), wide)


def test_all_texts_of_a_prompt_count() -> None:
    prompt = Prompt("A" * 400, Request(task="blind"), ANSWERS)
    more = Prompt("A" * 800, Request(task="blind"), ANSWERS)
    of = [text_tokens(p.messages(HIGH, None)) for p in (prompt, more)]
    assert of[1] - of[0] == 100
    assert of[0] > 100 + len("You write and examine question-answer data") / 4
