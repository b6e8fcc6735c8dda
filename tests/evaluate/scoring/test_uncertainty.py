"""The standard error: equal to known formulas where there are any, and to resampling where there are none."""

import math
import statistics
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.result import answered_mean, standard_error
from mmevol.evaluate.scoring.score import paired_standard_error, score
from mmevol.evaluate.scoring.yes_no import PERCEPTION, REASONING


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_without_shared_images_it_is_that_of_a_mean(values: list[float]) -> None:
    found = standard_error(answered_mean(range(len(values)), values, [str(i) for i in range(len(values))], scale=1))
    assert found is not None
    assert math.isclose(found, statistics.stdev(values) / math.sqrt(len(values)), rel_tol=1e-6, abs_tol=1e-9)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=20), st.integers(2, 4))
def test_copies_of_a_question_on_one_image_tell_nothing_new(values: list[int], copies: int) -> None:
    once = standard_error(answered_mean(range(len(values)), values, [str(i) for i in range(len(values))]))
    many = [(value, str(i)) for i, value in enumerate(values) for _ in range(copies)]
    again = standard_error(answered_mean(range(len(many)), [v for v, _ in many], [i for _, i in many]))
    assert once is not None and again is not None and math.isclose(once, again, rel_tol=1e-9, abs_tol=1e-12)


def test_one_image_has_none() -> None:
    assert standard_error(answered_mean([1, 2], [0, 1], ["a", "a"])) is None and standard_error([]) is None


def test_f1_agrees_with_resampling() -> None:
    draw = Random(3)
    rows = [
        {"index": str(i), "question": "q", "answer": draw.choice(["Yes", "No"]), "category": "random"}
        for i in range(400)
    ]
    said = [row["answer"] if draw.random() < 0.8 else draw.choice(["Yes", "No"]) for row in rows]

    def f1(at: list[int]) -> float:
        hits = sum(said[i] == rows[i]["answer"] == "Yes" for i in at)
        return 200 * hits / (sum(said[i] == "Yes" for i in at) + sum(rows[i]["answer"] == "Yes" for i in at))

    resampled = statistics.stdev(f1(draw.choices(range(400), k=400)) for _ in range(400))
    inputs = Inputs(data=rows, predictions=[{"index": i, "prediction": text} for i, text in enumerate(said)])
    result = score("POPE", "mmevol", inputs)
    assert result.reported == pytest.approx(f1(list(range(400))))
    assert result.standard_error == pytest.approx(resampled, rel=0.15)


def test_mme_agrees_with_resampling_images() -> None:
    draw = Random(4)
    images = [(task, image) for task in (*PERCEPTION, *REASONING) for image in range(40)]
    rows = [
        {
            "index": str(2 * at + q),
            "question": "q",
            "image_path": f"{task}/{image}",
            "category": task,
            "answer": ("Yes", "No")[q],
        }
        for at, (task, image) in enumerate(images)
        for q in range(2)
    ]
    said = [row["answer"] if draw.random() < 0.75 else "Yes" for row in rows]
    right = {task: [] for task in REASONING}  # type: ignore[var-annotated]
    for at, (task, _) in enumerate(images):
        if task in right:
            right[task].append([said[2 * at + q] == rows[2 * at + q]["answer"] for q in range(2)])

    def mme() -> float:
        total = 0.0
        for pairs in right.values():
            some = draw.choices(pairs, k=40)
            total += 100 * sum(map(sum, some)) / 80 + 100 * sum(map(all, some)) / 40
        return total / 8

    resampled = statistics.stdev(mme() for _ in range(400))
    inputs = Inputs(data=rows, predictions=[{"index": i, "prediction": text} for i, text in enumerate(said)])
    result = score("MME", "mmevol", inputs)
    assert result.n == 320 and result.standard_error == pytest.approx(resampled, rel=0.15)


def test_pairs_that_are_alike_have_a_small_error_of_the_difference() -> None:
    golden = Path(__file__).resolve().parents[2] / "golden" / "MMStar" / "case_01" / "data.tsv"
    assert golden.is_file()
    rows = [{"index": str(i), "question": "q", "A": "x", "B": "y", "answer": "A"} for i in range(200)]

    def of(wrong: set[int]):  # type: ignore[no-untyped-def]
        said = [{"index": i, "prediction": "B" if i in wrong else "A"} for i in range(200)]
        return score("MMStar", "mmevol", Inputs(data=rows, predictions=said))

    left, right = of(set(range(50))), of(set(range(52)))
    error = paired_standard_error(left, right)
    difference = [float(i in (50, 51)) for i in range(200)]
    assert error == pytest.approx(100 * statistics.stdev(difference) / math.sqrt(200))
    assert left.standard_error is not None and error is not None and error < left.standard_error / 2
    assert paired_standard_error(left, left) == 0
