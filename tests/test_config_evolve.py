"""What an evolution can be told: presets, two judges, directions of one's own."""

from pathlib import Path

import pytest
from mmevol.config import Eliminate
from mmevol.config.evolve import PRESETS
from mmevol.records import BadInput
from test_config import bad, study


def test_a_preset_writes_out_its_keys_and_own_keys_win() -> None:
    e = study(
        evolve__evolutions={
            "paper": {"preset": "paper"},
            "reference": {"preset": "reference", "rounds": 1},
            "other": {"like": "reference", "checks": True},
            "mixed": {"rounds": 2, "judge": False, "eliminate": False},
            "over": {"like": "mixed", "preset": "reference", "eliminate": False},
        }
    ).evolve.evolutions
    paper, reference = e["paper"], e["reference"]
    assert paper.judge and reference.judge and reference.eliminate
    assert (paper.judge.compare_with, reference.judge.compare_with) == ("parent", "seed")
    assert (paper.directions, reference.directions) == (
        {"perceptual": 1, "reasoning": 1, "interactive": 1},
        {"perceptual": 2, "reasoning": 1, "interactive": 1},
    )
    assert not (reference.judge.sees_image or reference.judge.sees_annotations or reference.judge.blind)
    assert (reference.judge.endpoint, reference.endpoint) == ("evolver", "evolver")
    left = reference.eliminate.model_dump(exclude={"improved"})
    assert left == Eliminate(faithful=False, image_needed=False, answered_blind=False, near_duplicate=None).model_dump(
        exclude={"improved"}
    )
    assert (reference.rounds, reference.checks, reference.qas_per_request) == (1, False, 50)
    assert e["other"] == reference.model_copy(update={"checks": True})
    assert e["over"] == reference.model_copy(update={"rounds": 3, "eliminate": None})
    assert PRESETS.keys() == {"paper", "reference"}


def test_a_preset_that_does_not_exist_is_named() -> None:
    error = bad(evolve__evolutions={"full": {"preset": "papers"}})
    assert (error.field, error.found) == ("evolve.evolutions.full.preset", "'papers'")
    assert "reference" in error.expected


def test_a_second_judge_is_another_model_and_makes_a_rule_possible() -> None:
    two = {"judge": {"second": {"endpoint": "judge"}}}
    assert bad(evolve__evolutions={"full": two}).field == "evolve.evolutions.full.judge.second.endpoint"
    missing = {"judge": {"second": {"endpoint": "none"}}}
    assert bad(evolve__evolutions={"full": missing}).found == "none"
    assert "second judge" in bad(evolve__evolutions={"full": {"eliminate": {"combine": "both"}}}).expected
    scratch = {"from": "scratch", "calls": {"same_as": "full"}} | {"judge": {"second": {"endpoint": "judge"}}}
    assert study(evolve__evolutions={"full": {}, "anew": scratch}).two_judges("anew") == []
    other = {"launch": "embedded", "model": "other"}
    s = study(
        endpoints__other=other,
        evolve__evolutions={"full": {"judge": {"second": {"endpoint": "other"}}, "eliminate": {"combine": "both"}}},
    )
    alone = study(evolve__evolutions={"full": {}})
    assert s.eliminate_settings("full", 1).judges == ["symbolic-v1", "other"]
    assert s.ask_settings("full", 0) == alone.ask_settings("full", 0)
    assert [name for name, _ in s.ask_settings("full", 1).asked()] == ["evolver", "judge", "other"]
    assert alone.eliminate_settings("full", 1).dump() == '{"thresholds":{}}'


def test_a_direction_of_ones_own_concerns_the_evolutions_that_draw_it(tmp_path: Path) -> None:
    (tmp_path / "direction.yaml").write_text("name: sideways\nbase: reasoning\n")
    evolutions = {"plain": {}, "own": {"directions": {"sideways": 1}}}
    s = study(evolve__evolutions=evolutions, evolve__direction_plugins=[f"{tmp_path}/"])
    assert "plugins" not in s.ask_settings("plain", 1).dump()
    before = s.ask_settings("own", 1).dump()
    assert f'"name":"sideways","source":"{tmp_path}/"' in before
    assert "plugins" not in s.ask_settings("own", 0).dump()
    (tmp_path / "prompt.jinja").write_text("Go sideways.")
    again = study(evolve__evolutions=evolutions, evolve__direction_plugins=[f"{tmp_path}/"])
    assert again.ask_settings("own", 1).dump() != before
    assert again.ask_settings("plain", 1) == s.ask_settings("plain", 1)


def test_what_is_wrong_with_a_direction_of_ones_own_is_named(tmp_path: Path) -> None:
    here = f"{tmp_path}/"
    assert bad_of({}, [here]).file == f"{tmp_path}/direction.yaml"
    (tmp_path / "direction.yaml").write_text("name: sideways\n")
    assert "two are called sideways" in bad_of({}, [here, here]).expected
    error = bad_of({"sideways": 1}, [here])
    assert error.field == "evolve.evolutions.full.directions.sideways"
    assert "base" in error.remedy
    assert bad_of({}, ["sideways"]).field == "evolve.direction_plugins"


def bad_of(directions: dict[str, float], plugins: list[str]) -> BadInput:
    evolution = {"directions": directions} if directions else {}
    with pytest.raises(BadInput) as caught:
        study(evolve__evolutions={"full": evolution}, evolve__direction_plugins=plugins)
    return caught.value
