from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol.train.sampler import Order, plan

LENGTHS = [20 + 7 * (i * i % 23) for i in range(203)]
PICTURED = [i % 5 > 0 for i in range(203)]


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 80), st.floats(0.1, 4), st.integers(0, 3))
def test_full_batches_until_the_tokens_are_seen(count: int, batch: int, epochs: float, key: int) -> None:
    lengths, pictured = LENGTHS[:count], PICTURED[:count]
    tokens = round(epochs * sum(lengths)) + 1
    made = plan(lengths, pictured, batch=batch, tokens=tokens, key=[key])
    assert {len(step) for step in made.steps} == {batch}
    assert made.tokens[-1] >= tokens > (made.tokens[-2] if len(made.tokens) > 1 else 0), (
        "the run ends when tokens are reached"
    )
    assert made.tokens[-1] == sum(lengths[i] for i in Order(made))


@settings(deadline=None)
@given(st.integers(8, 60), st.integers(1, 8), st.integers(1, 5))
def test_no_sample_is_far_ahead_of_another(count: int, batch: int, epochs: int) -> None:
    lengths, pictured = LENGTHS[:count], [True] * count
    made = plan(lengths, pictured, batch=batch, tokens=epochs * sum(lengths), key=["a"])
    seen = Counter(Order(made))
    assert max(seen[i] for i in range(count)) - min(seen[i] for i in range(count)) <= 2


def test_whole_epochs_show_each_sample_once() -> None:
    made = plan(LENGTHS[:200], PICTURED[:200], batch=8, tokens=3 * sum(LENGTHS[:200]), key=["a"])
    assert set(Counter(Order(made)).values()) == {3}
    assert made.epochs[-1] == 3


def test_a_plan_follows_from_its_key() -> None:
    def steps(key: str) -> list[list[int]]:
        return plan(LENGTHS, PICTURED, batch=8, tokens=9000, key=[key]).steps

    assert steps("a") == steps("a")
    assert steps("a") != steps("b")


def test_batches_hold_one_modality_and_like_lengths() -> None:
    made = plan(LENGTHS, PICTURED, batch=8, tokens=sum(LENGTHS), key=["a"])
    mixed = [step for step in made.steps if len({PICTURED[i] for i in step}) > 1]
    assert len(mixed) <= 1
    padded = sum(8 * max(LENGTHS[i] for i in step) for step in made.steps)
    at_random = sum(8 * max(LENGTHS[k : k + 8]) for k in range(0, 200, 8))
    assert padded < 0.75 * at_random


def test_nothing_to_train_on() -> None:
    with pytest.raises(ValueError, match="no sample"):
        plan([], [], batch=4, tokens=1, key=["a"])
