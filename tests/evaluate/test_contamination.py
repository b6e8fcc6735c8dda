"""Contamination: what is planted is found in the mixtures that hold it, and the scores without it are those of the other rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import BENCHMARKS, Run
from mmevol.config.commands import CleanSettings, ContaminationSettings
from mmevol.config.evaluate import Contamination
from mmevol.evaluate.benchmarks import Row, rows
from mmevol.evaluate.clean import clean, without
from mmevol.evaluate.contamination import contamination
from mmevol.evaluate.overlap import KINDS
from mmevol.evaluate.predict import write_answers
from mmevol.evaluate.scoring import judge
from mmevol.evaluate.scoring.inputs import read_inputs
from mmevol.evaluate.scoring.score import score
from mmevol.records import QA, BadInput, SeedRecord, qa_id
from mmevol.store import file_digest, order_of, write_rows
from PIL import Image

NAMES = ["MMStar", "POPE", "GQA"]
LONG = "Say in one word which of the two things named in this long question is the larger one"


def seed(key: str, folder: Path, picture: Image.Image | Path | None, *questions: str) -> SeedRecord:
    """A record with a picture drawn, a file as it is, or none."""
    path = folder / f"{key}.png"
    if isinstance(picture, Path):
        path.write_bytes(picture.read_bytes())
    elif picture:
        picture.save(path)
    return SeedRecord(
        key=key,
        id=key,
        image=path.name if picture else None,
        image_digest=file_digest(path) if picture else None,
        qas=[QA(question=question, answer="red") for question in questions],
    )


def version(record: str, id_: str, question: str, outcome: str = "survived") -> dict[str, Any]:
    empty = {"prompt": "", "model": "", "source": "", "licence": "", "attribution": "", "reason": "", "image": None}
    lists: dict[str, list[object]] = {"objects": [], "skills": [], "steps": [], "verdicts": [], "options": []}
    return (
        empty
        | lists
        | {
            **{"id": id_, "record": record, "parent": "", "round": 1, "direction": "reasoning", "outcome": outcome},
            **{"question": question, "answer": "yes", "format": "Norm"},
        }
    )


class Planted:
    """Two mixtures: ``seed`` holds a file of MMStar and a re-encoded picture of GQA; ``evolved`` a question of POPE besides."""

    def __init__(self, benchmarks: Path, root: Path) -> None:
        self.root, self.data, self.images = root, benchmarks, root / "images"
        self.images.mkdir()
        self.rows = {name: list(rows(name, benchmarks / name)) for name in NAMES}
        self.copied, self.again, self.told = self.rows["MMStar"][0], self.rows["GQA"][0], self.rows["POPE"][0]
        copied = root / "copied.png"
        copied.write_bytes(self.copied.pictures[0].read_bytes())
        again = self.again.picture()
        assert again
        records = [
            seed("plain", self.images, Image.effect_noise((80, 80), 90).convert("RGB"), "Unlike any?"),
            seed("file", self.images, copied, self.copied.question),
            seed("seen", self.images, again.resize((160, 160)), "Something of its own?"),
            seed("text", self.images, None, "Nothing?"),
        ]
        self.records = sorted(records, key=lambda r: order_of(r.key))
        self.shards = [root / "0.parquet", root / "1.parquet"]
        write_rows(self.shards[0], "seed", self.records[:2])
        write_rows(self.shards[1], "seed", self.records[2:])
        self.evolved = root / "full" / "dataset" / "evolved.parquet"
        said = {"text": [version("text", "1" * 24, f"{LONG}. {self.told.question}")]}
        said["plain"] = [version("plain", "", LONG, "failed"), version("plain", "2" * 24, "Is it there?")]
        write_rows(self.evolved, "version", [row for r in self.records for row in said.get(r.key, [])])
        ids = [
            {"record": r.key, "qa": qa_id(r.key, "", 0, "seed", q), "source": "seeds", "round": 0}
            for r in records
            for q in r.qas
        ]
        more = [{"record": "text", "qa": "1" * 24, "source": "full", "round": 1}]
        self.mixtures = {"seed": root / "seed" / "ids.parquet", "evolved": root / "evolved" / "ids.parquet"}
        write_rows(self.mixtures["seed"], "mixture", ids)
        write_rows(self.mixtures["evolved"], "mixture", ids + more)

    def found(self, **settings: int) -> Any:
        words = max(2, len(self.told.question.split()) - 1)
        contamination(
            ContaminationSettings(benchmarks=NAMES, contamination=Contamination(**{"words": words, **settings})),
            run=Run(),
            shards=self.shards,
            evolved={"full": self.evolved},
            mixtures=self.mixtures,
            images=self.images,
            data=self.data,
            out=self.root / "overlaps.json",
        )
        return json.loads((self.root / "overlaps.json").read_text())


@pytest.fixture
def planted(benchmarks: Path, tmp_path: Path) -> Planted:
    return Planted(benchmarks, tmp_path)


def sharing(asked: list[Row], picture: Row) -> list[str]:
    """The rows with a row's very picture."""
    wanted = picture.pictures[0].read_bytes()
    return [row.key for row in asked if any(source.read_bytes() == wanted for source in row.pictures)]


