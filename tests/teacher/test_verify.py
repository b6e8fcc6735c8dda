"""The audit of a dataset, end to end through the command."""

from pathlib import Path
from typing import Any

import pytest
from mmevol.records import QA, BadInput, Request, RequestQA, SeedRecord
from mmevol.store import order_of, write_rows
from mmevol.teacher import command
from mmevol.teacher.answer import answer
from mmevol.teacher.verify import verify

from .test_execute import SCENE

SEEDS = ("How many circles are there?", "What mood does the star evoke?", "What color is the circle?")
KEYS = sorted((f"record {n}" for n in range(6)), key=order_of)


def row(record: str, outcome: str, **qa: Any) -> dict[str, Any]:
    words = {"question": "", "answer": "", "format": "Norm", "options": [], "objects": [], "skills": [], "steps": []}
    lineage = {
        "id": f"{record}/{outcome}",
        "line": "l",
        "parent": "",
        "round": 1,
        "direction": "reasoning",
        "reason": "",
    }
    more = {"verdicts": [], "prompt": "", "model": "m", "image": None, "caption": "", "source": "", "licence": ""}
    return {"record": record, "outcome": outcome, "attribution": "", **lineage, **words, **more, **qa}


def study(root: Path, **spoiled: Any) -> Path:
    """A study of two shards: three seed Q&A a record, what the teacher makes of them, and a failed try."""
    rows = []
    for at, keys in enumerate((KEYS[:4], KEYS[4:])):
        records = [SeedRecord(key=k, id=k, image=None, image_digest=None, objects=SCENE) for k in keys]
        write_rows(root / "seeds" / "audited" / f"{at}.parquet", "seed", records)
    for key in KEYS[:3] + KEYS[5:]:
        qas = [RequestQA(id=str(n), question=text, answer="two") for n, text in enumerate(SEEDS)]
        made = answer(Request(task="evolve", direction="reasoning", objects=SCENE, qas=qas), key, 0)["candidates"]
        rows += [row(key, "seed", question=qa.question, answer=qa.answer) for qa in qas]
        rows += [row(key, "survived", **QA.model_validate({k: v for k, v in m.items() if k != "id"}).model_dump(
            mode="json", exclude={"image_position"})) for m in made]  # fmt: skip
        rows.append(row(key, "failed"))
    rows[3] |= spoiled
    out = root / "evolve" / "full" / "dataset" / "evolved.parquet"
    write_rows(out, "version", rows)
    return out


def test_the_teacher_s_own_data_has_no_mismatch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = study(tmp_path)
    tallies = verify(dataset)
    assert (tallies["survived"].checked, tallies["survived"].no_answer, tallies["survived"].not_executable) == (
        12,
        0,
        0,
    )
    seed = tallies["seed"]
    assert (seed.checked, seed.no_answer, seed.not_executable, seed.mismatches) == (4, 4, 4, [])
    assert verify(dataset.parent, tmp_path / "seeds" / "audited") == tallies
    command.verify(dataset)
    assert "survived            12           0          0               0" in capsys.readouterr().out


def test_a_wrong_answer_ends_with_1_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = study(tmp_path, question="How many stars are there?", answer="3")
    with pytest.raises(command.typer.Exit) as ended:
        command.verify(dataset)
    assert ended.value.exit_code == 1
    told = f"{KEYS[0]}/survived of record {KEYS[0]}: How many stars are there? Said '3', executed '1'"
    assert told in capsys.readouterr().out


def test_a_person_s_wrong_answer_is_told_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.verify(study(tmp_path, outcome="seed", question="How many stars are there?", answer="3"))
    assert "Said '3', executed '1'" in capsys.readouterr().out


def test_seeds_must_be_those_of_the_dataset(tmp_path: Path) -> None:
    dataset = study(tmp_path)
    with pytest.raises(BadInput, match="no seed shards"):
        verify(dataset, tmp_path)
    (tmp_path / "seeds" / "audited" / "1.parquet").unlink()
    with pytest.raises(BadInput, match=KEYS[5]):
        verify(dataset)
