"""The test study from nothing to tables and figures on a cluster with accounting, and reruns of it that need no GPU."""

import csv
import json
import re

import pytest
from daemons import GPUS, NODES
from place import Place
from shipped import QUICK
from view import accounted, printed, rule_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

GPU_RULES = {"train_finetune": GPUS, "evaluate_predict": 1}
"""And how many each asks for; they are fake, so two processes of a training meet by gloo."""


def test_everything_is_there(done: Place) -> None:
    for name in ("main", "benchmarks", "rounds", "elimination", "composition", "mixtures"):
        assert (done.results / "tables" / f"{name}.csv").stat().st_size
    for name in ("fig1_lineage", "fig9c_difficulty", "fig_loss", "fig_results"):
        assert (done.results / "figures" / f"{name}.pdf").stat().st_size
    assert done.planned() == {}
    assert (done.folder / "before").exists()  # what the site runs before every job


def test_jobs_go_where_they_belong(done: Place) -> None:
    jobs = accounted(printed(done))
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    assert {job["Account"] for job in jobs} == {"lab"}
    for job in jobs:
        gpus = int((re.findall("gres/gpu=([0-9]+)", job["AllocTRES"]) or ["0"])[0])
        expected = GPU_RULES.get(rule_of(job), 0)
        assert (job["Partition"], gpus) == ("gpu" if expected else "cpu", expected), job
    assert {rule_of(job) for job in jobs} >= set(GPU_RULES)


def test_seconds_of_work_are_grouped(done: Place) -> None:
    jobs = accounted(printed(done))
    scores = len(done.study["evaluate"]["benchmarks"]) * (len(done.study["train"]["arms"]) + 1)
    scoring = [job for job in jobs if rule_of(job).startswith("score_")]
    assert len(scoring) == -(-scores // 8)
    assert all("cpu=1,mem=1000M," in job["AllocTRES"] for job in scoring)  # one after the other
    rounds = [job for job in jobs if rule_of(job) == "evolve_ask_evolve_eliminate_evolve_faults"]
    assert len(rounds) == done.study["evolve"]["shards"] * done.study["evolve"]["evolutions"]["full"]["rounds"]


def test_jobs_of_all_nodes_tell_how_they_did(done: Place) -> None:
    beats = [json.loads(path.read_text()) for path in (done.results / "status").glob("*.json")]
    assert {beat["host"] for beat in beats} == set(NODES)
    assert {beat["state"] for beat in beats} == {"done"}


def test_efficiency_is_reported(done: Place) -> None:
    report = next((done.folder / ".snakemake" / "slurm_efficiency").glob("*.csv"))
    with open(report) as file:
        rows = list(csv.DictReader(file))
    assert max(float(row["MaxRSS_MB"]) for row in rows) > 100


@pytest.fixture(scope="module")
def reruns(done: Place, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What Snakemake says of two reruns, side by side: with another colour, and with another threshold."""
    colour, threshold = (done.copy(tmp_path_factory.mktemp(name) / "copy") for name in ("colour", "threshold"))
    for place in (colour, threshold):
        (place.folder / "snakemake.out").unlink()
    colour.study["publish"] = {"figures": {"fig9a_skills": {"colors": {"seed": "#444444"}}}}
    threshold.study["evolve"]["evolutions"]["full"]["eliminate"] = {"min_difficulty": [0, 5]}
    started = [colour.start("paper_figures", *QUICK), threshold.start("dataset", *QUICK)]
    assert [snakemake.wait(timeout=600) for snakemake in started] == [0, 0]
    return printed(colour), printed(threshold)


def test_a_colour_is_one_job_without_gpu(reruns: tuple[str, str]) -> None:
    (job,) = accounted(reruns[0])
    assert (job["State"], job["Partition"]) == ("COMPLETED", "cpu")
    assert "gres/gpu" not in job["AllocTRES"]


def test_a_threshold_reruns_the_dataset_without_gpu(reruns: tuple[str, str]) -> None:
    jobs = accounted(reruns[1])
    assert {rule_of(job) for job in jobs} == {"evolve_eliminate", "evolve_dataset"}
    assert {job["Partition"] for job in jobs} == {"cpu"}
