"""The judges of a round: what they are shown and compare with, and what stands in the lineage."""

import json
from typing import Any

import pytest
from mmevol.config import Eliminate, Judge
from mmevol.config.evolve import Second
from scripted import Heard, Server, connection, good, identity, record, verdict
from shards import Make, Shard


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


# ------------------------------------------------------------------------------------------------------------ two judges


def with_two(shard: Make, server: Server, **second: Any) -> Shard:
    """A shard whose second judge is called `other` and gives the verdicts of `second`; the first is content with everything."""
    who = identity(model="other", temperature=0)
    s = shard([record("a", 2)], judge=True, second_identity=who)
    s.settings["judge"] = Judge(endpoint="j", second=Second(endpoint="k"))
    s.connections["k"] = connection(server)

    def answer(n: int, heard: Heard) -> Any:
        said = good(heard.block)
        if heard.body["model"] == "other":
            said["verdicts"] = [item | second for item in said["verdicts"]]
        return said

    server.answer = answer
    return s


def test_a_second_judges_verdicts_stand_beside_the_firsts(shard: Make, server: Server) -> None:
    s = with_two(shard, server, difficulty=2, improved=False)
    for c in s.ask():
        said = [(v.judge, v.name) for v in c.verdicts]
        names = ["improved", "difficulty", "faithful", "image_needed"]
        assert said == [("scripted", n) for n in names] + [("other", n) for n in names] + [
            ("scripted", "answered_blind")
        ]
        assert [v.value for v in c.verdicts if v.name == "difficulty"] == [6, 2]
    asked = [h for h in server.heard if h.block["task"] == "judge"]
    assert {h.body["model"] for h in asked} == {"scripted", "other"}
    assert asked[0].block == asked[1].block
    assert asked[0].headers["X-MMEvol-Request"] != asked[1].headers["X-MMEvol-Request"]
    requests = json.loads(s.file(1, "candidates", "json").read_text())["requests"]
    assert requests == {"evolve": 1, "judge": 1, "blind": 2, "second judge": 1}
    usage = json.loads(s.file(1, "usage", "json").read_text())["endpoints"]
    assert {row["endpoint"]: row["asked"] for row in usage} == {"e": 1, "j": 3, "k": 1}


def test_adding_a_second_judge_asks_it_alone(shard: Make, server: Server) -> None:
    s = with_two(shard, server)
    both, s.settings = s.settings, s.settings | {"judge": Judge(endpoint="j"), "second_identity": None}
    s.ask()
    server.heard.clear()
    s.settings = both
    s.ask()
    assert [(h.block["task"], h.body["model"]) for h in server.heard] == [("judge", "other")]


@pytest.mark.parametrize(
    ("combine", "second", "survived", "eliminated"),
    [
        ("first", {"faithful": False}, 2, {}),
        ("both", {"faithful": False}, 0, {"unfaithful": 2}),
        ("either", {"faithful": False}, 2, {}),
        ("both", {"difficulty": 99}, 0, {"unjudged": 2}),
        ("either", {"difficulty": 99}, 2, {}),
    ],
)
def test_the_rule_says_which_of_two_judges_decides(
    shard: Make, server: Server, combine: Any, second: dict[str, Any], survived: int, eliminated: dict[str, int]
) -> None:
    s = with_two(shard, server, **second)
    s.ask()
    asked = len(server.heard)
    ledger = s.eliminate(1, Eliminate(combine=combine), judges=["scripted", "other"])
    assert (ledger["survived"], ledger["eliminated"]) == (survived, eliminated)
    assert len(server.heard) == asked
