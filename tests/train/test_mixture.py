import json
from pathlib import Path
from typing import Any

import pytest
from mmevol.config.commands import MixtureSettings, Run
from mmevol.config.train import Entry
from mmevol.records import QA, turns
from mmevol.store import read_dicts
from mmevol.train.backbone import load_processor
from mmevol.train.collate import Collator, Pictures
from mmevol.train.mixture import conversations, form, mixture
from mmevol.train.samples import Encoder, encode_all
from pydantic import ValidationError
from tiny_study import MODEL, Study

SEEDS, ROUNDS = Entry(seeds="all"), Entry(evolution="full", rounds=[1, 2])


def mixed(study: Study, out: Path, *entries: Entry, seed: int = 1) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    settings = MixtureSettings(seed=seed, entries=list(entries))
    mixture(settings, run=Run(), shards=study.shards, evolved=study.evolved, bases=[study.base], out=out)
    return list(read_dicts(out / "ids.parquet")), json.loads((out / "stats.json").read_text())


def test_seeds_and_survivors_and_nothing_else(study: Study, tmp_path: Path) -> None:
    rows, stats = mixed(study, tmp_path, SEEDS, ROUNDS)
    assert stats["by_source"] == {"seeds": 19, "full/round_1": 11, "full/round_2": 11}
    assert stats["qas"] == len({row["qa"] for row in rows}) == sum(stats["by_form"].values()) == 41
    assert rows == sorted(rows, key=lambda r: (r["record"], r["round"], r["qa"]))
    assert {r["record"] for r in rows if r["source"] == "full"} == {f"{n:02d}" for n in range(12) if n != 3}


def test_forms_of_answers() -> None:
    choice = QA(question="What is it?", answer="a cup", options=["a cup", "a star"])
    asked = [choice, QA(question="Is it red?", answer="Yes."), QA(question="What color is it?", answer="red")]
    assert [form(turns(qa)) for qa in asked] == ["letter", "yes_no", "open"]


def test_an_entry_given_twice_counts_once(study: Study, tmp_path: Path) -> None:
    assert mixed(study, tmp_path / "a", SEEDS, SEEDS) == mixed(study, tmp_path / "b", SEEDS)


def test_rounds_directions_and_limits(study: Study, tmp_path: Path) -> None:
    def kept(name: str, **keys: Any) -> set[str]:
        return {row["qa"] for row in mixed(study, tmp_path / name, Entry(evolution="full", **keys))[0]}

    second = kept("round", rounds=[2])
    assert second == kept("direction", directions=["reasoning"])
    assert len(second) == 11
    small, large = kept("small", limit=3), kept("large", limit=8)
    assert len(small) == 3
    assert small < large, "a smaller subset is part of a larger"


def test_a_number_of_seed_records(study: Study, tmp_path: Path) -> None:
    few = {row["record"] for row in mixed(study, tmp_path / "a", Entry(seeds=4))[0]}
    more = {row["record"] for row in mixed(study, tmp_path / "b", Entry(seeds=7))[0]}
    assert (len(few), len(more)) == (4, 7)
    assert few < more


def test_tokens_are_what_the_model_will_see(study: Study, tmp_path: Path) -> None:
    _, stats = mixed(study, tmp_path, SEEDS, ROUNDS)
    processor = load_processor(study.base)
    encoder = Encoder(processor, MODEL)
    talks = conversations(tmp_path / "ids.parquet", seed=1, shards=study.shards, evolved=study.evolved)
    samples, _ = encode_all(encoder, talks)
    collate = Collator(encoder, Pictures(study.images, processor))
    seen = sum(int(collate([sample])["attention_mask"].sum()) for sample in samples)
    counted = stats["backbones"]["tiny"]
    assert counted == {
        "samples": len(samples),
        "tokens": seen,
        "image_tokens": 36 * sum(s.picture is not None for s in samples),
        "qas_too_long": 0,
    }


def test_the_digest_follows_the_content(study: Study, tmp_path: Path) -> None:
    digests = [
        mixed(study, tmp_path / str(k), *entries)[1]["digest"] for k, entries in enumerate([[SEEDS], [SEEDS, ROUNDS]])
    ]
    assert digests[0] != digests[1]
    assert digests[0] == mixed(study, tmp_path / "again", SEEDS)[1]["digest"]


def test_all_of_a_record_is_one_conversation_in_hash_order(study: Study, tmp_path: Path) -> None:
    mixed(study, tmp_path, SEEDS, ROUNDS)
    orders = []
    for seed in (1, 2):
        talks = conversations(tmp_path / "ids.parquet", seed=seed, shards=study.shards, evolved=study.evolved)
        assert [t.id for t in talks] == [f"{n:02d}" for n in range(13)]
        assert [len(t.turns) for t in talks] == [3 + n % 2 if n != 3 else 2 for n in range(12)] + [1]
        orders.append([t.turns for t in talks])
    assert orders[0] != orders[1]
    assert [sorted(t) for t in orders[0]] == [sorted(t) for t in orders[1]]
    multiple_choice = [turn for turns in orders[0] for turn in turns if "round 1" in turn[0]]
    assert all(question.endswith("directly.") and answer in "ABC" for question, answer in multiple_choice)


@pytest.mark.parametrize("keys", [{}, {"seeds": "all", "evolution": "full"}, {"seeds": "all", "rounds": [1]}])
def test_an_entry_names_one_source(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Entry(**keys)
