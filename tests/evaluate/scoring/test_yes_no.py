"""Yes/no extraction and the sums of MME, POPE and HallusionBench."""

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol.evaluate.scoring.hallusion_authors import _Judged, cause
from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.kit import HEAD, REFERENCE, Kit
from mmevol.evaluate.scoring.score import Score, score
from mmevol.evaluate.scoring.yes_no import PERCEPTION, REASONING, yes_or_no
from mmevol.evaluate.scoring.yes_no_authors import mme_word, pope_word
from mmevol.records import BadInput

PIECES = ["yes", "no", "Yes", "NO", "not", "know", "1,000", "3.5", "é", "No", *" .,;!?/-_<>@`'\"*:。\n"]
replies = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=10).map("".join)


def expected(reply: str, head: bool) -> str:
    """A character-wise second writing of the rule."""
    low = reply.lower()
    number = any(b == "," and a.isdecimal() and c.isdecimal() for (a, b), (_, c) in pairwise(pairwise(low)))
    out = []
    for char in low:
        if char in ';/[]"{}()=+\\_-><@`,?!':
            if not (number or f"{char} " in low or f" {char}" in low):
                out.append(" ")
        else:
            out.append(char)
    kept, deleted = [], 0
    for at, char in enumerate(out):
        after = at + 1 < len(out) and out[at + 1].isdecimal()
        before = at > 0 and out[at - 1].isdecimal()
        if char == "." and deleted < 32 and not after and not (head and before):
            deleted += 1
        else:
            kept.append(char)
    words = "".join(kept).split()
    if ("yes" in words) == ("no" in words):
        return "Unknown"
    return "Yes" if "yes" in words else "No"


@settings(max_examples=600)
@given(replies)
def test_extraction_follows_the_rule(reply: str) -> None:
    assert yes_or_no(reply, REFERENCE) == expected(reply, head=False)
    assert yes_or_no(reply, HEAD) == expected(reply, head=True)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("Yes", "Yes"),
        ('"yes"', "Yes"),
        ("Yes:", "Unknown"),
        ("**Yes**", "Unknown"),
        ("yes.no", "Unknown"),
        ("nope, not", "Unknown"),
        ("no,it has 1,000", "Unknown"),
        ("no, it has 1,000", "No"),
        ("yes and no", "Unknown"),
        ("yes" + "." * 32, "Yes"),
        ("yes" + "." * 33, "Unknown"),
    ],
)
@pytest.mark.parametrize("kit", [REFERENCE, HEAD])
def test_known_replies(reply: str, word: str, kit: Kit) -> None:
    assert yes_or_no(reply, kit) == word


def table(rows: list[dict[str, str]], said: list[str]) -> Inputs:
    full = [{"index": str(at), "question": "q", **row} for at, row in enumerate(rows)]
    return Inputs(data=full, predictions=[{"index": at, "prediction": text} for at, text in enumerate(said)])


def mme_rows(questions: int = 2) -> list[dict[str, str]]:
    return [
        {"category": task, "image_path": f"{task}/1.jpg", "answer": ("Yes", "No")[q % 2]}
        for task in (*PERCEPTION, *REASONING)
        for q in range(questions)
    ]


def test_mme_of_all_right_and_of_yes_only() -> None:
    rows = mme_rows()
    right = score("MME", "mmevol", table(rows, [row["answer"] for row in rows]))
    assert right.metrics["perception"] == 2000 and right.reported == 100 and right.standard_error == 0
    yes = score("MME", "mmevol", table(rows, ["yes"] * len(rows)))
    assert yes.metrics["reasoning"] == 200 and yes.reported == 25 and yes.metrics["OCR"] == 50


def test_mme_uses_the_first_two_questions_of_an_image_for_accuracy_plus() -> None:
    rows = mme_rows(3)
    said = [row["answer"] if at % 3 != 2 else "no" for at, row in enumerate(rows)]
    result = score("MME", "mmevol", table(rows, said))
    assert math.isclose(result.metrics["OCR"], 100 * 2 / 3 + 100)


@pytest.mark.parametrize("rules", ["mmevol", "vlmevalkit-head", "authors"])
def test_mme_without_a_task_or_with_a_single_question_gives_no_number(rules: str) -> None:
    rows = [row for row in mme_rows() if row["category"] != "text_translation"]
    absent = score("MME", rules, table(rows, ["yes"] * len(rows)))  # type: ignore[arg-type]
    assert absent.reported is None and absent.metrics["reasoning"] is None and "text_translation" in absent.notes[0]
    assert absent.metrics["perception"] is not None
    single = score("MME", rules, table(mme_rows()[:-1], ["yes"] * 27))  # type: ignore[arg-type]
    assert single.reported is None and single.metrics["text_translation"] is None


def pope(
    answers: list[str], said: list[str], categories: list[str], rules: str = "mmevol"
) -> dict[str, dict[str, float]]:
    rows = [{"answer": a, "category": c} for a, c in zip(answers, categories, strict=True)]
    return score("POPE", rules, table(rows, said)).metrics  # type: ignore[arg-type]


