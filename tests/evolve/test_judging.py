"""The judges of a round: what they are shown and compare with, and what stands in the lineage."""

from typing import Any

from mmevol.config import Judge
from scripted import Heard, Server, good, record, verdict
from shards import Make


def test_the_judge_compares_the_candidate_with_its_parent_under_one_id(shard: Make, server: Server) -> None:
    rows = shard([record("a", 2)]).ask()
    (block,) = server.asked("judge")
    assert (
        [qa["id"] for qa in block["qas"]]
        == [qa["id"] for qa in block["compare_with"]]
        == [c.version.id for c in rows if c.version]
    )
    assert [qa["question"] for qa in block["compare_with"]] == [c.parent.qa.question for c in rows]
    assert [qa["question"] for qa in block["qas"]] == [c.version.qa.question for c in rows if c.version]
    assert block["caption"]
    assert block["objects"]


def test_the_judge_compares_with_the_seed_or_sees_less_where_the_study_says_so(shard: Make, server: Server) -> None:
    s = shard([record("a")], judge=True)
    s.settings["judge"] = Judge(endpoint="j", compare_with="seed", sees_annotations=False, blind=None)
    s.ask(1)
    s.eliminate(1)
    s.ask(2)
    one, two = server.asked("judge")
    assert one["compare_with"][0]["question"] == two["compare_with"][0]["question"] == s.records[0].qas[0].question
    assert "caption" not in one
    assert "objects" not in one
    assert not server.asked("blind")


def test_a_candidate_without_verdict_is_unjudged(shard: Make, server: Server) -> None:
    s = shard([record("a", 2)])

    def answer(n: int, heard: Heard) -> Any:
        if heard.block["task"] != "judge":
            return good(heard.block)
        first = min(qa["id"] for qa in heard.block["qas"])
        return {"verdicts": [verdict(qa["id"], difficulty=99 if qa["id"] == first else 5) for qa in heard.block["qas"]]}

    server.answer = answer
    rows = s.ask()
    assert sorted(len(c.verdicts) for c in rows) == [0, 5]
    assert s.eliminate()["eliminated"] == {"unjudged": 1}


def test_round_0_judges_the_seeds_against_themselves(shard: Make, server: Server) -> None:
    rows = shard([record("a", 2)]).ask(0)
    assert [b["task"] for b in server.asked()] == ["judge"]
    block = server.asked()[0]
    assert block["qas"] == block["compare_with"]
    assert all(c.version == c.parent and c.round == 0 and len(c.verdicts) == 4 for c in rows)
