import json
from pathlib import Path

import pytest
from mmevol.publish.provenance import cost, files, git_state, record
from mmevol.publish.rounds import rounds
from small_study import Study


def test_costs_add_up_over_shards_and_rounds(study: Study) -> None:
    usage = sorted((study.root / "evolve/full").glob("round_*/usage/*.json"))
    added = cost(usage)
    (evolver,) = added["endpoints"]
    assert added["seconds"] == 15.0
    assert (evolver["asked"], evolver["errors"]) == (540, {"429": 6})
    assert evolver["money"] == pytest.approx(540 * 1500 / 1e6 - 6 * 100 / 1e6)  # what is cached costs nothing here


def test_a_table_knows_its_inputs_and_cost_only_in_its_sidecar(study: Study, tmp_path: Path) -> None:
    rounds(study.rounds, shards=study.shards, evolve=study.root / "evolve", out=tmp_path / "rounds")
    sidecar = json.loads((tmp_path / "rounds.provenance.json").read_text())
    assert [row["asked"] for row in sidecar["cost"]["endpoints"]] == [1080]
    assert (
        len(sidecar["inputs"]) == 2 + 2 * (4 + 3) * 2
    )  # shards; two evolutions: 4 rounds of candidates, 3 ledgers, 2 shards
    assert sidecar["settings"]["shards"] == 2
    for kind in ("csv", "md", "tex", "html"):
        text = (tmp_path / f"rounds.{kind}").read_text()
        assert sidecar["time"][:10] not in text and str(tmp_path) not in text


def test_paths_below_the_working_directory_are_told_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    assert list(files([tmp_path / "a"])) == [str(tmp_path / "a")]
    monkeypatch.chdir(tmp_path)
    assert list(files([tmp_path / "a"])) == ["a"]


def test_outside_a_checkout_no_commit_is_claimed(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {"commit": None, "dirty": None}


def test_the_sidecar_stands_beside_its_table(tmp_path: Path) -> None:
    from mmevol.config.publish import PaperSettings

    (tmp_path / "x.csv").write_text("a\n")
    path = record(tmp_path / "x", outputs=[tmp_path / "x.csv"], inputs=[], settings=PaperSettings(arms={}))
    value = json.loads(path.read_text())
    assert path.name == "x.provenance.json" and value["cost"] is None
    assert set(value) == {
        *("schema", "command", "git", "settings", "inputs", "outputs", "environment", "cost", "time"),
    }
