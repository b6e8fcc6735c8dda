"""The study file: likeness, defaults, and a message for everything that can be wrong in it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import (
    AskSettings,
    Budget,
    Eliminate,
    EliminateSettings,
    Endpoint,
    Evolution,
    Faults,
    Identity,
    Judge,
    Run,
    Section,
)
from mmevol.config.commands import DatasetSettings
from mmevol.config.resolve import load, resolve
from mmevol.config.section import Settings
from mmevol.config.study import Study
from mmevol.records import BadInput

BASE: dict[str, Any] = {
    "study": "tiny",
    "seed": 7,
    "endpoints": {"evolver": {"launch": "embedded"}, "judge": {"same_as": "evolver", "temperature": 0}},
    "seeds": {"source": "world", "curate": {}},
    "evolve": {"shards": 2, "evolutions": {"full": {"rounds": 2}}},
}


def study(**changes: Any) -> Study:
    """The base study with values put in by path: ``evolve__shards=4``."""
    return resolve(changed(changes), "tiny.yaml")


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    raw = copy.deepcopy(BASE)
    for path, value in changes.items():
        *heads, last = path.split("__")
        node = raw
        for head in heads:
            node = node.setdefault(head, {})
        node[last] = value
    return raw


def bad(**changes: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        study(**changes)
    assert caught.value.file == "tiny.yaml"
    assert caught.value.remedy
    return caught.value


# ------------------------------------------------------------------------------------------------------------- likeness


def test_like_copies_given_keys_and_own_keys_replace_whole_values() -> None:
    s = study(
        evolve__evolutions={
            "full": {"rounds": 2, "directions": {"perceptual": 1}, "eliminate": {"min_difficulty": [1, 2]}},
            "other": {"like": "full", "directions": {"reasoning": 1}},
            "third": {"like": "other", "eliminate": {"faithful": False}},
        }
    )
    e = s.evolve.evolutions
    assert e["other"].directions == {"reasoning": 1}
    assert e["other"].eliminate == Eliminate(min_difficulty=[1, 2])
    assert e["third"].eliminate == Eliminate(faithful=False)
    assert [x.rounds for x in e.values()] == [2, 2, 2]


@given(st.permutations(["a", "b", "c", "d"]))
def test_chains_do_not_ask_for_an_order(order: list[str]) -> None:
    entries: dict[str, dict[str, Any]] = {
        "a": {"rounds": 5},
        "b": {"like": "a", "checks": False},
        "c": {"like": "b", "content_attempts": 1},
        "d": {"like": "c", "rounds": 1},
    }
    e = study(evolve__evolutions={name: entries[name] for name in order}).evolve.evolutions
    assert e["d"] == Evolution(rounds=1, checks=False, content_attempts=1)
    assert e["c"] == Evolution(rounds=5, checks=False, content_attempts=1)


def test_same_as_copies_an_endpoint_and_not_its_name() -> None:
    s = study()
    assert s.endpoints["judge"].temperature == 0
    assert s.endpoints["judge"].launch == "embedded"
    assert s.endpoints["evolver"].temperature == 1


@pytest.mark.parametrize("circle", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b"}])
def test_a_circle_is_shown(circle: dict[str, str]) -> None:
    error = bad(evolve__evolutions={k: {"like": v} for k, v in circle.items()})
    assert error.field.startswith("evolve.evolutions.")
    assert error.field.endswith(".like")
    assert "->" in error.found
    assert "circle" in error.remedy


def test_likeness_to_nobody_names_who_there_is() -> None:
    error = bad(evolve__evolutions={"full": {}, 5: {}, "other": {"like": "ful"}})
    assert (error.field, error.found) == ("evolve.evolutions.other.like", "ful")
    assert "full" in error.expected
    assert bad(endpoints__judge={"same_as": "x"}).field == "endpoints.judge.same_as"


@pytest.mark.parametrize("entry", [None, 3, "text", ["a"]])
def test_likeness_to_what_is_no_mapping_is_found(entry: Any) -> None:
    error = bad(evolve__evolutions={"full": entry, "other": {"like": "full", "rounds": 1}})
    assert error.field == "evolve.evolutions.full"
    assert repr(entry) in error.found


# -------------------------------------------------------------------------------------------------------- what is wrong

WRONG = [
    # path, value, field, part of found, part of expected
    ("sede", 1, "sede", "unknown key 'sede'", "seed"),
    ("seeds__imagse", 1, "seeds.imagse", "unknown key 'imagse'", "images"),
    ("endpoints__evolver", {"launch": "embedded", "modle": "x"}, "endpoints.evolver.modle", "modle", "model"),
    ("evolve__evolutions__full", {"round": 2}, "evolve.evolutions.full.round", "round", "rounds"),
    ("evolve__evolutions__full", {"judge": {"blnd": True}}, "evolve.evolutions.full.judge.blnd", "blnd", "blind"),
    ("evolve__evolutions__full", {"rounds": "two"}, "evolve.evolutions.full.rounds", "'two'", "integer"),
    ("evolve__evolutions__full", {"rounds": 0}, "evolve.evolutions.full.rounds", "0", "greater"),
    ("evolve__evolutions__full", {"eliminate": {"improved": "x"}}, "evolve.evolutions.full.eliminate.improved", "x", "bool"),
    ("evolve__evolutions__full", {"directions": {"perceptal": 1}}, "evolve.evolutions.full.directions", "perceptal", "reasoning"),
    ("evolve__evolutions__full", {"directions": {"perceptual": 0}}, "evolve.evolutions.full", "0", "above 0"),
    ("evolve__evolutions__full", {"directions": {"perceptual": -1}}, "evolve.evolutions.full.directions.perceptual", "-1", ""),
    ("evolve__evolutions__full", {"from": "scratch"}, "evolve.evolutions.full", "scratch", "calls"),
    ("evolve__evolutions__full", {"rounds": 3, "eliminate": {"faithful": [True]}}, "evolve.evolutions.full", "", "3 rounds"),
    ("evolve__evolutions", {"a b": {}}, "evolve.evolutions.a b", "a b", "pattern"),
    ("evolve__shards", 3, "evolve", "3", "power of two"),
    ("evolve__shards", 512, "evolve", "512", "power of two"),
    ("evolve__budget", {"requests": 0}, "evolve.budget.requests", "0", "greater"),
    ("evolve__evolutions__full", {"endpoint": "nobody"}, "evolve.evolutions.full.endpoint", "nobody", "evolver, judge"),
    ("evolve__evolutions__full", {"judge": {"endpoint": "no"}}, "evolve.evolutions.full.judge.endpoint", "no", "evolver"),
    ("seeds__curate", {"endpoint": "nobody"}, "seeds.curate.endpoint", "nobody", "evolver, judge"),
    ("seeds__heldout", 1.5, "seeds.heldout", "1.5", "1"),
    ("seeds__image_size", 40, "seeds.image_size", "40", "80"),
    ("seeds", {}, "seeds.source", "nothing", "required"),
    ("endpoints__evolver", {}, "endpoints.evolver", "{}", "exactly one"),
    ("endpoints__evolver", {"launch": "embedded", "base_url": "http://x"}, "endpoints.evolver", "", "exactly one"),
    ("endpoints__evolver", {"base_url": "http://x", "faults": {"hang": 1}}, "endpoints.evolver", "", "embedded only"),
    ("endpoints__evolver", {"launch": "embedded", "faults": {"hang": 2}}, "endpoints.evolver.faults.hang", "2", "1"),
    ("train__mixtures", {"m": [{"evolution": "x"}]}, "train.mixtures.m.0.evolution", "x", "full"),
    ("train__mixtures", {"m": [{"seed": 1}]}, "train.mixtures.m.0.seed", "seed", "seeds"),
    ("train__backbones", {"t": {"kind": "llava-next", "warm": 1}}, "train.backbones.t.warm", "warm", "finetune"),
    ("train__mixtures", {"m": [{}]}, "train.mixtures.m.0", "{}", "exactly one"),
    ("train__backbones", {"t": {"kind": "tiny", "model": {"widht": 1}}}, "train.backbones.t.model.widht", "widht", "width"),
    ("train__backbones", {"t": {"kind": "huge"}}, "train.backbones.t", "huge", "tiny"),
    ("train__arms", {"a": {"backbone": "t", "mixture": "m"}}, "train", "", "no backbone 't'"),
    ("evaluate__benchmarks", {"MNE": {}}, "evaluate.benchmarks", "MNE", "MME"),
    ("evaluate__blind", ["nobody"], "evaluate.blind.0", "nobody", ""),
    ("evaluate__judge", "nobody", "evaluate.judge", "nobody", "evolver, judge"),
    ("evaluate", {"benchmarks": {"MME": {"judge": "judge"}}}, "evaluate", "", "benchmarks.MME.judge needs judge"),
    ("evaluate", {"judge": "judge", "benchmarks": {"MME": {"judge": "x"}}}, "evaluate.benchmarks.MME.judge", "x", "evolver, judge"),
    ("publish__main_evolution", "nobody", "publish.main_evolution", "nobody", "full"),
    ("evolve", "text", "evolve", "text", "dictionary"),
    ("endpoints", ["a"], "endpoints", "['a']", "dictionary"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "field", "found", "expected"), WRONG)
def test_what_is_wrong_is_named(path: str, value: Any, field: str, found: str, expected: str) -> None:
    error = bad(**{path: value})
    assert error.field == field
    assert found in error.found
    assert expected in error.expected


def test_every_section_refuses_a_key_that_it_does_not_know() -> None:
    sections = [Section]
    for section in sections:
        sections += section.__subclasses__()
    assert len(sections) > 40
    assert all(s.model_config["extra"] == "forbid" and s.model_config["frozen"] for s in sections)


def test_more_than_one_error_is_counted() -> None:
    assert "(and 1 more)" in bad(seeds={"source": "world", "a": 1, "b": 2}).found


@pytest.mark.parametrize(
    ("calls", "above"), [("oneshot", "full"), ("later", "full"), ("nobody", "full"), ("twin", "full, other")]
)
def test_the_control_matches_calls_of_an_evolution_above_it(calls: str, above: str) -> None:
    evolutions: dict[str, Any] = {"full": {}, "twin": {"from": "scratch", "calls": {"same_as": "full"}}}
    evolutions |= {"other": {}} if calls == "twin" else {}
    error = bad(
        evolve__evolutions={**evolutions, "oneshot": {"from": "scratch", "calls": {"same_as": calls}}, "later": {}}
    )
    assert (error.field, error.found) == ("evolve.evolutions.oneshot.calls.same_as", calls)
    assert error.expected == f"one of: {above}"


@pytest.mark.parametrize("content", [None, b"a: [1", b"- a", b"", b"\xff\xfe\x00", b"text"])
def test_a_file_that_is_no_study_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert caught.value.file == str(path)


def test_a_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=str(tmp_path)):
        load(tmp_path)


def test_a_study_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(BASE))
    assert load(tmp_path / "s.yaml") == study()


# --------------------------------------------------------------------------------------------- what the commands may see


def test_what_a_command_may_see_comes_back_from_its_dump() -> None:
    s = study(
        evolve__evolutions={
            "full": {"rounds": 2, "eliminate": {"min_difficulty": [1, 2], "near_duplicate": None}},
            "blunt": {"judge": False, "eliminate": False},
            "seeing": {"judge": {"blind": False, "compare_with": "seed"}},
        }
    )
    seen: list[Section] = [s.run(), s.draw_settings(), s.audit_settings(), s.curate_settings()]
    for name in s.evolve.evolutions:
        seen += [s.ask_settings(name, 1), s.eliminate_settings(name, 2), s.dataset_settings(name)]
    for settings in seen:
        assert type(settings).model_validate_json(settings.dump()) == settings
    assert len({settings.dump() for settings in seen}) == len(seen)


def test_defaults_are_left_out_of_a_dump() -> None:
    assert study().eliminate_settings("full", 1).dump() == '{"thresholds":{}}'
    assert "concurrency" not in study(endpoints__evolver__concurrency=32).run().dump()


def test_a_threshold_is_one_value_or_one_a_round() -> None:
    s = study(
        evolve__evolutions__full={"rounds": 2, "eliminate": {"min_difficulty": [1, 4], "improved": [True, False]}}
    )
    one, two = (s.eliminate_settings("full", r).thresholds for r in (1, 2))
    assert one == Eliminate(min_difficulty=1)
    assert two == Eliminate(min_difficulty=4, improved=False)


def test_gates_are_switched_by_true_and_false() -> None:
    e = Evolution.model_validate({"judge": False, "eliminate": False})
    assert (e.judge, e.eliminate) == (None, None)
    assert Evolution.model_validate({"judge": True, "eliminate": True}) == Evolution()
    assert Evolution.model_validate({"judge": {"blind": False}}).judge == Judge(blind=None)


def test_without_a_judge_only_what_needs_none_is_eliminated() -> None:
    thresholds = study(evolve__evolutions__full={"judge": False}).eliminate_settings("full", 1).thresholds
    assert thresholds
    assert not (thresholds.improved or thresholds.faithful or thresholds.image_needed or thresholds.min_difficulty)
    assert thresholds.near_duplicate == 0.9


def ask(**changes: Any) -> str:
    return study(**changes).ask_settings("full", 1).dump()


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoints__evolver__concurrency": 3},
        {"endpoints__evolver__timeout": 3},
        {"endpoints__evolver__patience": 3},
        {"endpoints__evolver__prices": {"input": 3}},
        {"evolve__budget": {"requests": 3}},
        {"evolve__evolutions__full": {"rounds": 2, "eliminate": {"min_difficulty": 3}}},
        {"evolve__evolutions__full": {"rounds": 2, "eliminate": False}},
        {"evolve__evolutions__full": {"rounds": 3}},
        {"study": "other", "seeds__images_root": "x", "seeds__source": "a.json"} | {"seeds__images_root": None},
        {"publish": {"figures": {"fig_loss": {"width": 3}}}},
        {"endpoints__more": {"launch": "embedded", "model": "x"}},
    ],
)
def test_what_does_not_shape_the_answers_is_not_in_the_params(changes: dict[str, Any]) -> None:
    if "study" in changes:
        assert "images_root" not in ask(**changes)
    else:
        assert ask(**changes) == ask()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"endpoints__evolver__model": "x"},
        {"endpoints__evolver__revision": "x"},
        {"endpoints__evolver__temperature": 0.5},
        {"endpoints__judge__temperature": 0.5},
        {"endpoints__evolver__faults": {"hang": 0.1}},
        {"evolve__shards": 4},
        {"evolve__evolutions__full": {"rounds": 2, "directions": {"reasoning": 1}}},
        {"evolve__evolutions__full": {"rounds": 2, "judge": {"compare_with": "seed"}}},
        {"evolve__evolutions__full": {"rounds": 2, "judge": {"blind": False}}},
        {"evolve__evolutions__full": {"rounds": 2, "judge": False}},
    ],
)
def test_what_shapes_the_answers_is_in_the_params(changes: dict[str, Any]) -> None:
    assert ask(**changes) != ask()


def test_an_identity_has_no_address_and_other_faults_are_another_model() -> None:
    here = Endpoint(base_url="https://a/v1", model="m", api_key_env="KEY", concurrency=3)
    there = Endpoint(base_url="https://b:8000/v1", model="m")
    assert here.identity() == there.identity() == Identity(provider="openai-compatible", model="m")
    assert here.connection().base_url == "https://a/v1"
    assert not set(json.loads(here.identity().dump())) & {"base_url", "api_key_env", "concurrency"}
    plain = Endpoint(launch="embedded").identity()
    assert plain == Endpoint(launch="embedded", faults=Faults()).identity() == Identity()
    faulty = {Endpoint(launch="embedded", faults=Faults(hang=x)).identity().model for x in (0.1, 0.2)}
    assert len(faulty | {plain.model}) == 3


@given(st.integers(1, 10**9), st.sampled_from([1, 2, 64, 256]))
def test_the_shards_of_a_budget_do_not_exceed_it(limit: int, shards: int) -> None:
    share = Budget(requests=limit, tokens=limit, money=float(limit)).share(shards)
    assert share.requests
    assert share.money
    assert share.requests * shards <= max(limit, shards)
    assert share.money * shards == pytest.approx(limit)
    assert Budget().share(shards) == Budget()


def test_a_benchmark_may_have_a_judge_of_its_own() -> None:
    of = study(evaluate={"judge": "judge", "benchmarks": {"POPE": {}, "MathVista_MINI": {"judge": "evolver"}}})
    pope, mathvista = of.judge_settings("POPE"), of.judge_settings("MathVista_MINI")
    assert pope and mathvista and (pope.endpoint, mathvista.endpoint) == ("judge", "evolver")
    assert (pope.identity.temperature, mathvista.identity.temperature) == (0, of.identity("evolver").temperature)
    assert study(evaluate={"benchmarks": {"POPE": {}}}).judge_settings("POPE") is None


def test_an_empty_run_is_a_run() -> None:
    assert Run.model_validate_json("{}") == Run()
    for model in (AskSettings, DatasetSettings):
        assert "seed" in model.model_fields or "study" in model.model_fields
    assert EliminateSettings.model_validate_json('{"thresholds":null}').thresholds is None


# --------------------------------------------------------------------------------------------------- files of a study


def test_jobs_that_meet_in_a_bucket_stand_in_a_line() -> None:
    """Following `bucket_turn` and the frontier back from any job leads through all jobs before it, and never round."""
    s = study(
        evolve__evolutions={
            "full": {"rounds": 2},
            "bare": {"rounds": 2, "judge": False},
            "oneshot": {"from": "scratch", "calls": {"same_as": "full"}},
            "last": {"rounds": 1},
        }
    )
    line = [("full", 0), ("full", 1), ("full", 2), ("bare", 1), ("bare", 2), ("oneshot", 1), ("last", 0), ("last", 1)]
    files = {s.round_file(*job, "candidates", 0): job for job in line}
    for before, job in zip([None, *line], line, strict=False):
        turn = [files[f] for f in s.bucket_turn(*job, 0)]
        by_frontier = [(job[0], job[1] - 1)] if s.frontier(job[0], job[1] - 1, 0) else []
        assert turn + by_frontier == ([before] if before else [])


def test_results_move_with_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMEVOL_RESULTS", "/scratch/x")
    assert study().results == "/scratch/x/tiny"
    assert study().images_root == "/scratch/x/tiny/seeds/images"
    assert study(seeds__source="a.json", seeds__images_root="pics").images_root == "pics"
    assert study(seeds__source="a.json").images_root is None


def test_a_bumped_version_stands_in_the_params_and_version_1_does_not() -> None:
    class First(Settings):
        key: int = 0

    class Bumped(First):
        version: int = 2

    assert (First().dump(), First(key=1).dump()) == ("{}", '{"key":1}')
    assert Bumped().dump() == '{"version":2}'
    assert Bumped.model_validate_json(Bumped().dump()) == Bumped()


# ------------------------------------------------------------------------------------------------------ real benchmarks


def test_real_benchmarks_have_a_folder_of_their_own() -> None:
    real = study(
        evaluate__source="files",
        evaluate__root="LMUData",
        evaluate__benchmarks={"MMStar": {}, "VQA_v2": {"split": "val"}},
        evaluate__rules="authors",
    )
    assert real.benchmark_file("MMStar") == "results/tiny/evaluate/official/MMStar/manifest.json"
    assert (real.fetch_options("MMStar"), real.fetch_options("VQA_v2")) == ("", "--split val")
    assert real.predict_settings("arm").textual
    unchecked = study(
        evaluate__source="files", evaluate__root="x", evaluate__check=False, evaluate__benchmarks={"MME": {}}
    )
    assert unchecked.fetch_options("MME") == "--no-check" and not unchecked.predict_settings("arm").textual
    made = study(evaluate__benchmarks={"MME": {}})
    assert made.benchmark_file("MME") == "results/tiny/evaluate/data/MME/manifest.json"
    assert "textual" not in made.predict_settings("arm").dump()


@pytest.mark.parametrize(
    ("evaluate", "said"),
    [
        ({"source": "files", "benchmarks": {"MME": {}}}, "needs root"),
        ({"source": "files", "root": "x", "benchmarks": {"MME": {"n": 5}}}, "needs root"),
        ({"source": "files", "root": "x", "benchmarks": {"MME": {"split": "val"}}}, "split is a key of VQA_v2"),
        ({"benchmarks": {"VQA_v2": {"split": "val"}}}, "split is a key of VQA_v2"),
    ],
)
def test_what_does_not_go_with_real_benchmarks(evaluate: dict[str, Any], said: str) -> None:
    assert said in str(bad(evaluate=evaluate))
