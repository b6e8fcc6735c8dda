"""`config/README.md` and `config/schema.json` are what the models say, and the studies are what the schema allows."""

import difflib
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from mmevol.config.reference import PREFACE, described, files, reference, schema
from mmevol.config.resolve import load, resolve

ROOT = Path(__file__).parent.parent
STUDIES = sorted([*ROOT.glob("config/*.yaml"), *ROOT.glob("config/ablations/*.yaml")])
DEMO: dict[str, Any] = yaml.safe_load((ROOT / "config/config.yaml").read_text())


@pytest.mark.parametrize("name", ["README.md", "schema.json"])
def test_the_files_are_in_step_with_the_models(name: str) -> None:
    made, kept = files()[name], (ROOT / "config" / name).read_text(encoding="utf-8")
    diff = difflib.unified_diff(kept.splitlines(), made.splitlines(), f"config/{name}", "the models", lineterm="", n=1)
    assert made == kept, "run `mmevol config reference`:\n" + "\n".join(diff)


def test_writing_makes_both_files(tmp_path: Path) -> None:
    reference(tmp_path)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == files()


def test_every_key_of_every_section_is_explained() -> None:
    page = files()["README.md"]
    whole = described()
    for name, node in [*whole["$defs"].items(), ("Study", whole)]:
        for key, value in node.get("properties", {}).items():
            assert value["description"], f"{name}.{key}"
            assert f"| `{key}` |" in page, f"{name}.{key}"


def test_a_base_explains_what_a_recipe_overrides() -> None:
    recipe = described()["$defs"]["TinyPretrain"]["properties"]
    assert recipe["language"]["default"] == 1e-3
    assert "peak learning rate" in recipe["language"]["description"]


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_studies_load_and_fit_the_schema(path: Path) -> None:
    assert load(path).study
    jsonschema.validate(yaml.safe_load(path.read_text()), schema())


def test_the_page_lists_the_studies() -> None:
    listed = set(re.findall(r"^\| `([\w./]+)` \| .* \|$", PREFACE, re.MULTILINE))
    assert listed == {path.name for path in ROOT.glob("config/*.yaml")} | {"ablations/"}


def test_the_presets_in_the_paper_study_can_be_taken() -> None:
    text = (ROOT / "config/paper.yaml").read_text()
    presets = re.findall(r"# .*?:\s+((?:pretrain|finetune): \{.*\})", text)
    assert len(presets) == 4
    study = yaml.safe_load(re.sub(r"^    # (reference:|  )", r"    \1", text, flags=re.MULTILINE))
    for preset in presets:
        study["train"]["backbones"]["preset"] = study["train"]["backbones"]["qwen2"] | yaml.safe_load(preset)
        assert resolve(study, "paper.yaml").evolve.evolutions["reference"].judge.compare_with == "seed"


@pytest.mark.parametrize(
    "change",
    [
        {"sed": 1},
        {"evolve": {"shards": 4, "evolutions": {"full": {"round": 3}}}},
        {"evolve": {"evolutions": {"full": {"judge": 3}}}},
        {"endpoints": {"evolver": {"launch": "external"}}},
        {"train": {"arms": {"evolved": {"backbone": "tiny"}}}},
    ],
)
def test_the_schema_refuses_what_reading_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(DEMO | change, schema())


def test_the_schema_takes_likeness_and_switched_gates() -> None:
    evolutions = {"full": {"judge": {"blind": False}}, "other": {"like": "full", "eliminate": False, "judge": True}}
    jsonschema.validate(DEMO | {"evolve": {"evolutions": evolutions}}, schema())


def test_the_controls_share_what_the_demo_asks() -> None:
    demo, controls = load(ROOT / "config/config.yaml"), load(ROOT / "config/demo_controls.yaml")
    assert (demo.seed, demo.seeds) == (controls.seed, controls.seeds)
    assert demo.evolve.evolutions["full"] == controls.evolve.evolutions["full"]
    for name, endpoint in demo.endpoints.items():
        assert endpoint.identity() == controls.endpoints[name].identity()
    assert {arm.tokens.same_as for name, arm in controls.train.arms.items() if arm.tokens} == {"evolved"}
    assert all(arm.train_seeds == [0, 1, 2] for arm in controls.train.arms.values())
