"""The test study from nothing to tables and figures on a cluster with accounting, and reruns of it that need no GPU."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from daemons import GPUS, NODES, Slurm, run
from place import Place, new_place, spread
from shipped import QUICK

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

GPU_RULES = {"train_finetune": GPUS, "evaluate_predict": 1}
"""And how many each asks for; they are fake, so two processes of a training meet by gloo."""


@pytest.fixture(scope="module")
def done(slurm: Slurm, at_site: Callable[..., Place], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The test study, run on the cluster; what Snakemake said is in ``snakemake.out``."""
    slurm.account()
    place = new_place(tmp_path_factory.mktemp("study") / "done")
    tiny = place.study["train"]["backbones"]["tiny"]
    tiny |= {"machines": {"finetune": {"gpus": GPUS}}, "finetune": tiny["finetune"] | {"per_device": 4}}
    place.study["evaluate"]["gpus"] = 1
    at_site(place, accounting="true", account="lab", before='"touch before"')
    (place.folder / "snakemake.out").write_text(place.run(*QUICK))
    return place


def accounted(slurm: Slurm, output: str) -> list[dict[str, str]]:
    """The jobs of a run as the accounting database knows them."""
    names = ("JobID", "State", "Partition", "Account", "AllocTRES", "NodeList", "Comment")
    rows = run("sacct", "-X", "-n", "-P", "--delimiter=;", "-o", ",".join(names), "--name", slurm.run_id(output))
    return [dict(zip(names, row.split(";"), strict=True)) for row in rows.splitlines()]


def rule_of(job: dict[str, str]) -> str:
    return re.sub("^rule_(.*?)(_wildcards_.*)?$", r"\1", job["Comment"])


def test_everything_is_there(done: Place) -> None:
    for name in ("main", "benchmarks", "rounds", "elimination", "composition", "mixtures"):
        assert (done.results / "tables" / f"{name}.csv").stat().st_size
    for name in ("fig1_lineage", "fig9c_difficulty", "fig_loss", "fig_results"):
        assert (done.results / "figures" / f"{name}.pdf").stat().st_size
    assert done.planned() == {}
    assert (done.folder / "before").exists()  # what the site runs before every job


def test_jobs_go_where_they_belong(slurm: Slurm, done: Place) -> None:
    jobs = accounted(slurm, (done.folder / "snakemake.out").read_text())
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    assert {job["Account"] for job in jobs} == {"lab"}
    for job in jobs:
        gpus = int((re.findall("gres/gpu=([0-9]+)", job["AllocTRES"]) or ["0"])[0])
        expected = GPU_RULES.get(rule_of(job), 0)
        assert (job["Partition"], gpus) == ("gpu" if expected else "cpu", expected), job
    assert {rule_of(job) for job in jobs} >= set(GPU_RULES)


def test_seconds_of_work_are_grouped(slurm: Slurm, done: Place) -> None:
    jobs = accounted(slurm, (done.folder / "snakemake.out").read_text())
    scores = len(done.study["evaluate"]["benchmarks"]) * (len(done.study["train"]["arms"]) + 1)
    assert len([job for job in jobs if rule_of(job).startswith("score_")]) == -(-scores // 8)


def test_jobs_of_all_nodes_tell_how_they_did(done: Place) -> None:
    beats = [json.loads(path.read_text()) for path in (done.results / "status").glob("*.json")]
    assert {beat["host"] for beat in beats} == set(NODES)
    assert {beat["state"] for beat in beats} == {"done"}


def test_efficiency_is_reported(done: Place) -> None:
    report = next((done.folder / ".snakemake" / "slurm_efficiency").glob("*.csv"))
    with open(report) as file:
        rows = list(csv.DictReader(file))
    assert max(float(row["MaxRSS_MB"]) for row in rows) > 100


def test_a_colour_is_one_job_without_gpu(slurm: Slurm, done: Place, tmp_path) -> None:
    place = done.copy(tmp_path / "copy")
    place.study["publish"] = {"figures": {"fig9a_skills": {"colors": {"seed": "#444444"}}}}
    output = place.run("paper_figures", *QUICK)
    (job,) = accounted(slurm, output)
    assert (job["State"], job["Partition"]) == ("COMPLETED", "cpu")
    assert "gres/gpu" not in job["AllocTRES"]


def test_a_threshold_reruns_the_dataset_without_gpu(slurm: Slurm, done: Place, tmp_path) -> None:
    place = done.copy(tmp_path / "copy")
    place.study["evolve"]["evolutions"]["full"]["eliminate"] = {"min_difficulty": [0, 5]}
    output = place.run("dataset", *QUICK)
    jobs = accounted(slurm, output)
    assert {rule_of(job) for job in jobs} == {"evolve_eliminate", "evolve_dataset"}
    assert {job["Partition"] for job in jobs} == {"cpu"}


def test_a_spread_study_is_the_same_study(
    slurm: Slurm, at_site: Callable[..., Place], done: Place, tmp_path: Path
) -> None:
    place = at_site(spread(tmp_path / "spread"), accounting="true", account="lab")
    output = place.run("evaluate", *QUICK)
    evolved = {
        name: data
        for name, data in done.data_files("evolve").items()
        if "/faults" not in name and "/dataset/README" not in name
    }
    mine = place.data_files("evolve")
    assert evolved and {name: mine.get(name) for name in evolved} == evolved
    on_gpu = {rule_of(job) for job in accounted(slurm, output) if job["Partition"] == "gpu"}
    assert {"evolve_ask", "evolve_judge_seeds", "seeds_curate", "evaluate_predict"} <= on_gpu
    manifest = json.loads((place.results / "train/finetune/evolved/seed_0/manifest.json").read_text())
    assert (manifest["processes"], manifest["batch"], manifest["accumulated"]) == (2, 8, 1)
    for benchmark in ("MME", "POPE"):
        rows = [
            (p.results / f"evaluate/evolved/seed_0/{benchmark}/predictions.jsonl").read_text().splitlines()
            for p in (place, done)
        ]
        assert [json.loads(row)["index"] for row in rows[0]] == [json.loads(row)["index"] for row in rows[1]]