def test_pope_repeats_a_row_for_each_category_and_overall() -> None:
    metrics = pope(["Yes", "No", "No"], ["yes", "yes", "hm"], ["random,popular", "random", "popular"])
    assert metrics["Overall"]["acc"] == 50  # right, right, wrong, wrong (unknown)
    assert math.isclose(metrics["Overall"]["precision"], 200 / 3) and metrics["Overall"]["recall"] == 100
    assert math.isclose(metrics["random"]["Overall"], 200 / 3) and metrics["popular"]["Overall"] == 100


def test_pope_without_positives_is_zero_for_the_kit_and_nothing_for_the_authors() -> None:
    kit = pope(["No", "No"], ["no", "no"], ["random", "random"])["Overall"]
    assert kit == {"Overall": 0, "acc": 100, "precision": 0, "recall": 0}
    rows = [{"answer": "No", "category": "random"}] * 2
    authors = score("POPE", "authors", table(rows, ["no", "no"]))
    assert authors.reported is None and authors.metrics["random"]["f1"] is None and authors.notes


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("NO", "yes"),
        ("no!", "yes"),
        ("no\n", "yes"),
        ("Not here", "yes"),
        ("isn't", "yes"),
        ("", "yes"),
        ("Well, no, never. yes", "no"),
        ("Yes. no", "yes"),
        ("it is not", "no"),
    ],
)
def test_pope_authors_words(reply: str, word: str) -> None:
    assert pope_word(reply) == word


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("  yes", "other"),
        ("Answer: yes", "other"),
        ("know", "no"),
        ("none", "no"),
        ('"yes', "yes"),
        ("Yes\n", "yes"),
        ("", "other"),
    ],
)
def test_mme_authors_words(reply: str, word: str) -> None:
    assert mme_word(reply) == word


def test_mme_authors_skip_a_row_with_a_tab_in_accuracy_only() -> None:
    rows = mme_rows()
    said = [row["answer"] for row in rows]
    said[0] = "Yes\tsure"
    result = score("MME", "authors", table(rows, said))
    assert result.metrics["OCR"] == 100 and result.metrics["artwork"] == 200 and result.rows[0] == [0, None, 0]


def test_hallusion_groups() -> None:
    indexes = ["HB_VD_figure_0_1_0", "HB_VD_figure_0_1_1", "HB_VD_figure_0_2_0", "HB_VS_map_0_1_0"]
    data = [
        {"index": index, "question": "q", "answer": "Yes", "category": index[3:5], "l2-category": index.split("_")[2]}
        for index in indexes
    ]
    said = ["yes", "no", "yes", "yes"]
    predictions = [{"index": index, "prediction": word} for index, word in zip(indexes, said, strict=True)]
    metrics = score("HallusionBench", "mmevol", Inputs(data=data, predictions=predictions)).metrics
    assert metrics["Overall"] == {"aAcc": 75, "fAcc": pytest.approx(200 / 3), "qAcc": pytest.approx(200 / 3)}
    assert metrics["VS"] == metrics["map"] == {"aAcc": 100, "fAcc": 100, "qAcc": 100}
    assert re.fullmatch(
        "aAcc", score("HallusionBench", "mmevol", Inputs(data=data, predictions=predictions)).reported_name
    )


def hallusion_rows() -> list[dict[str, str]]:
    places = [  # category, figure, question, visual input, answer, image
        ("VD", "0", "0", "1", "Yes", "i"),
        ("VD", "0", "1", "1", "No", "i"),
        ("VD", "1", "0", "2", "No", "j"),
        ("VS", "0", "0", "0", "Yes", ""),
        ("VS", "1", "0", "1", "Yes", "k"),
        ("VS", "1", "1", "1", "No", "k"),
    ]
    return [
        {
            "index": f"HB_{category}_map_0_{figure}_{question}",
            "question": "q",
            "answer": answer,
            "category": category,
            "l2-category": "map",
            "image": image,
            "visual_input": visual,
            "gt_answer_details": "so it is",
        }
        for category, figure, question, visual, answer, image in places
    ]


def hallusion(replies: list[str] | None) -> Score:
    rows = hallusion_rows()
    keys = [row["index"] for row in rows]
    judge = {"kind": "hallusion_verdict", "replies": dict(zip(keys, replies or [], strict=False))}
    predictions = [{"index": key, "prediction": "words"} for key in keys]
    return score(
        "HallusionBench",
        "authors",
        Inputs(data=rows, predictions=predictions, judge_replies=judge if replies else None),
    )


