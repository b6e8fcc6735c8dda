"""VQA_v2, GQA, MIA-Bench and MMSInst: the odd corners of their rules."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import Identity
from mmevol.evaluate.scoring.gqa import converted
from mmevol.evaluate.scoring.inputs import Inputs, read_inputs
from mmevol.evaluate.scoring.judge import KINDS, JudgeQuestion
from mmevol.evaluate.scoring.language import MODELS, Language
from mmevol.evaluate.scoring.mia import component_scores, component_scores_reference
from mmevol.evaluate.scoring.mmsinst import agrees, maze_score
from mmevol.evaluate.scoring.prompts import INSTRUCTIONS, REPLY_SCHEMA, TASKS, judge_prompt
from mmevol.evaluate.scoring.rouge import rouge_l
from mmevol.evaluate.scoring.score import score
from mmevol.evaluate.scoring.vqa import accuracy, processed
from mmevol.records import BadInput, Request

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def references(*answers: str) -> list[dict[str, Any]]:
    return [{"answer": answer, "answer_confidence": "yes", "answer_id": at} for at, answer in enumerate(answers, 1)]


@given(st.integers(0, 10))
def test_vqa_accuracy_of_k_of_ten(k: int) -> None:
    found = accuracy("cat", references(*["cat"] * k, *["dog"] * (10 - k)))
    assert found == pytest.approx([0, 0.3, 0.6, 0.9][k] if k < 4 else 1)


@given(st.lists(st.sampled_from(["cat", "Cat", "the cat", "dog", "2", "two"]), min_size=1, max_size=10), st.booleans())
def test_vqa_accuracy_by_its_definition(answers: list[str], same_ids: bool) -> None:
    given_ = references(*answers)
    if same_ids:
        given_ = [reference | {"answer_id": 1} for reference in given_]
    fold = {"Cat": "cat", "the cat": "cat", "two": "2"}
    mixed = len(set(answers)) > 1
    texts = [fold.get(a, a) if mixed else a for a in answers]
    said = "cat" if mixed else "Cat"
    total = 0.0
    for at, text in enumerate(texts):
        others = [
            i
            for i, other in enumerate(texts)
            if not (other == text and given_[i]["answer_id"] == given_[at]["answer_id"])
        ]
        total += min(1, sum(texts[i] == said for i in others) / 3)
    assert accuracy("Cat", given_) == pytest.approx(total / len(answers))


@pytest.mark.parametrize(
    ("raw", "submitted"),
    [
        ("The two dogs.", "2 dogs"),
        ("1,000", "1000"),
        ("woman's", "woman 's"),
        ("e.g.", "eg"),
        ("3.5", "3.5"),
        ("5.", "5"),
        ("t-shirt", "t shirt"),
        ("x -y", "x y"),
        ("dont", "don't"),
        ("Im", "im"),
        ("a an the", ""),
        ("none", "0"),
        (".a" * 40, "a" * 32 + ".a" * 8),
    ],
)
def test_vqa_processed(raw: str, submitted: str) -> None:
    assert processed(raw) == submitted


def test_vqa_missing_answers_are_empty_and_counted() -> None:
    inputs = read_inputs("VQA_v2", GOLDEN / "VQA_v2" / "case_01")
    result = score(
        "VQA_v2", "mmevol", replace(inputs, predictions=[*inputs.predictions[:-3], {"question_id": 1, "text": "x"}])
    )
    assert result.n_missing == 3 and result.n == 50


def test_gqa_conversion_and_missing_predictions() -> None:
    assert converted("The Cat... ") == "the cat... " and converted("Cat...") == "cat"
    inputs = read_inputs("GQA", GOLDEN / "GQA" / "case_01")
    balanced = [key for key, question in inputs.questions.items() if question["isBalanced"]]
    without = [row for row in inputs.predictions if row["question_id"] != balanced[0]]
    with pytest.raises(BadInput, match=balanced[0]):
        score("GQA", "mmevol", replace(inputs, predictions=without))
    others = [row for row in inputs.predictions if row["question_id"] in balanced]
    result = score("GQA", "mmevol", replace(inputs, predictions=others))
    assert result.n == len(balanced) and result.n_missing == len(inputs.questions) - len(balanced)


def test_gqa_consistency_needs_all_predictions() -> None:
    inputs = read_inputs("GQA", GOLDEN / "GQA" / "case_02")
    balanced = {key for key, question in inputs.questions.items() if question["isBalanced"]}
    with pytest.raises(BadInput, match="entailed"):
        score(
            "GQA",
            "mmevol",
            replace(inputs, predictions=[r for r in inputs.predictions if r["question_id"] in balanced]),
        )


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("component 1: 2/4, total score: 5/10. More, 1/2.", {"x": 0.5, "total_score": 0.5}),
        ("c: 1/2, c: 2/2, total: 9/10", {"x": 1.0, "total_score": 0.9}),
        ("c:12/2, total: 1/10", {"x": 1.0, "total_score": 0.1}),
        ("c:  1 / 2 , t:  3/ 10", {"x": 0.5, "total_score": 0.3}),
        ("error", None),
        ("c: 1.5/2, t: 3/10", None),
        ("c: 1/0, t: 3/10", None),
        ("c: 1/2, c: 1/2, c: 1/2, c: 1/2, t: 3/10", None),
        ("Sure, c: 1/2, t: 3/10", None),
    ],
)
def test_mia_sentences(reply: str, scores: dict[str, float] | None) -> None:
    types = ["x", "x", "x"]
    if scores is None:
        with pytest.raises((ValueError, IndexError, ZeroDivisionError)):
            component_scores(reply, types)
    else:
        assert component_scores(reply, types) == pytest.approx(scores)
        assert component_scores_reference(reply, types)["total_score"] == pytest.approx(scores["x"])


def test_mia_without_judge_and_answers_that_are_errors() -> None:
    inputs = read_inputs("MIA-Bench", GOLDEN / "MIA-Bench" / "case_01")
    without = score("MIA-Bench", "mmevol", replace(inputs, judge_replies=None))
    assert without.reported is None and without.unjudged == 40 and "judge" in without.notes[0] and without.metrics == {}
    judged = next(at for at, row in enumerate(score("MIA-Bench", "authors", inputs).rows) if row)
    failed = [row | {"text": "error"} if at == judged else row for at, row in enumerate(inputs.predictions)]
    authors, head = (
        score("MIA-Bench", rules, replace(inputs, predictions=failed)) for rules in ("authors", "vlmevalkit-head")
    )
    assert isinstance(authors.rows, list) and isinstance(head.rows, list)
    assert authors.rows[judged] is None and head.rows[judged] and authors.judge_calls == head.judge_calls - 1


NONE = Language({"synonyms": [["car", "auto", True], ["cat", "dog", False], ["x", "y", False]]}, "nlp_map.json")


@pytest.mark.parametrize(
    ("said", "truth", "right"),
    [
        ("104", "100", True),
        ("106", "100", False),
        ("1,040 units", "1000", True),
        ("it is 5", "5", False),
        ("it is 5.0", "5", True),
        ("-100", "100", True),  # numbers are found without their sign
        ("0", "0", True),
        ("a", "cat", False),
        ("b", "b", True),
        ("[ 1 , 2 ]", "[ 1 , 2 ]", True),
        ("1", "[ 1 ]", False),
        ("( 3 , 4 )", "( 3 , 4 )", False),
        ("", "cat", False),
        ("the cat", "cat", True),
        ("ca", "cat", True),
        ("car", "auto", True),
        ("cat", "dog", False),
    ],
)
def test_mmsinst_agreement(said: str, truth: str, right: bool) -> None:
    assert agrees(said, truth, NONE) == right


def test_mmsinst_maze_and_unrecorded_texts() -> None:
    assert maze_score("A1 then 2B, a1 A1", ["A1", "2B", "C3", "D4"]) == 0.5 and maze_score("A1", []) == 0
    row = {"question_id": 1, "text": "12 km", "truth": "12", "type": "DATA", "source": "chart"}
    try:
        import spacy  # noqa: F401
    except ImportError:
        with pytest.raises(BadInput, match=r"mmevol\[score\]"):
            score("MMSInst", "mmevol", Inputs(predictions=[row], nlp_map={"unit_stripper": {}}))
    with pytest.raises(BadInput, match="chart, table"):
        score("MMSInst", "mmevol", Inputs(predictions=[row | {"source": "Chart"}]))
    result = score(
        "MMSInst", "mmevol", Inputs(predictions=[row], nlp_map={"unit_stripper": {"12 km": "12", "12": "12"}})
    )
    assert result.metrics["chart"] == 100 and result.reported is None and "maze" in result.notes[0]


@pytest.mark.parametrize("name", ["case_01", "case_02"])
def test_mmsinst_unit_stripper_where_spacy_is_installed(name: str) -> None:
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed")
    if not any(map(spacy.util.is_package, MODELS)):
        pytest.skip("spaCy's small English model is not installed")
    recorded = json.loads((GOLDEN / "MMSInst" / name / "nlp_map.json").read_text(encoding="utf-8"))
    language = Language(None, "nlp_map.json")
    assert {text: language.without_units(text) for text in recorded["unit_stripper"]} == recorded["unit_stripper"]


def test_mmsinst_over_a_closed_vocabulary() -> None:
    language = Language({"nouns": ["apples", "km"]}, "nlp_map.json")
    assert (
        language.without_units("5 apples of km left") == "5 left"
        and language.without_units("red apples") == "red apples"
    )
    assert not language.synonyms("car", "auto")


def test_rouge() -> None:
    assert rouge_l("the cat sat", "the cat sat") == pytest.approx(1) and rouge_l("", "a") == 0 == rouge_l("a", "b")
    assert rouge_l("the cat", "the dog cat") == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3), abs=1e-6)
    assert rouge_l("a a a", "a") == pytest.approx(1)  # words count once
    assert rouge_l("b a. c", "a. b") == pytest.approx(
        2 * (2 / 3) / (1 + 2 / 3), abs=1e-6
    )  # sentences are matched apart
    assert rouge_l("a", "a . . ") == pytest.approx(2 * 1 * (1 / 2) / (1 + 1 / 2), abs=1e-6)  # blanks: an empty word


@pytest.mark.parametrize("kind", KINDS)
def test_every_prompt_ends_in_one_block_that_is_a_request(kind: Any) -> None:
    data = {"question": "how many?", "options": [["A", "x"]], "prediction": "```json\n{}\n``` three", "answer": "A"}
    prompt = judge_prompt(JudgeQuestion(kind, "1", 0, data))
    head, _, block = prompt.block(Identity()).partition("```json\n")
    request = Request.model_validate(json.loads(block.removesuffix("\n```")))
    assert head == "" and request.task == TASKS[kind] and request.data == data
    assert prompt.schema == REPLY_SCHEMA and prompt.instructions.startswith(INSTRUCTIONS[kind])
    assert "reply" in prompt.instructions and "```" not in prompt.instructions


def test_a_chinese_question_is_asked_in_chinese() -> None:
    data = {"question": "图中是什么？", "options": [["A", "猫"]], "prediction": "猫"}
    assert judge_prompt(JudgeQuestion("mcq", "1", 0, data)).instructions.startswith("请")
    assert not judge_prompt(JudgeQuestion("yes_no", "1", 0, data)).instructions.startswith("请")
