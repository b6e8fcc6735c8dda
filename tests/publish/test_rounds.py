import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from mmevol.config.publish import RoundsSettings
from mmevol.publish.rounds import read_round, rounds
from mmevol.publish.table import read_table
from mmevol.store import read_dicts, write_json
from small_study import Study


@pytest.fixture(scope="module")
def table(study: Study, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    out = tmp_path_factory.mktemp("tables") / "rounds"
    rounds(study.rounds, shards=study.shards, evolve=study.root / "evolve", out=out)
    return read_table(out.with_name("rounds.csv"))


def test_every_round_adds_up_to_what_was_sent(table: list[dict[str, str]]) -> None:
    evolved = [row for row in table if row["round"] != "0"]
    assert len(evolved) == 6
    for row in evolved:
        assert int(row["sent"]) == int(row["survived"]) + int(row["eliminated"]) + int(row["failed"])
        for name in ("eliminated", "failed"):
            assert int(row[name]) == sum(int(v) for k, v in row.items() if k.startswith(f"{name}: "))
        assert int(row["sent"]) == sum(int(v) for k, v in row.items() if k.startswith("sent: "))
        assert float(row["yield"]) == pytest.approx(int(row["survived"]) / int(row["sent"]), abs=1e-6)


def test_means_are_those_of_the_dataset(study: Study, table: list[dict[str, str]]) -> None:
    rows = [r for r in read_dicts(study.dataset) if r["outcome"] == "survived"]
    for number in (1, 2, 3):
        mine = [r for r in rows if r["round"] == number]
        row = next(r for r in table if r["evolution"] == "full" and r["round"] == str(number))
        assert float(row["skills"]) == pytest.approx(sum(len(r["skills"]) for r in mine) / len(mine), abs=1e-6)
        assert float(row["steps"]) == pytest.approx(sum(len(r["steps"]) for r in mine) / len(mine), abs=1e-6)
        hard = [v["value"] for r in mine for v in r["verdicts"] if v["name"] == "difficulty"]
        assert float(row["difficulty"]) == pytest.approx(sum(hard) / len(hard), abs=1e-6)


def test_round_0_is_the_seeds_and_sends_nothing(table: list[dict[str, str]]) -> None:
    row = table[0]
    assert (row["evolution"], row["round"], row["sent"], row["requests: evolve"]) == ("full", "0", "", "")
    assert float(row["difficulty"]) > 1 and float(row["steps"]) == 0


def test_shares_of_curated_and_not_executable(study: Study, table: list[dict[str, str]]) -> None:
    curated = {r["key"] for shard in study.shards for r in read_dicts(shard) if r["curated"]}
    seeds = Counter(r["record"] in curated for r in read_dicts(study.dataset) if r["outcome"] == "seed")
    assert float(table[1]["curated"]) == pytest.approx(seeds[True] / seeds.total(), abs=1e-6)
    assert 0 < float(table[1]["not executable"]) < 0.3


def test_a_round_judged_by_another_model_knows_nothing_of_grammar(study: Study, tmp_path: Path) -> None:
    from mmevol.store import read_rows, write_rows

    folder = tmp_path / "round_0"
    for shard in range(2):
        rows = read_rows(study.root / "evolve/full/round_0/candidates" / f"{shard}.parquet", "candidate")
        renamed = (
            c.model_copy(update={"verdicts": [v.model_copy(update={"judge": "gpt"}) for v in c.verdicts]}) for c in rows
        )
        write_rows(folder / "candidates" / f"{shard}.parquet", "candidate", renamed)
    found = read_round("full", 0, folder=folder, seeds=study.shards)
    assert found.unreadable is None and found.known == found.candidates > 0


def test_a_ledger_that_does_not_close_stops_the_table(study: Study, tmp_path: Path) -> None:
    evolve = tmp_path / "evolve"
    shutil.copytree(study.root / "evolve" / "full", evolve / "full")
    path = evolve / "full" / "round_2" / "ledger" / "0.json"
    ledger = json.loads(path.read_text())
    write_json(path, ledger | {"survived": ledger["survived"] + 1})
    settings = RoundsSettings(shards=2, evolutions={"full": [1, 2]})
    with pytest.raises(AssertionError, match=r"round 2: \d+ sent, \d+ accounted for"):
        rounds(settings, shards=study.shards, evolve=evolve, out=tmp_path / "rounds")
    assert not (tmp_path / "rounds.csv").exists()
