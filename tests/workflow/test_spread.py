"""What the jobs of a study that is spread as on a cluster ask for: a shared server, two processes a run, an arm's rows in parts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from place import REPO, Place, new_place, spread

pytestmark = pytest.mark.workflow


ASKED = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.iocontainers import Wildcards
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

snakefile, study, attempt = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
of = {"evolution": "full", "round": "1", "shard": "0", "backbone": "tiny", "arm": "evolved", "seed": "0", "part": "0"}
with SnakemakeApi(OutputSettings()) as api:
    settings = {"resource_settings": ResourceSettings(cores=64), "config_settings": ConfigSettings(configfiles=[study])}
    workflow = api.workflow(**settings, snakefile=Path(snakefile), workdir=study.parent)._workflow
    found = {r.name: dict(r.expand_resources(Wildcards(fromdict=of), [], attempt).items()) for r in workflow.rules}
print("ASKED", json.dumps(found))
"""


def asked(place: Place, attempt: int = 1) -> dict[str, dict[str, Any]]:
    """What a job of each rule asks for at an attempt."""
    (place.folder / "study.yaml").write_text(yaml.safe_dump(place.study))
    given = [str(REPO / "Snakefile"), str(place.folder / "study.yaml"), str(attempt)]
    done = subprocess.run([sys.executable, "-c", ASKED, *given], capture_output=True, text=True, env=place.env())
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.split("ASKED")[1])
    return found


def test_rules_say_what_they_need(tmp_path: Path) -> None:
    place = spread(tmp_path / "place")
    tiny = place.study["train"]["backbones"]["tiny"]
    tiny["machines"]["pretrain"] = {"nodes": 2, "gpus": 2, "cpus": 4, "mem_gb": 10, "hours": 5}
    tiny["pretrain"] |= {"per_device": 2}
    rules = asked(place)
    wanted = {
        "nodes": 2,
        "gpu": 4,
        "mpi": "srun",
        "tasks": 2,
        "tasks_per_gpu": 0,
        "_cores": 8,
        "mem_mb": 20000,
        "runtime": 300,
    }
    assert rules["train_pretrain"] | wanted == rules["train_pretrain"]
    stage = rules["train_finetune"]
    assert stage | {"nodes": 1, "_cores": 4, "mem_mb": 4000, "runtime": 60} == stage
    assert not {"gpu", "mpi", "tasks", "tasks_per_gpu"} & set(stage), (
        "Slurm's executor goes by the mere presence of mpi"
    )
    for rule in ("evolve_ask", "evolve_judge_seeds", "seeds_curate"):
        assert rules[rule] | {"gpu": 1, "mem_mb": 5000, "_cores": 3} == rules[rule], rule
    assert {rule for rule, resources in rules.items() if "gpu" in resources} == {
        *("train_pretrain", "evaluate_predict", "evolve_ask", "evolve_judge_seeds", "evolve_scratch", "seeds_curate"),
    }


def test_another_attempt_asks_for_more_but_of_gpu_nodes(tmp_path: Path) -> None:
    place = spread(tmp_path / "place")
    place.study["train"]["backbones"]["tiny"]["machines"]["pretrain"] = {"gpus": 1}
    first, second = asked(place), asked(place, attempt=2)
    grown = {rule for rule, resources in second.items() if resources.get("mem_mb", 0) > first[rule].get("mem_mb", 0)}
    assert {"evolve_ask", "evolve_eliminate", "train_finetune", "evaluate_predict", "evaluate_score"} <= grown
    assert "train_pretrain" not in grown
    assert second["evolve_ask"]["mem_mb"] == 1000 * 2 + 4000, "the server's share does not grow"


def test_a_study_of_its_own_size_asks_for_no_gpu(tmp_path: Path) -> None:
    assert not [rule for rule, resources in asked(new_place(tmp_path / "place")).items() if "gpu" in resources]