def test_hallusion_authors_by_hand() -> None:
    said = ["Correct", "incorrect", "Correct.", "unclear", "unclear", "Correct"]  # right: 1 0 1 1 0 1
    result = hallusion(said)
    overall = result.metrics["Overall"]
    assert overall["aAcc"] == result.reported == pytest.approx(400 / 6) and result.n == 6
    assert overall["qAcc"] == 50  # VD q0 right; VD q1 wrong; VS q0 half; VS q1 right
    assert overall["hard"] == 100 and overall["easy"] == 50
    assert overall["fAcc"] == pytest.approx(100 / 3)  # the text-only figure is left out
    assert overall["inconsistent"] == pytest.approx(200 / 3) and overall["wrong"] == 0
    assert overall["figure_score"] == pytest.approx(100 * (0.5 + 1 + 0.5) / 3)
    assert overall["yes_difference"] == pytest.approx(3 / 6 - 3 / 6)  # said yes: rows 1, 2 and 4
    assert overall["false_positive_ratio"] == pytest.approx(1 / 2)
    assert result.metrics["VD"]["aAcc"] == pytest.approx(200 / 3) and result.rows[3] == ["HB_VS_map_0_0_0", 2, 1]


VD1, VS1 = ("VD", "1", "2"), ("VS", "1", "1")
VS2 = ("VS", "2", "2")


@pytest.mark.parametrize(
    ("place", "verdict", "original", "same", "named"),
    [
        (("VD", "0", "1"), 0, 0, False, "vision"),
        (("VD", "0", "1"), 2, 2, True, "vision"),
        (VD1, 0, 1, True, "mixed"),
        (VD1, 0, 1, False, "vision"),
        (VD1, 2, 1, True, "vision"),
        (VD1, 0, 2, True, "vision"),
        (VD1, 1, 0, True, None),
        (("VS", "0", "0"), 0, 0, False, "language"),
        (("VS", "0", "0"), 2, 2, False, None),
        (VS1, 0, 0, True, "language"),
        (VS1, 0, 0, False, "mixed"),
        (VS1, 2, 0, True, "mixed"),
        (VS1, 0, 2, True, "vision"),
        (VS1, 2, 2, True, "vision"),
        (VS1, 2, 1, True, "vision"),
        (VS1, 0, 1, True, "vision"),
        (VS2, 0, 1, True, "language"),
        (VS2, 0, 1, False, "vision"),
    ],
)
def test_hallusion_causes(
    place: tuple[str, str, str], verdict: int, original: int, same: bool, named: str | None
) -> None:
    kind, figure, visual = place
    row = _Judged((kind, "map"), "0", figure, "0", visual, answer=True, verdict=verdict)
    assert cause(row, original, same) == named


def test_hallusion_asks_whether_replies_agree_only_where_that_decides() -> None:
    said = ["Correct", "incorrect", "incorrect", "incorrect", "incorrect", "Correct"]
    rows = hallusion_rows()
    rows.append(rows[3] | {"index": "HB_VS_map_0_0_1", "answer": "No"})
    keys = [row["index"] for row in rows]
    verdicts = {"kind": "hallusion_verdict", "replies": dict(zip(keys, [*said, "unclear"], strict=True))}
    deciding = {"kind": "hallusion_same", "replies": {keys[2]: "same", keys[4]: "Different"}}
    inputs = Inputs(
        data=rows,
        predictions=[{"index": key, "prediction": "words"} for key in keys],
        judge_replies=[verdicts, deciding],
    )
    result = score("HallusionBench", "authors", inputs)
    assert result.judge_calls == len(keys) + 2 and not result.notes
    shares = {name: result.metrics["Overall"][f"cause_{name}"] for name in ("language", "vision", "mixed")}
    # VD figure 0 wrong: vision; VD figure 1 wrong with the same reply: mixed; VS figure 0 wrong: language; VS figure 1
    # wrong with another reply than the wrong one without picture: mixed
    assert shares == {"language": 25, "vision": 25, "mixed": 50}
    assert result.metrics["VD"]["cause_vision"] == 50 and result.metrics["VS"]["cause_language"] == 50
    without = score("HallusionBench", "authors", replace(inputs, judge_replies=verdicts))
    assert without.reported == result.reported and without.metrics["Overall"]["cause_mixed"] is None
    assert "compares replies" in without.notes[0]
    lacking = score("HallusionBench", "authors", replace(inputs, data=rows[:-1]))
    assert "HB_VS_map_0_1_1 has no figure 0" in lacking.notes[0] and lacking.reported is not None


def test_hallusion_authors_without_judge_or_without_their_columns() -> None:
    without = hallusion(None)
    assert without.reported is None and without.unjudged == 6 and "judge" in without.notes[0]
    kit_rows = [{k: v for k, v in row.items() if k != "visual_input"} for row in hallusion_rows()]
    predictions = [{"index": row["index"], "prediction": row["answer"]} for row in kit_rows]
    kit = score("HallusionBench", "authors", Inputs(data=kit_rows, predictions=predictions))
    assert kit.reported == 100 and kit.n == 5 and "kit's rule" in kit.notes[0]
    with pytest.raises(BadInput, match="HB_VD_map_0_0_0"):
        twice = [*hallusion_rows(), hallusion_rows()[0]]
        judge = {"kind": "hallusion_verdict", "replies": {row["index"]: "correct" for row in twice}}
        score("HallusionBench", "authors", Inputs(data=twice, predictions=predictions, judge_replies=judge))
