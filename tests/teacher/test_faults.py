"""What is planted, and that it can be told again without a log."""

import json
from typing import Any

import pytest
from mmevol.config import Faults
from mmevol.records import BadInput, JudgeReply, Request, RequestQA
from mmevol.teacher.answer import answer
from mmevol.teacher.confirm import solve
from mmevol.teacher.faults import ITEM, REPLY, TRANSPORT, broken_text, check, planted, spoiled, transport_fault
from mmevol.teacher.judge import verdict
from mmevol.teacher.render import box_text
from mmevol.teacher.scene import Scene

from .test_compose import question_of
from .test_execute import SCENE

BOXES = {box_text(o.bbox) for o in SCENE}


def request(direction: str = "perceptual", task: str = "evolve", items: int = 4) -> Request:
    texts = (
        "How many circles are there?",
        "Where is the star?",
        "What color is the largest circle?",
        "Is there a star in the image?",
    )
    replies = ("2", "[0.800, 0.600, 0.900, 0.700]", "red", "Yes")
    qas = [RequestQA(id=f"q{n}", question=texts[n], answer=replies[n]) for n in range(items)]
    return Request(task=task, direction=direction, caption="A circle.", objects=SCENE, qas=qas)  # type: ignore[arg-type]


def every(name: str, direction: str, keys: int = 30) -> list[tuple[dict[str, Any], dict[str, Any], RequestQA]]:
    """(clean item, spoiled item, parent) for each item that carries the fault at rate 1."""
    found = []
    for key in map(str, range(keys)):
        asked = request(direction)
        clean = {item["id"]: item for item in answer(asked, key, 0)["candidates"]}
        result = spoiled(Faults(**{name: 1.0}), asked, key, 0)
        for item in result.content["candidates"]:
            parent = next(qa for qa in asked.qas if qa.id == item["id"])
            if result.items.get(item["id"]) == name:
                found.append((clean[item["id"]], item, parent))
            else:
                assert item == clean[item["id"]], "an item without a fault is as it would have been"
    assert found
    return found


def judged(item: dict[str, Any], parent: RequestQA, direction: str) -> JudgeReply:
    return JudgeReply.model_validate(verdict(RequestQA(**item), parent, Scene(SCENE), direction))


def boxes_in(item: dict[str, Any]) -> set[str]:
    text = json.dumps(item)
    return {f"[{part.partition(']')[0]}]" for part in text.split("[") if part[:2] in ("0.", "1.")}


@pytest.mark.parametrize("direction", ["perceptual", "reasoning", "interactive"])
class TestItems:
    def test_an_invented_box_is_no_object_s(self, direction: str) -> None:
        for clean, item, parent in every("invented_box", direction):
            invented = boxes_in(item) - BOXES - boxes_in({"question": item["question"]})
            assert len(invented) == 1 and not boxes_in(clean) - BOXES
            assert item["question"] == clean["question"] and not judged(item, parent, direction).faithful
            assert not item["options"] or item["answer"] in item["options"]

    def test_an_invented_object_is_not_there(self, direction: str) -> None:
        for _, item, parent in every("invented_object", direction):
            program = question_of(item, SCENE).program
            assert solve(program, Scene(SCENE)) == "0" != item["answer"]
            assert item["objects"][0] not in {o.label for o in SCENE} and not judged(item, parent, direction).faithful

    def test_an_unimproved_copy_asks_what_the_parent_asks(self, direction: str) -> None:
        for _, item, parent in every("unimproved_copy", direction):
            assert item["question"].removesuffix(" Think step by step.") == parent.question
            assert (item["answer"], item["options"]) == (parent.answer, parent.options)
            assert item["question"].endswith("step by step.") == (direction == "reasoning")
            assert not judged(item, parent, direction).improved

    def test_a_wrong_count_is_one_off(self, direction: str) -> None:
        for clean, item, parent in every("wrong_count", direction):
            assert abs(int(item["answer"]) - int(clean["answer"])) == 1
            assert item | {"answer": clean["answer"]} == clean and not judged(item, parent, direction).faithful

    def test_what_is_answerable_blind_gives_itself_away(self, direction: str) -> None:
        for _, item, parent in every("answerable_blind", direction):
            found = judged(item, parent, direction)
            assert not found.image_needed and not found.improved and item["answer"].split()[-1] in item["question"]


