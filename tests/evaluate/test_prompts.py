"""What a model is asked: the training form for our own models, the reference's wording for parity."""

import pytest
from mmevol.config import BENCHMARKS
from mmevol.evaluate.prompts import CHECK, DIRECT, SELECT, SHORT, STATED, prompt, system, tokens
from mmevol.records import QA, turns

MCQ = {"question": "What is it?", "hint": "", "A": "cat", "B": "dog", "C": "", "D": "", "answer": "B"}


@pytest.mark.parametrize("name", ["MMStar", "AI2D_TEST", "BLINK", "RealWorldQA"])
def test_options(name: str) -> None:
    trained, _ = turns(QA(question="What is it?", answer="dog", options=["cat", "dog"]))
    assert prompt(name, MCQ, "plain") == trained
    assert prompt(name, MCQ, "reference") == f"Question: What is it?\nOptions:\nA. cat\nB. dog\n{CHECK}"
    hinted = MCQ | {"hint": "Look up."}
    assert prompt(name, hinted, "reference").startswith("Hint: Look up.\nQuestion: What is it?\n")
    assert prompt(name, hinted, "plain").startswith("Look up.\nWhat is it?\nA. cat")


def test_mmmu() -> None:
    row = MCQ | {"question": "<image 1> What is it, beside <image 2>?"}
    assert prompt("MMMU_DEV_VAL", row, "reference") == (
        f"{SELECT}\nQuestion: image 1 What is it, beside image 2?\nOptions:\nA. cat\nB. dog\n{CHECK}"
    )
    assert prompt("MMMU_DEV_VAL", row, "reference", "qwen2") == (
        f"{SELECT}\nQuestion: the first image What is it, beside the second image?\nOptions:\nA. cat\nB. dog\n{CHECK}"
    )
    assert prompt("MMMU_DEV_VAL", MCQ | {"question": "<image 1> What is it?"}, "plain").startswith(
        "What is it?\nA. cat"
    )
    opened = {"question": "<image 1> How many?", "A": "", "answer": "3"}
    assert prompt("MMMU_DEV_VAL", opened, "plain") == "How many?"
    assert prompt("MMMU_DEV_VAL", opened, "reference").startswith(
        "Answer the question directly.\nQuestion: image 1 How many?"
    )


@pytest.mark.parametrize("name", ["MME", "POPE"])
def test_yes_and_no(name: str) -> None:
    row = {"question": "Is there a dog? Please answer yes or no.", "answer": "Yes"}
    assert prompt(name, row, "plain") == "Is there a dog?"
    assert prompt(name, row, "reference") == f"Is there a dog? {CHECK}"
    assert prompt(name, {"question": "Is there a dog?"}, "reference") == f"Is there a dog?\n{CHECK}"


def test_the_others() -> None:
    row = {"question": "Q?"}
    assert prompt("HallusionBench", row, "reference") == f"Q? Yes or No?\n{CHECK}"
    assert prompt("MathVista_MINI", row, "reference") == f"Q?\n{CHECK}"
    assert prompt("VQA_v2", row, "reference") == prompt("GQA", row, "reference") == f"Q?\n{SHORT}"
    assert prompt("MMSInst", row, "reference") == "Q?" + STATED
    for name in ("HallusionBench", "MathVista_MINI", "VQA_v2", "GQA", "MMSInst"):
        assert prompt(name, row, "plain") == "Q?"
    for style in ("plain", "reference"):
        assert prompt("MIA-Bench", {"instruction": "Do it."}, style) == "Do it."  # type: ignore[arg-type]


def test_the_references_system_message_reaches_only_several_pictures() -> None:
    assert system("BLINK", MCQ, 2, "reference") == SELECT
    assert system("BLINK", {"question": "Q?"}, 2, "reference") == DIRECT
    assert {system("BLINK", MCQ, n, style) for n, style in ((1, "reference"), (0, "reference"), (2, "plain"))} == {""}
    assert {system(name, MCQ, 3, "reference") for name in ("MMMU_DEV_VAL", "MME", "POPE", "VQA_v2", "MIA-Bench")} == {
        ""
    }


def test_the_references_limits() -> None:
    limits = {name: tokens(name) for name in BENCHMARKS}
    assert {n for n, limit in limits.items() if limit == 1224} == {
        *("MMStar", "AI2D_TEST", "BLINK", "RealWorldQA", "MMMU_DEV_VAL")
    }
    assert {n for n, limit in limits.items() if limit == 1027} == {"MME", "POPE", "HallusionBench"}
    assert set(limits.values()) == {1224, 1027, 1024}
