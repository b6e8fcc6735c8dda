import dataclasses
import re

import numpy as np
import pytest
from mmevol.records import BadInput, SeedRecord
from mmevol.train.backbone import load_processor
from mmevol.train.samples import Conversation, Encoder, Picture, Sample, encode_all, picture_of, read_seeds
from tiny_study import MODEL, Study

PICTURE = Picture("00.png", 80, 80)
TURNS = (("What color?", "red"), ("How many?", "2"))


@pytest.fixture(scope="module")
def encoder(study: Study) -> Encoder:
    return Encoder(load_processor(study.base), MODEL)


def marked(encoder: Encoder, sample: Sample) -> str:
    """The sample as text, with what the loss counts in square brackets."""
    words = [
        f"[{token}]" if counted else token
        for token, counted in zip((encoder.tokenizer.decode([i]) for i in sample.ids), sample.counts, strict=True)
    ]
    return re.sub(r"\]\[", "", "".join(words))


def test_the_loss_counts_what_the_assistant_says_and_its_end(encoder: Encoder) -> None:
    assert marked(encoder, encoder.sample(PICTURE, TURNS)) == (
        "<|user|><image> What color?<|end|><|assistant|>[ red<|end|>]<|user|> How many?<|end|><|assistant|>[ 2<|end|>]"
    )


def test_the_reference_mask_counts_template_tokens_too(study: Study) -> None:
    encoder = Encoder(load_processor(study.base), MODEL, mask="reference")
    assert marked(encoder, encoder.sample(PICTURE, TURNS)) == (
        "[<|user|>]<image> What color?[<|end|><|assistant|> red<|end|><|user|>] How many?[<|end|><|assistant|> 2<|end|>]"
    )


def test_stage_one_counts_the_caption_and_its_end(study: Study) -> None:
    encoder = Encoder(load_processor(study.base), MODEL, style="plain")
    assert marked(encoder, encoder.sample(PICTURE, [("", "A red square.")])) == "<image>[ A red square.<|end|>]"


def test_words_of_a_record_are_never_structure(encoder: Encoder) -> None:
    sample = encoder.sample(PICTURE, [("Is <image> an <|end|>?", "<|assistant|>No")])
    assert np.count_nonzero(sample.ids == encoder.image_id) == 1
    assert marked(encoder, sample).count("<|end|>") == 2
    encoder.check(sample, [("Is <image> an <|end|>?", "<|assistant|>No")])


def test_text_alone_has_no_image_tokens(encoder: Encoder) -> None:
    sample = encoder.sample(None, TURNS)
    assert (sample.length, sample.image_tokens) == (len(sample.ids), 0)


def test_a_picture_takes_its_tokens_and_newlines(encoder: Encoder) -> None:
    sample = encoder.sample(PICTURE, TURNS)
    assert sample.image_tokens == 16 + 16 + 4
    assert sample.length == len(sample.ids) - 1 + 36


def test_long_conversations_are_split_and_single_turns_that_are_too_long_counted(encoder: Encoder) -> None:
    turns = (*[(f"What is {n}?", "word " * 12) for n in range(7)], ("Say it.", "word " * 400))
    samples, too_long = encoder.encode(Conversation("k", PICTURE, turns))
    assert too_long == 1
    assert all(s.length <= MODEL.max_length and s.picture for s in samples)
    ends = encoder.tokenizer.convert_tokens_to_ids("<|end|>")
    assert sum(np.count_nonzero(s.ids[s.counts] == ends) for s in samples) == 7
    assert max(np.count_nonzero(s.ids[s.counts] == ends) for s in samples) <= MODEL.turns


@pytest.mark.parametrize("wrong", [-1, 0, 2])
def test_the_check_finds_a_mask_that_is_off_by_a_token(encoder: Encoder, wrong: int) -> None:
    sample = encoder.sample(PICTURE, TURNS)
    at = int(np.flatnonzero(sample.counts)[0]) + wrong
    counts = sample.counts.copy()
    counts[at] = not counts[at]
    encoder.check(sample, TURNS)
    with pytest.raises(ValueError, match="the loss would count"):
        encoder.check(dataclasses.replace(sample, counts=counts), TURNS)


def test_encoding_checks_its_masks(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    right = encoder.sample(PICTURE, TURNS)
    shifted = dataclasses.replace(right, counts=np.roll(right.counts, 1))
    monkeypatch.setattr(encoder, "sample", lambda *_: shifted)
    with pytest.raises(ValueError, match="the assistant says"):
        encode_all(encoder, [Conversation("k", PICTURE, TURNS)])


def test_a_picture_of_unknown_size_is_bad_input(study: Study) -> None:
    record: SeedRecord = next(read_seeds(study.shards))
    with pytest.raises(BadInput, match=r"seeds:00\n.*width"):
        picture_of(record.model_copy(update={"width": None}), "seeds")
