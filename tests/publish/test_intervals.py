import math
from statistics import NormalDist

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mmevol.publish.intervals import Spread, cluster_sums, estimate, rows_spread, seeds_spread, wilson
from scipy.stats import binomtest, ttest_1samp, ttest_rel

pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=3, max_size=60)


def influences(values: list[float]) -> dict[str, float]:
    middle = sum(values) / len(values)
    return {str(i): (v - middle) / len(values) for i, v in enumerate(values)}


@given(pairs)
def test_a_paired_difference_of_means_is_the_paired_t_test(rows: list[tuple[int, int]]) -> None:
    left, right = [a for a, _ in rows], [b for _, b in rows]
    assume(len({a - b for a, b in rows}) > 1)
    mine, other = influences(left), influences(right)
    found = estimate(
        sum(left) / len(rows) - sum(right) / len(rows), [rows_spread([{k: mine[k] - other[k] for k in mine}])]
    )
    assert found
    expected = ttest_rel(left, right).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=40))
def test_the_interval_of_a_mean_is_the_t_interval(values: list[float]) -> None:
    assume(max(values) - min(values) > 1e-3)
    found = estimate(sum(values) / len(values), [rows_spread([influences(values)])])
    assert found
    expected = ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=30), st.integers(2, 5))
def test_repeating_every_question_about_an_image_makes_nothing_surer(values: list[float], times: int) -> None:
    assume(max(values) - min(values) > 1e-3)
    once = rows_spread([influences(values)])
    many = influences([v for v in values for _ in range(times)])
    again = rows_spread([cluster_sums((f"image {int(k) // times}", v) for k, v in many.items())])
    assert once and again
    assert (again.variance, again.freedom) == pytest.approx((once.variance, once.freedom))


def test_nothing_is_claimed_where_nothing_varies_or_is_known() -> None:
    assert rows_spread([{"only": 0.5}]) is None
    assert estimate(1.0, [None]) is None
    assert estimate(1.0, [rows_spread([{"a": 0.0, "b": 0.0}])]) is None
    assert seeds_spread([3.0]) is None
    assert wilson(0, 0) is None


def test_sources_of_chance_add_and_freedom_is_welchs() -> None:
    found = estimate(0.0, [Spread(4.0, 10), Spread(9.0, 5)])
    assert found and found.standard_error == pytest.approx(math.sqrt(13))
    freedom = 13**2 / (16 / 10 + 81 / 5)
    alone = estimate(0.0, [Spread(13.0, freedom)])
    assert alone and alone.high == pytest.approx(found.high)


def test_the_smallest_difference_is_found_four_times_in_five() -> None:
    found = estimate(0.0, [Spread(1.0, 1e6)])
    assert found
    caught = 1 - NormalDist(found.smallest, found.standard_error).cdf(found.high)
    assert caught == pytest.approx(0.8, abs=1e-3)


def test_runs_of_training_give_the_standard_error_of_their_mean() -> None:
    spread = seeds_spread([1.0, 2.0, 3.0])
    assert spread == Spread(pytest.approx(1 / 3), 2)


@given(st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=12), min_size=1, max_size=5))
def test_parts_that_share_no_image_add_as_independent_ones(parts: list[list[float]]) -> None:
    named = [{f"{i}/{j}": v for j, v in enumerate(part)} for i, part in enumerate(parts)]
    each = [rows_spread([part]) for part in named]
    together = rows_spread(named)
    assert together and all(each)
    variances = [s.variance for s in each if s]
    assert together.variance == pytest.approx(sum(variances))
    assert min(s.freedom for s in each if s) <= together.freedom + 1e-9 or sum(variances) == 0


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_is_scipys(hits: int, n: int) -> None:
    assume(hits <= n)
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-6)
