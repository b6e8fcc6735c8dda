"""The dataset: every version with its lineage, and the LLaVA file of what survived."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Evolution
from mmevol.config.commands import DatasetSettings
from mmevol.evolve.ask import seed_versions
from mmevol.evolve.dataset import dataset
from mmevol.records import QA, Candidate, Outcome, Reason, SeedRecord, Verdict, Version, qa_id
from mmevol.store import order_of, read_dicts, shard_of, write_rows
from scripted import record

ROUNDS = 3
SAID = [Verdict(judge="j", name="difficulty", value=4, reason="so")]


def grown(parent: Version, round_: int) -> Version:
    options = ["red", "blue"] if round_ == 2 else []
    answer = "blue" if options else "a1"
    qa = QA(question=f"{parent.qa.question} And {round_}?", answer=answer, options=options, skills=["ocr"])
    of = {"line": parent.line, "record": parent.record, "parent": parent.id, "round": round_, "direction": "reasoning"}
    return Version(id=qa_id(parent.record, parent.id, round_, "reasoning", qa), qa=qa, **of)


def end(n: int, round_: int) -> str:
    """What becomes of the n-th line in a round."""
    return ["survived", "eliminated", "failed"][(n + round_) % 3]


def evolution(root: Path, records: list[SeedRecord], shards: int) -> DatasetSettings:
    """Seeds and rounds on disk, as the commands write them."""
    for shard in range(shards):
        here = sorted((r for r in records if shard_of(r.key, shards) == shard), key=lambda r: order_of(r.key))
        write_rows(root / f"seeds/audited/{shard}.parquet", "seed", here)
        newest = {v.line: v for r in here for v in seed_versions(r)}
        for round_ in range(1, ROUNDS + 1):
            rows: list[tuple[Candidate, Outcome]] = []
            for r in here:
                for n, seed in enumerate(seed_versions(r)):
                    parent, outcome = newest[seed.line], end(n, round_)
                    version = None if outcome == "failed" else grown(parent, round_)
                    of = {"round": round_, "direction": "reasoning"}
                    failed = Reason.REFUSAL if version is None else None
                    why = {"survived": "", "eliminated": "too_easy", "failed": "refusal"}[outcome]
                    c = Candidate(
                        parent=parent,
                        version=version,
                        failed=failed,
                        verdicts=SAID if version else [],
                        prompt="p",
                        model="m",
                        **of,
                    )
                    o = Outcome(record=r.key, line=seed.line, parent=parent.id, outcome=outcome, reason=why, **of)  # type: ignore[arg-type]
                    rows.append((c, o))
                    newest[seed.line] = version if version and outcome == "survived" else parent
            at = root / f"evolve/full/round_{round_}"
            write_rows(at / f"candidates/{shard}.parquet", "candidate", (c for c, _ in rows))
            write_rows(at / f"ledger/{shard}.parquet", "outcome", (o for _, o in rows))
    return DatasetSettings(
        study="t", evolution="full", shards=shards, rounds=[1, 2, 3], definition=Evolution(), evolver="m", judge="j"
    )


@pytest.fixture
def records() -> list[SeedRecord]:
    seen = {"image": "a.png", "image_digest": "d" * 64, "source": "here", "attribution": "by me"}
    return [record("a", 3, **seen), record("b", 1), record("none", 0), record("c", 2, **seen), record("d", 4)]


def made(root: Path, records: list[SeedRecord], shards: int = 2) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    dataset(evolution(root, records, shards), root=root, out=root / "out")
    return list(read_dicts(root / "out/evolved.parquet")), json.loads((root / "out/sft.json").read_text())


def test_every_version_and_failed_try_has_one_row(tmp_path: Path, records: list[SeedRecord]) -> None:
    rows, _ = made(tmp_path, records)
    lines = 10
    assert len(rows) == lines * (1 + ROUNDS)
    assert len({row["id"] for row in rows}) == len(rows)
    by_id = {row["id"]: row for row in rows}
    for row in rows:
        assert (row["outcome"] == "seed") == (row["round"] == 0) == (row["parent"] == "")
        assert (row["question"] == "") == (row["outcome"] == "failed") == row["id"].endswith(f"/r{row['round']}")
        assert row["licence"] == "CC0-1.0"
        if row["parent"]:
            parent = by_id[row["parent"]]
            assert parent["outcome"] in ("seed", "survived")
            assert (parent["line"], parent["record"]) == (row["line"], row["record"])
            assert parent["round"] < row["round"]
        if row["outcome"] in ("survived", "eliminated"):
            assert row["verdicts"] == [{"judge": "j", "name": "difficulty", "value": 4.0, "reason": "so"}]
            assert (row["prompt"], row["model"]) == ("p", "m")
    assert {row["reason"] for row in rows if row["outcome"] == "eliminated"} == {"too_easy"}
    assert {row["attribution"] for row in rows if row["record"] == "a"} == {"by me"}


def test_rows_are_in_order_and_shards_do_not_matter(tmp_path: Path, records: list[SeedRecord]) -> None:
    rows, sft = made(tmp_path / "one", records, 1)
    assert [order_of(row["record"]) for row in rows] == sorted(order_of(row["record"]) for row in rows)
    assert [(order_of(row["record"]), row["round"], row["id"]) for row in rows] == sorted(
        (order_of(row["record"]), row["round"], row["id"]) for row in rows
    )
    assert made(tmp_path / "many", records, 8) == (rows, sft)
    made(tmp_path / "again", records, 1)
    for name in ("evolved.parquet", "sft.json"):
        assert (tmp_path / "one/out" / name).read_bytes() == (tmp_path / "again/out" / name).read_bytes()


def test_the_llava_file_holds_what_survived_a_sample_a_round(tmp_path: Path, records: list[SeedRecord]) -> None:
    rows, sft = made(tmp_path, records)
    survived = [row for row in rows if row["outcome"] == "survived"]
    assert sum(len(s["conversations"]) for s in sft) == 2 * len(survived)
    assert len({s["id"] for s in sft}) == len(sft)
    assert {s["id"] for s in sft} == {f"{row['record']}/r{row['round']}" for row in survived}
    for sample in sft:
        seen = sample["id"][0] in "ac"
        assert sample.get("image") == ("a.png" if seen else None)
        speakers = [turn["from"] for turn in sample["conversations"]]
        assert speakers == ["human", "gpt"] * (len(speakers) // 2)
        marks = ["<image>" in turn["value"] for turn in sample["conversations"]]
        assert marks == [seen] + [False] * (len(marks) - 1)
    choice = next(s for s in sft if s["id"].endswith("/r2"))
    assert "\nA. red\nB. blue\n" in choice["conversations"][0]["value"]
    assert choice["conversations"][1]["value"] == "B"


def test_an_evolution_without_survivors_is_an_empty_list(tmp_path: Path) -> None:
    rows, sft = made(tmp_path, [record("none", 0)], 1)
    assert (rows, sft) == ([], [])


def test_rounds_that_do_not_fit_the_seeds_are_an_error(tmp_path: Path, records: list[SeedRecord]) -> None:
    settings = evolution(tmp_path, records, 1)
    fewer = sorted(records, key=lambda r: order_of(r.key))[1:]
    write_rows(tmp_path / "seeds/audited/0.parquet", "seed", fewer)
    with pytest.raises(AssertionError, match="a round is about"):
        dataset(settings, root=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out/evolved.parquet").exists()
    assert not (tmp_path / "out/sft.json").exists()
