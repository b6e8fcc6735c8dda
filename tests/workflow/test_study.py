"""The test study as a user runs it: complete, closed ledgers, and reruns that do only what depends on a change."""

import json
import re
import shutil
from pathlib import Path

import pytest
from mmevol.replies import ReplyStore
from mmevol.store import bucket_of
from place import Place, new_place

pytestmark = pytest.mark.workflow

ROUNDS = (1, 2)
SHARDS = (0, 1)


def ledgers(place: Place) -> list[dict]:
    folder = place.results / "evolve" / "full"
    return [json.loads((folder / f"round_{r}" / "ledger" / f"{s}.json").read_text()) for r in ROUNDS for s in SHARDS]


def tries(place: Place) -> list[dict]:
    files = (place.results / "evolve" / "full").glob("round_[1-9]/candidates/*.tries.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def predictions(place: Place) -> dict[tuple[str, ...], str]:
    """The text of every prediction, by arm, seed, benchmark and row."""
    found = {}
    for file in (place.results / "evaluate").glob("*/seed_*/*/predictions.jsonl"):
        for number, line in enumerate(file.read_text().splitlines()):
            row = json.loads(line)
            where = (*file.relative_to(place.results / "evaluate").parts[:3], str(number))
            found[where] = row.get("prediction", row.get("text")).strip()
    return found


def judged(place: Place) -> set[tuple[str, str]]:
    """Benchmark and text of every prediction that a benchmark's judge was asked about, of those that it reads as they are: the
    official code puts numbers and control characters in another form."""
    found = set()
    for benchmark in place.study["evaluate"]["benchmarks"]:
        bucket = bucket_of(f"benchmark/{benchmark}")
        with ReplyStore([bucket], job="test", root=place.folder / "replies") as store:
            kept = [store.get(bucket, bytes.fromhex(request["key"])) for request in place.requests()]
        found |= {(benchmark, k["request"]["data"]["prediction"].strip()) for k in kept if k}
    return {(benchmark, text) for benchmark, text in found if re.fullmatch("[A-Za-z ]+", text)}


def test_every_table_and_figure_is_there(done: Place) -> None:
    for name in ("main", "benchmarks", "rounds", "elimination", "composition"):
        for kind in ("csv", "md", "tex"):
            assert (done.results / "tables" / f"{name}.{kind}").stat().st_size
    for name in (
        "fig1_lineage",
        "fig2_composition",
        "fig9a_skills",
        "fig9b_steps",
        "fig9c_difficulty",
        "fig10_longtail",
    ):
        for kind in ("pdf", "svg", "png"):
            assert (done.results / "figures" / f"{name}.{kind}").stat().st_size
    assert len((done.results / "tables" / "findings.txt").read_text().splitlines()) == 3
    assert (done.results / "evolve" / "full" / "dataset" / "README.md").exists()


def test_the_ledger_closes(done: Place) -> None:
    for ledger in ledgers(done):
        ended = ledger["survived"] + sum(ledger["eliminated"].values()) + sum(ledger["failed"].values())
        assert ledger["sent"] == ended > 0
    asked = sum(sum(ledger["requests"].values()) for ledger in ledgers(done))
    assert asked > 0


def test_a_second_run_does_nothing(done: Place) -> None:
    before = len(done.requests())
    assert done.planned() == {}
    assert "Nothing to be done" in done.run()
    assert len(done.requests()) == before


def test_the_last_rounds_threshold_asks_no_rewrite_and_no_verdict(done: Place, tmp_path: Path) -> None:
    place = done.copy(tmp_path / "copy")
    place.study["evolve"]["evolutions"]["full"]["eliminate"] = {"min_difficulty": [0, 5]}
    place.study["evaluate"]["blind"] = []  # the same as for the arms that see, twice as long
    planned = place.planned("tables")
    assert planned["evolve_eliminate"] == len(SHARDS)
    assert not {"seeds_draw", "seeds_curate", "evolve_judge_seeds", "evolve_ask", "train_base", "train_pretrain"} & set(
        planned
    )
    assert (
        "train_finetune" in planned and planned["train_finetune"] == 2
    )  # evolved, and seed_matched whose tokens follow it
    place.run("tables")
    assert not [r for r in place.requests() if r["task"] in ("evolve", "judge", "blind", "curate")]
    assert place.data_files("evolve") != done.data_files("evolve")
    before, asked = predictions(done), judged(place)
    changed = {(where[2], text) for where, text in predictions(place).items() if text != before[where]}
    assert asked, "the change must alter some prediction that a benchmark's judge reads"
    assert asked <= changed


def test_every_rounds_threshold_asks_exactly_what_changed(done: Place, tmp_path: Path) -> None:
    place = done.copy(tmp_path / "copy")
    place.study["evolve"]["evolutions"]["full"]["eliminate"] = {"min_difficulty": 5}
    place.run("dataset")
    asked = {r["key"] for r in place.requests() if r["task"] == "evolve"}
    needed = {t["key"] for t in tries(place)} - {t["key"] for t in tries(done)}
    assert asked == needed
    kept = {t["key"] for t in tries(place)} & {t["key"] for t in tries(done)}
    assert asked and kept, "the change must touch some requests and leave others"


def test_a_plot_colour_redraws_one_figure(done: Place, tmp_path: Path) -> None:
    place = done.copy(tmp_path / "copy")
    place.study["publish"] = {"figures": {"fig9a_skills": {"colors": {"seed": "#444444"}}}}
    assert place.planned() == {"publish_fig9a_skills": 1, "all": 1}
    assert place.planned("paper_figures") == {"publish_fig9a_skills": 1, "paper_figures": 1}


def test_the_same_seed_gives_the_same_bytes(done: Place, tmp_path: Path) -> None:
    place = new_place(tmp_path / "again")
    place.run()
    ours, theirs = place.data_files(), done.data_files()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_other_shards_give_the_same_data_and_ask_nothing(done: Place, tmp_path: Path) -> None:
    place = done.copy(tmp_path / "copy")
    shutil.rmtree(place.folder / "results")
    place.study["evolve"]["shards"] = 4
    place.run("dataset")
    for name in ("evolved.parquet", "sft.json"):
        file = Path("evolve", "full", "dataset", name)
        assert (place.results / file).read_bytes() == (done.results / file).read_bytes()
    assert place.requests() == []


def test_another_seed_gives_other_data(done: Place, tmp_path: Path) -> None:
    place = new_place(tmp_path / "other", seed=8)
    place.run("dataset")
    for folder in ("seeds", "evolve"):
        ours, theirs = place.data_files(folder), done.data_files(folder)
        parquet = [name for name in ours if name.endswith("0.parquet")]
        assert parquet
        assert not [name for name in parquet if ours[name] == theirs.get(name)]


TARGETS = ("seeds", "evolve", "dataset", "pretrain", "finetune", "evaluate", "tables", "paper_figures", "all")


def test_named_targets_are_done(done: Place) -> None:
    assert done.planned(*TARGETS) == {}
