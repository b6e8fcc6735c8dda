"""Another engine than Slurm takes the same rules: the example profile, with this machine as its scheduler."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from place import REPO, Place, new_place

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        find_spec("snakemake_executor_plugin_cluster_generic") is None,
        reason="no executor: pip install -c envs/constraints.txt snakemake-executor-plugin-cluster-generic",
    ),
]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = new_place(tmp_path / "place")
    (place.folder / "profiles").symlink_to(REPO / "profiles")
    return place


def test_a_target_is_made_by_submitted_jobs(place: Place) -> None:
    said = place.run("seeds", "--profile", str(REPO / "profiles/cluster-generic"), "--latency-wait", "5")
    assert "with external jobid" in said
    assert sorted(p.name for p in (place.results / "seeds/shards").iterdir()) == ["0.parquet", "1.parquet"]
    logs = list((place.folder / ".snakemake/jobs").iterdir())
    assert {log.name.split(".")[0] for log in logs} == {"seeds_draw", "seeds_audit", "seeds_curate"}
