"""Shuffled, missing and repeated rows, odd option texts, circular groups, judges and their retries."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from mmevol.evaluate.scoring.inputs import Inputs, read_inputs
from mmevol.evaluate.scoring.judge import JudgeQuestion
from mmevol.evaluate.scoring.score import Score, score
from mmevol.records import BadInput

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
TABLES = ["MMStar", "AI2D_TEST", "RealWorldQA", "MMMU_DEV_VAL", "MME", "POPE", "HallusionBench", "MathVista_MINI"]


def row(index: int, answer: str = "A", **cells: str) -> dict[str, str]:
    return {"index": str(index), "question": "q", "A": "red", "B": "blue", "C": "", "answer": answer, **cells}


def star(data: list[dict[str, str]], said: dict[int, str], rules: Any = "mmevol", **more: Any) -> Score:
    predictions = [{"index": index, "prediction": text} for index, text in said.items()]
    return score("MMStar", rules, Inputs(data=data, predictions=predictions), **more)


@pytest.mark.parametrize("rules", ["mmevol", "vlmevalkit-head", "authors"])
@pytest.mark.parametrize("benchmark", TABLES)
def test_order_of_predictions_is_nothing(benchmark: str, rules: Any) -> None:
    inputs = read_inputs(benchmark, GOLDEN / benchmark / "case_02")
    shuffled = list(inputs.predictions)
    Random(1).shuffle(shuffled)
    assert score(benchmark, rules, inputs) == score(benchmark, rules, replace(inputs, predictions=shuffled))


@pytest.mark.parametrize("benchmark", ["MMStar", "AI2D_TEST", "RealWorldQA", "MMMU_DEV_VAL"])
def test_rows_of_choice_benchmarks_come_sorted(benchmark: str) -> None:
    inputs = read_inputs(benchmark, GOLDEN / benchmark / "case_02")
    shuffled = list(inputs.data)
    Random(2).shuffle(shuffled)
    again = score(benchmark, "mmevol", replace(inputs, data=shuffled))
    first = score(benchmark, "mmevol", inputs)
    assert again.rows == first.rows and again.reported == first.reported and again.correct == first.correct


@pytest.mark.parametrize("benchmark", TABLES)
def test_a_missing_prediction_shrinks_the_denominator_and_is_counted(benchmark: str) -> None:
    inputs = read_inputs(benchmark, GOLDEN / benchmark / "case_01")
    fewer = replace(inputs, predictions=inputs.predictions[2:])
    result = score(benchmark, "mmevol", fewer)
    assert result.n_missing == 2
    assert len(result.rows) == len(inputs.data) - 2


def test_the_last_prediction_of_an_index_counts_and_unknown_ones_do_not() -> None:
    inputs = Inputs(
        data=[row(1), row(2)],
        predictions=[{"index": i, "prediction": text} for i, text in ((1, "B"), (2, "A"), (1, "A"), (7, "A"))],
    )
    assert score("MMStar", "mmevol", inputs).rows == [[1, "A", 1], [2, "A", 1]]


def test_rows_without_image_are_dropped_before_anything() -> None:
    data = [row(1, image="sha256:0"), row(2, image=""), row(3, image="sha256:0")]
    result = star(data, {1: "A", 2: "A", 3: "B"})
    assert result.rows == [[1, "A", 1], [3, "B", 0]] and result.n_missing == 0
    assert result.image == {"1": "sha256:0", "3": "sha256:0"} and result.standard_error is None


def test_repeated_and_circular_rows_are_right_together_under_mmevol_and_apart_under_head() -> None:
    circle = [row(1, "A"), row(1_000_001, "B"), row(2, "A")]
    said = {1: "A", 1_000_001: "A", 2: "A"}
    assert star(circle, said).rows == [[1, "A", 0], [2, "A", 1]]
    assert star(circle, said, "vlmevalkit-head").rows == [[1, "A", 1], [2, "A", 1], [1_000_001, "A", 0]]
    twice = [row(1, A="green"), row(1), row(2)]
    assert star(twice, {1: "red", 2: "A"}).rows == [[1, "A", 0], [1, "A", 0], [2, "A", 1]]
    assert star(twice, {1: "red", 2: "A"}, "vlmevalkit-head").rows == [[1, "A", 1], [1, "A", 1], [2, "A", 1]]


@pytest.mark.parametrize("gone", ["None", "N/A", "null", "nan", "NULL", "#N/A", "<NA>"])
def test_an_option_that_spells_missing_vanishes(gone: str) -> None:
    data = [row(1, B=gone), row(2)]
    assert star(data, {1: f"B {gone}", 2: "A"}).rows[0] == [1, None, 0]
    assert star([row(1, B="none"), row(2)], {1: "none", 2: "A"}).rows[0] == [1, "B", 0]


def test_numbers_in_a_column_with_blanks_are_floats() -> None:
    full = [row(1, A="16", B="7"), row(2, A="12", B="9")]
    assert star(full, {1: "it is 16", 2: "x"}).rows[0] == [1, "A", 1]
    blank = [row(1, A="16", B="7"), row(2, A="", B="9")]
    assert star(blank, {1: "it is 16", 2: "x"}).rows[0] == [1, None, 0]
    assert star(blank, {1: "it is 16.0", 2: "x"}).rows[0] == [1, "A", 1]


def test_predictions_that_are_all_numbers_become_numbers() -> None:
    data = [row(1, A="7", B="x"), row(2, A="y", B="z")]
    assert star(data, {1: "007.5", 2: "x"}).rows[0] == [1, "A", 1]
    assert star([row(1, A="07", B="x"), row(2, A="y", B="z")], {1: "07", 2: "3"}).rows[0] == [1, None, 0]


def test_a_formula_reads_zero_under_mmevol_only() -> None:
    data = [row(1), row(2)]
    assert star(data, {1: "=A", 2: "B"}).rows[0] == [1, None, 0]
    assert star(data, {1: "= A", 2: "B"}, "vlmevalkit-head").rows[0] == [1, "A", 1]


def test_a_formula_is_one_in_any_column() -> None:
    data = [row(1, A="=4+1", B="blue"), row(2)]
    assert star(data, {1: "it must be 0", 2: "B"}).rows[0] == [1, "A", 1]
    assert star(data, {1: "it must be =4+1", 2: "B"}, "vlmevalkit-head").rows[0] == [1, "A", 1]


def test_an_image_cell_that_spells_missing_is_none_to_the_kit() -> None:
    data = [row(1, image="NA"), row(2, image="p")]
    assert star(data, {1: "A", 2: "A"}).rows == [[2, "A", 1]]


def test_a_cell_is_cut_and_its_line_ends_rewritten() -> None:
    long = row(1, A="x" * 40_000, B="blue")
    assert star([long, row(2)], {1: "x" * 32_767, 2: "A"}).rows[0] == [1, "A", 1]
    assert star([row(1, A="a\r\nb"), row(2)], {1: "a\r\nb", 2: "A"}).rows[0] == [1, "A", 1]
    assert star([row(1, A="a_x000D_\nb"), row(2)], {1: "a\r\nb", 2: "A"}).rows[0] == [1, "A", 1]


def test_one_group_of_which_the_first_turn_is_absent_counts_nowhere() -> None:
    assert star([row(1_000_001), row(2)], {1_000_001: "B", 2: "A"}).rows == [[2, "A", 1]]


def test_a_row_of_a_circle_that_the_judge_must_settle() -> None:
    circle = [row(1), row(1_000_001), row(2_000_001)]
    said = {1: "A", 1_000_001: "?", 2_000_001: "?"}
    for reply, hit in (("A", 1), ("B", 0), ("Z", 0)):
        result = star(circle, said, judges={"mcq": lambda questions, r=reply: [r] * len(questions)})
        assert result.rows == [[1, "A", hit]] and result.judge_calls == 2
    wrong = star(circle, said | {1: "B"}, judges={"mcq": lambda questions: ["A"] * len(questions)})
    assert wrong.rows == [[1, "B", 0]] and wrong.judge_calls == 0


@pytest.mark.parametrize("rules", ["mmevol", "vlmevalkit-head"])
def test_a_judge_that_failed_is_asked_again_whatever_its_words_hold(rules: Any) -> None:
    data = [row(1, "A", A="api", B="blue"), row(2)]
    failed = "Failed to obtain answer via API."
    judge = {"kind": "mcq", "replies": {"1": [failed, "B"]}}
    inputs = Inputs(
        data=data,
        predictions=[{"index": 1, "prediction": "?"}, {"index": 2, "prediction": "A"}],
        judge_replies=judge,
    )
    result = score("MMStar", rules, inputs)
    assert result.rows == [[1, None, 0], [2, "A", 1]] and result.judge_calls == 2


def test_blink_answers_are_looked_up_under_the_new_number() -> None:
    data = [row(i, answer, category="Jigsaw") for i, answer in ((1, "A"), (2, "B"), (3, "B"))]
    inputs = Inputs(data=data, predictions=[{"index": 1, "prediction": "A"}, {"index": 3, "prediction": "B"}])
    assert score("BLINK", "mmevol", inputs).rows == [[1, "A", 1], [2, "B", 1]]
    assert score("BLINK", "vlmevalkit-head", inputs).rows == [[1, "A", 1], [3, "B", 1]]
    kinds = [cells | {"category": kind} for cells, kind in zip(data, ("Jigsaw", "Counting", "IQ_Test"), strict=True)]
    looked_up = score("BLINK", "mmevol", replace(inputs, data=kinds)).metrics["none"]
    assert looked_up == {"Overall": 1, "Jigsaw": 1, "Counting": 1}, "row 3 became row 2, and row 2 is of Counting"
    holes = [row(i, "A", category="Jigsaw") for i in (1, 3)]
    inputs_ = Inputs(data=holes, predictions=[{"index": 1, "prediction": "A"}, {"index": 3, "prediction": "A"}])
    assert score("BLINK", "mmevol", inputs_).rows == [[1, "A", 1]], "there is no row 2 to look the second one up in"
    shifted = [cells | {"index": str(int(cells["index"]) + 10)} for cells in data]
    inputs = Inputs(data=shifted, predictions=[{"index": 11, "prediction": "A"}])
    with pytest.raises(BadInput, match="no row 1"):
        score("BLINK", "mmevol", inputs)


def test_blink_needs_its_judge_and_all_tasks() -> None:
    inputs = read_inputs("BLINK", GOLDEN / "BLINK" / "case_01")
    without = score("BLINK", "mmevol", replace(inputs, blink_judge_replies=None))
    assert without.reported is None and without.unjudged == 60 and without.metrics["none"]["Overall"] is not None
    data = [cells for cells in inputs.data if cells["category"] != "Jigsaw"]
    data = [cells | {"index": str(at)} for at, cells in enumerate(data, 1)]
    fewer = score("BLINK", "mmevol", replace(inputs, data=data))
    assert fewer.reported is None and "Jigsaw" in fewer.notes[0] and fewer.metrics["per_task"]["Counting"] is not None


class Asked:
    """A judge that answers from a list of replies by attempt and remembers the questions."""

    def __init__(self, *replies: str | None) -> None:
        self.replies, self.batches = replies, []  # type: ignore[var-annotated]

    def __call__(self, questions: Sequence[JudgeQuestion]) -> list[str | None]:
        self.batches.append(list(questions))
        return [self.replies[question.attempt] for question in questions]


def test_a_judge_is_asked_in_batches_by_attempt_about_what_the_rules_leave_open() -> None:
    data = [row(i) for i in range(1, 5)]
    judge = Asked("hm", "the first", "A")
    result = star(data, {1: "A", 2: "B", 3: "unclear", 4: "?"}, judges={"mcq": judge})
    assert [[q.key for q in batch] for batch in judge.batches] == [["3", "4"]] * 3
    assert judge.batches[0][0].data == {
        "question": "q",
        "options": [["A", "red"], ["B", "blue"]],
        "prediction": "unclear",
    }
    assert result.rows == [[1, "A", 1], [2, "B", 0], [3, None, 1], [4, None, 1]]
    assert (result.judge_calls, result.judge_failures, result.extraction_failures) == (6, 0, 0)


def test_three_useless_replies_end_in_the_same_draw_every_time() -> None:
    data, said = [row(i) for i in range(60)], dict.fromkeys(range(60), "?")
    first, second = (star(data, said, judges={"mcq": Asked("", "", None)}) for _ in range(2))
    assert first == second and first.judge_failures == 60 and first.extraction_failures == 60
    assert 5 < sum(hit for _, _, hit in first.rows) < 40  # about a third: A of A, B, Z


def test_yes_no_is_asked_five_times_getting_warmer() -> None:
    data = [{"index": "1", "question": "q", "answer": "No", "category": "random"}]
    judge = Asked("", "hm", None, "both yes and no", "No.")
    inputs = Inputs(data=data, predictions=[{"index": 1, "prediction": "maybe"}])
    result = score("POPE", "mmevol", inputs, {"yes_no": judge})
    assert result.rows == [[1, "No", 1]] and [b[0].temperature for b in judge.batches] == [0, 0.5, 1, 1.5, 2]


def test_an_outage_of_the_judge_is_no_score() -> None:
    def down(questions: Sequence[JudgeQuestion]) -> list[str | None]:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError):
        star([row(1)], {1: "?"}, judges={"mcq": down})


def test_recorded_replies_that_lack_a_row_are_bad_input() -> None:
    inputs = Inputs(
        data=[row(1)],
        predictions=[{"index": 1, "prediction": "?"}],
        judge_replies={"kind": "mcq", "replies": {"2": ["A"]}},
        files={"judge_replies": "there/judge.json"},
    )
    with pytest.raises(BadInput) as error:
        score("MMStar", "mmevol", inputs)
    assert error.value.file == "there/judge.json" and error.value.field == "replies.1"


def test_predictions_of_something_else_are_bad_input() -> None:
    with pytest.raises(BadInput, match="none of them in the table"):
        star([row(1)], {7: "A"})
    inputs = read_inputs("VQA_v2", GOLDEN / "VQA_v2" / "case_01")
    texts = [row | {"question_id": str(row["question_id"])} for row in inputs.predictions]
    with pytest.raises(BadInput, match="none of them a question"):
        score("VQA_v2", "mmevol", replace(inputs, predictions=texts))


def test_an_empty_table_is_bad_input_and_no_prediction_is_no_number() -> None:
    with pytest.raises(BadInput, match="no row"):
        star([], {})
    for rules in ("mmevol", "vlmevalkit-head"):
        for benchmark in ("MMStar", "POPE", "MME", "HallusionBench"):
            inputs = read_inputs(benchmark, GOLDEN / benchmark / "case_01")
            result = score(benchmark, rules, replace(inputs, predictions=[]))  # type: ignore[arg-type]
            assert result.reported is None and result.n == 0 and result.notes and result.standard_error is None