def test_a_wrong_count_is_planted_on_numbers_only() -> None:
    asked = request("interactive")
    for key in map(str, range(20)):
        clean = {item["id"]: item["answer"] for item in answer(asked, key, 0)["candidates"]}
        carried = spoiled(Faults(wrong_count=1), asked, key, 0).items
        assert all(clean[id_].isdigit() for id_ in carried)


def test_a_copy_is_not_planted_where_there_is_no_parent() -> None:
    assert spoiled(Faults(unimproved_copy=1), request(task="fresh", direction="fresh"), "k", 0).items == {}


def test_a_wrong_judge_turns_the_outcome_round() -> None:
    asked = request("reasoning")
    good = [RequestQA(**item) for item in answer(asked, "k", 0)["candidates"]]
    judge = Request(task="judge", direction="reasoning", objects=SCENE, qas=[*good], compare_with=asked.qas)
    copies = Request(task="judge", direction="reasoning", objects=SCENE, qas=asked.qas, compare_with=asked.qas)
    for ask, passes in ((judge, True), (copies, False)):
        clean = spoiled(Faults(), ask, "k", 0)
        wrong = spoiled(Faults(judge_wrong=1), ask, "k", 0)
        assert wrong.items == dict.fromkeys((qa.id for qa in asked.qas), "judge_wrong") and not clean.items
        for before, after in zip(clean.content["verdicts"], wrong.content["verdicts"], strict=True):
            keep = [v["improved"] and v["faithful"] and v["image_needed"] for v in (before, after)]
            assert keep == [passes, not passes] and JudgeReply.model_validate(after)


@pytest.mark.parametrize("fault", ["malformed_json", "truncated_json"])
def test_broken_text_is_no_json(fault: str) -> None:
    for key in map(str, range(50)):
        text = json.dumps(answer(request(), key, 0), separators=(",", ":"))
        with pytest.raises(json.JSONDecodeError):
            json.loads(broken_text(fault, text, key, 0))


def test_rates_are_met_and_faults_exclude_each_other() -> None:
    faults = Faults(malformed_json=0.1, refusal=0.2, invented_box=0.25, answerable_blind=0.25)
    rows = list(planted(faults, [(str(key), 0, request(items=1)) for key in range(2000)]))
    share = {name: sum(row["fault"] == name for row in rows) / 2000 for name in (*REPLY, *ITEM)}
    expected = {"malformed_json": 0.1, "refusal": 0.2, "invented_box": 0.175, "answerable_blind": 0.175}
    assert share == {name: pytest.approx(expected.get(name, 0), abs=0.03) for name in share}


def test_what_was_planted_is_told_again() -> None:
    faults = Faults(seed=3, truncated_json=0.2, invented_box=0.2, wrong_count=0.3, unimproved_copy=0.2)
    asked = [(str(key), key % 3, request()) for key in range(40)]
    rows = list(planted(faults, asked))
    assert [(r["key"], r["attempt"], r["id"]) for r in rows] == [(k, a, qa.id) for k, a, r in asked for qa in r.qas]
    for key, attempt, one in asked:
        result = spoiled(faults, one, key, attempt)
        told = {row["id"]: row["fault"] for row in rows if row["key"] == key}
        assert told == {qa.id: result.fault or result.items.get(qa.id) for qa in one.qas}
    assert len({row["fault"] for row in rows}) == 5
    assert rows != list(planted(faults.model_copy(update={"seed": 4}), asked))


def test_a_fault_of_a_curation_stands_at_the_whole_reply() -> None:
    (row,) = planted(Faults(refusal=1), [("k", 0, Request(task="curate", objects=SCENE))])
    assert (row["id"], row["fault"]) == ("", "refusal")


def test_transport_faults_change_with_the_transport_attempt_and_content_does_not() -> None:
    faults = Faults(http_429=0.25, http_500=0.25, hang=0.1, drop=0.1)
    drawn = [[transport_fault(faults, str(key), 0, attempt) for attempt in range(30)] for key in range(20)]
    assert all(None in tries for tries in drawn), "a retry gets through"
    assert {fault for tries in drawn for fault in tries} == {None, *TRANSPORT}
    assert spoiled(faults, request(), "k", 0) == spoiled(Faults(), request(), "k", 0)


def test_rates_that_add_up_to_more_than_one_are_refused() -> None:
    with pytest.raises(BadInput, match=r"1\.2"):
        check(Faults(http_429=0.6, drop=0.6))
    check(Faults(http_429=0.6, refusal=0.6, invented_box=0.6, judge_wrong=0.6))