def test_what_is_planted_is_found(planted: Planted) -> None:
    found = planted.found()
    assert found["rows"] == {name: len(planted.rows[name]) for name in NAMES}
    of = found["overlaps"]
    assert of["seed"]["MMStar"]["picture"] == sharing(planted.rows["MMStar"], planted.copied)
    assert planted.copied.key in of["seed"]["MMStar"]["question"]
    assert set(sharing(planted.rows["GQA"], planted.again)) <= set(of["seed"]["GQA"]["near"])
    assert planted.again.key not in of["seed"]["GQA"]["question"]
    assert of["seed"]["POPE"]["words"] == [] != of["evolved"]["POPE"]["words"]
    assert planted.told.key in of["evolved"]["POPE"]["words"]
    assert all(of["evolved"]["POPE"][kind] == of["seed"]["POPE"][kind] for kind in KINDS if kind != "words")


def test_noise_is_near_nothing_and_a_wider_distance_finds_no_less(planted: Planted) -> None:
    narrow, wide = planted.found(distance=0), planted.found(distance=12)
    for mixture, benchmarks in narrow["overlaps"].items():
        for name, kinds in benchmarks.items():
            assert set(kinds["near"]) <= set(wide["overlaps"][mixture][name]["near"])
            assert kinds["picture"] == wide["overlaps"][mixture][name]["picture"]


def test_a_dataset_of_other_seeds(planted: Planted) -> None:
    write_rows(planted.evolved, "version", [version("stranger", "3" * 24, "Who?")])
    with pytest.raises(BadInput, match="stranger"):
        planted.found()


def test_a_lost_picture(planted: Planted) -> None:
    (planted.images / "seen.png").unlink()
    with pytest.raises(BadInput, match=r"seen\.png"):
        planted.found()


def judged(questions: Any) -> list[str]:
    """Stands for every judge: what it says depends on the question alone."""
    return [_reply(question.data) for question in questions]


def _reply(data: dict[str, Any]) -> str:
    odd = len(str(data["prediction"])) % 2
    if "weights" not in data:
        return "yes" if odd else "no"
    parts = [f"score of component {n}: {w if odd else 0}/{w}" for n, w in enumerate(data["weights"], 1)]
    return ", ".join([*parts, f"total score: {9 * odd}/10"]) + "."


@pytest.mark.parametrize("name", BENCHMARKS)
def test_without_rows_is_the_score_of_the_others(benchmarks: Path, tmp_path: Path, name: str) -> None:
    asked = list(rows(name, benchmarks / name))
    texts = ("Yes", "A", "no", "2")
    write_answers(
        tmp_path,
        asked,
        {row.key: str(row.echo.get("truth", "2")) if n % 3 else texts[n % 4] for n, row in enumerate(asked)}
        if name == "MMSInst"
        else {row.key: texts[n % 4] for n, row in enumerate(asked)},
    )
    read = read_inputs(name, benchmarks / name, {"predictions": tmp_path / "predictions.jsonl"})
    out = {row.key for n, row in enumerate(asked) if n % 7 == 3}
    whole, part = (
        score(name, "mmevol", i, dict.fromkeys(judge.KINDS, judged)) for i in (read, without(name, read, out))
    )
    assert 0 < part.n < whole.n
    ids = {key.rpartition("/")[2] for key in out}  # MMSInst's stand behind their task
    expected = {key: value for key, value in whole.correct.items() if key not in ids}
    if name == "MME":  # the other question about the picture goes too
        assert part.correct.items() < expected.items()
    elif name in ("MIA-Bench", "BLINK"):  # have no keys but places
        places = {str(n) for n, row in enumerate(asked, name == "BLINK") if row.key in out}
        assert list(part.correct.values()) == [value for key, value in whole.correct.items() if key not in places]
    else:
        assert part.correct == expected
    assert len(set(part.correct.values())) > 1 or name == "MathVista_MINI"
    assert without(name, read, set()).predictions == read.predictions


def test_clean(benchmarks: Path, tmp_path: Path) -> None:
    asked = list(rows("POPE", benchmarks / "POPE"))
    folder = tmp_path / "arms" / "seed" / "seed_0" / "POPE"
    write_answers(folder, asked, {row.key: ("Yes", "No")[n % 2] for n, row in enumerate(asked)})
    kinds: dict[str, list[str]] = {kind: [] for kind in KINDS}
    overlaps = {"overlaps": {"m": {"POPE": kinds | {"near": [asked[0].key], "words": [asked[1].key]}}}}

    def scores() -> Any:
        (tmp_path / "overlaps.json").write_text(json.dumps(overlaps))
        settings = CleanSettings(benchmarks=["POPE"], arms={"seed": ("m", [0])})
        files: dict[str, Path] = {"overlaps": tmp_path / "overlaps.json", "evaluate": tmp_path / "arms"}
        clean(settings, run=Run(), data=benchmarks, out=tmp_path / "clean.json", **files)
        return json.loads((tmp_path / "clean.json").read_text())["seed"]["POPE"]

    kept = without(
        "POPE",
        read_inputs("POPE", benchmarks / "POPE", {"predictions": folder / "predictions.jsonl"}),
        {asked[0].key, asked[1].key},
    )
    assert scores() == {"reported": [score("POPE", "mmevol", kept).reported], "n": [len(asked) - 2]}
    overlaps["overlaps"]["m"]["POPE"]["near"] = [row.key for row in asked]
    assert scores() == {"reported": [None], "n": [0]}
    overlaps["overlaps"]["m"]["POPE"] = kinds
    assert scores() == {"reported": [], "n": []}
