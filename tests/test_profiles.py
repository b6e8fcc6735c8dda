"""The profiles as Snakemake reads them."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
import yte

ROOT = Path(__file__).parent.parent
SLURM = (ROOT / "slurm" / "config.yaml").read_text(encoding="utf-8")
LAPTOP = (ROOT / "profiles" / "default" / "config.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what reading the profile writes."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def profile(**site: Any) -> dict[str, Any]:
    whole = yaml.safe_load(SLURM)
    assert site.keys() <= whole["__variables__"].keys()
    whole["__variables__"] |= site
    return dict(yte.process_yaml(yaml.safe_dump(whole, sort_keys=False), require_use_yte=True))


def test_grouped_rules_exist_and_no_quick_rule_is_left_out() -> None:
    rules = {
        n for f in (ROOT / "workflow/rules").glob("*.smk") for n in re.findall(r"^rule (\w+):", f.read_text(), re.M)
    }
    figures = {f"publish_{f.stem}" for f in (ROOT / "paper_figures").glob("fig*.py")}
    grouped = profile()["groups"]
    assert grouped.keys() <= rules | figures
    assert {rule for rule in rules | figures if rule.startswith("publish_")} <= grouped.keys()
    assert profile()["group-components"].keys() <= set(grouped.values())


def test_the_executor_is_told_which_partition_has_gpus(elsewhere: Path) -> None:
    file = Path(profile(cpu_partition="standard", gpu_partition="a100")["slurm-partition-config"])
    assert file.is_relative_to(elsewhere)
    assert json.loads(file.read_text()) == {"partitions": {"standard": {}, "a100": {"max_gpu": 10000}}}


def test_a_site_asks_for_gpus_in_its_own_way() -> None:
    assert "set-resources" not in profile()
    assert profile(gpu_model="a100")["set-resources"]["train_finetune"] == {"gpu_model": "a100"}
    asked = profile(gpu_request="gres", gpu_model="a100", gpus_per_node=4, qos="high")["set-resources"]
    assert asked["train_finetune"] == {"qos": "high", "gpu": 0, "gres": "gpu:a100:4"}
    assert asked["evaluate_predict"]["gres"] == "gpu:a100:1"


def test_what_a_site_does_not_have_is_not_asked_for() -> None:
    bare = profile(accounting=False)
    assert bare["default-resources"] == {"turn": 1}
    assert not {"precommand", "software-deployment-method"} & bare.keys()
    assert (bare["slurm-status-command"], bare["slurm-efficiency-report"]) == ("squeue", False)
    full = profile(account="lab", before="module load cuda", software="conda")
    assert full["default-resources"] == {"turn": 1, "slurm_account": "lab"}
    assert (full["precommand"], full["software-deployment-method"]) == ("module load cuda", "conda")
    assert full["slurm-status-command"] == "sacct"


@pytest.mark.parametrize("line", [line for line in SLURM.splitlines() if re.match(r"( {2})?[\w-]+: [^?]", line)])
def test_every_setting_says_what_it_is_for(line: str) -> None:
    of_a_block = line.startswith("  ") and line.strip() in SLURM.split("\ngroups:")[1].split("\nresources:")[0]
    assert " # " in line or of_a_block or line.startswith("executor")


def test_cores_of_a_login_node_bound_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["snakemake", "dataset"])
    assert yte.process_yaml(LAPTOP, require_use_yte=True)["cores"] == "all"
    for arguments in (["--profile", "slurm"], ["--profile=slurm"], ["--executor", "slurm"]):
        monkeypatch.setattr(sys, "argv", ["snakemake", "dataset", *arguments])
        assert "cores" not in yte.process_yaml(LAPTOP, require_use_yte=True)
