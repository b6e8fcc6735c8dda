"""The live judge of a benchmark: official retries, kept replies, and an endpoint that is down."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Budget, Identity, Run
from mmevol.config.commands import JudgeSettings
from mmevol.endpoint.client import Outage
from mmevol.evaluate.judging import live
from mmevol.evaluate.scoring import Rules
from mmevol.evaluate.scoring.inputs import Inputs
from mmevol.evaluate.scoring.score import Score, score
from mmevol.records import BadInput
from scripted import Heard, Reply, Server, connection, identity

pytestmark = pytest.mark.usefixtures("replies")


def scored(
    server: Server,
    benchmark: str,
    inputs: Inputs,
    rules: Rules = "mmevol",
    root: Path = Path(),
    budget: Budget = Budget(),  # noqa: B008
    **more: Any,
) -> Score:
    judge = JudgeSettings(endpoint="j", identity=more.pop("who", identity(temperature=0)), **more)
    run = Run(connections={"j": connection(server, patience=1, timeout=1)}, answering=budget)
    with live(judge, run, benchmark, root) as judges:
        return score(benchmark, rules, inputs, judges)


def pope(*said: str) -> Inputs:
    rows = [{"index": str(at), "question": f"q{at}", "answer": "Yes", "category": "random"} for at in range(len(said))]
    return Inputs(data=rows, predictions=[{"index": at, "prediction": text} for at, text in enumerate(said)])


def star(*said: str) -> Inputs:
    options = {"A": "red", "B": "blue", "answer": "A"}
    rows = [{"index": str(at), "question": f"q{at}", **options} for at in range(len(said))]
    return Inputs(data=rows, predictions=[{"index": at, "prediction": text} for at, text in enumerate(said)])


def replying(*texts: str) -> Callable[[int, Heard], Any]:
    """One reply after the other, the last one for ever."""
    return lambda n, heard: {"reply": texts[min(n, len(texts) - 1)]}


def test_only_what_the_rules_leave_open_is_asked_and_never_twice(server: Server) -> None:
    server.answer = lambda n, heard: {"reply": "Yes" if heard.block["data"]["prediction"] == "it is there" else "No"}
    inputs = pope("yes", "it is there", "nothing of the kind", "no")
    first = scored(server, "POPE", inputs)
    assert [word for _, word, _ in first.rows] == ["Yes", "Yes", "No", "No"] and first.judge_calls == 2
    assert sorted(block["data"]["prediction"] for block in server.asked("match_yes_no")) == [
        "it is there",
        "nothing of the kind",
    ]
    again = scored(server, "POPE", inputs)
    assert again == first and len(server.heard) == 2, "kept replies make no call"
    assert scored(server, "POPE", inputs, "vlmevalkit-head").judge_calls == 2 and len(server.heard) == 2


def test_yes_no_is_asked_five_times_getting_warmer_and_is_then_unknown(server: Server) -> None:
    server.answer = replying("perhaps")
    result = scored(server, "POPE", pope("hm"))
    assert [heard.body["temperature"] for heard in server.heard] == [0, 0.5, 1, 1.5, 2]
    assert result.rows == [[0, "Unknown", 0]] and (result.judge_calls, result.judge_failures) == (5, 1)
    assert scored(server, "POPE", pope("hm")) == result and len(server.heard) == 5


def test_a_model_that_takes_no_temperature_is_asked_without_one(server: Server) -> None:
    server.answer = replying("perhaps", "Yes")
    result = scored(server, "POPE", pope("hm"), who=Identity(provider="test", model="scripted", temperature=None))
    assert result.rows == [[0, "Yes", 1]] and all("temperature" not in heard.body for heard in server.heard)


def test_options_are_asked_for_three_times_and_then_drawn_from_a_hash(server: Server) -> None:
    server.answer = replying("hard to say")
    result = scored(server, "MMStar", star(*["unclear"] * 12))
    assert len(server.heard) == 36 and {heard.body["temperature"] for heard in server.heard} == {0}
    assert result.judge_failures == 12 and 0 < sum(hit for _, _, hit in result.rows) < 12
    assert scored(server, "MMStar", star(*["unclear"] * 12)) == result and len(server.heard) == 36


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(status=429), Reply(status=401), Reply(act="drop")])
def test_a_judge_that_is_down_is_no_zero_and_the_next_run_asks_the_rest(server: Server, reply: Reply) -> None:
    def answer(n: int, heard: Heard) -> Any:
        return {"reply": "A"} if n < 2 else reply

    server.answer = answer
    inputs = star("one", "two", "three", "four")
    with pytest.raises(Outage):
        scored(server, "MMStar", inputs)
    asked = len(server.heard)
    server.answer = replying("B")
    result = scored(server, "MMStar", inputs)
    assert len(server.heard) - asked == 2, "what was answered before the outage is kept"
    assert sum(hit for _, _, hit in result.rows) == 2 and result.judge_failures == 0
    assert scored(server, "MMStar", inputs) == result and len(server.heard) - asked == 2


def test_the_judge_stops_at_the_budget_and_the_next_run_goes_on(server: Server) -> None:
    server.answer = replying("B")
    inputs = star("one", "two", "three", "four")
    with pytest.raises(Outage, match=r"evaluate\.budget\.requests of this judge is spent"):
        scored(server, "MMStar", inputs, budget=Budget(requests=2))
    assert len(server.heard) == 2
    assert scored(server, "MMStar", inputs, budget=Budget(requests=2)).judge_calls == 4 and len(server.heard) == 4


def test_a_reply_of_another_form_is_asked_for_anew_and_ends_in_the_fallback(server: Server) -> None:
    server.answer = lambda n, heard: {"reply": 7}
    result = scored(server, "POPE", pope("hm"), content_attempts=2)
    assert result.rows == [[0, "Unknown", 0]] and result.judge_failures == 1 and len(server.heard) == 10


def test_mia_sends_the_picture_and_names_one_that_is_missing(server: Server, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / "a.png")
    item = {"image": "a.png", "instruction": "say it", "components": ["c"], "component_weight": [10]}
    item |= {"component_type": ["tell"], "type": "x", "num_of_component": 1}
    inputs = Inputs(questions=[item], predictions=[{"question_id": "a.png", "text": "it"}])
    server.answer = replying("score of component 1: 8/10, total score: 8/10.")
    result = scored(server, "MIA-Bench", inputs, root=tmp_path)
    assert result.reported == 80 and result.judge_calls == 1
    assert "data:image" in json.dumps(server.heard[0].body)
    absent = Inputs(questions=[item | {"image": "https://pics.example/b.png"}], predictions=inputs.predictions)
    with pytest.raises(BadInput, match=r"b\.png"):
        scored(server, "MIA-Bench", absent, root=tmp_path)
    assert len(server.heard) == 1


def test_mathvista_is_asked_again_only_for_what_is_no_reply(server: Server) -> None:
    row = {"index": "1", "question": "how many?", "question_type": "free_form", "answer_type": "integer"}
    row |= {"choices": "", "answer": "14", "answer_option": "", "task": "t", "skills": "['s']"}
    data = [row, row | {"index": "2", "answer": "x", "answer_type": "text"}]
    said = [{"index": 1, "prediction": "fourteen"}, {"index": 2, "prediction": "a word"}]
    inputs = Inputs(data=data, predictions=said)
    failed = "Failed to obtain answer via API."
    server.answer = lambda n, heard: {"reply": "14" if heard.body["temperature"] else failed}
    reference = scored(server, "MathVista_MINI", inputs)
    assert [row[1:] for row in reference.rows] == [[failed, 0, 0]] * 2 and reference.judge_calls == 2
    head = scored(server, "MathVista_MINI", inputs, "vlmevalkit-head")
    assert [row[1:] for row in head.rows] == [["14", 0, 1], ["14", 0, 0]]
    assert head.judge_calls == 4 and len(server.heard) == 4, "the first replies were kept"
