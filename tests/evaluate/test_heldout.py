"""Held-out benchmarks: right, balanced, in the official formats, and scored as they should be by the official rules."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import BENCHMARKS
from mmevol.config.commands import HeldoutSettings
from mmevol.evaluate.benchmarks import Row, opened, rows
from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.questions import Item, Words
from mmevol.evaluate.heldout.scene import Scene
from mmevol.evaluate.heldout.write import MAKERS, write_heldout
from mmevol.evaluate.scoring.choice import BLINK_TASKS
from mmevol.evaluate.scoring.inputs import COLUMNS, read_inputs
from mmevol.evaluate.scoring.score import Score, score
from mmevol.records import BadInput
from mmevol.store import read_rows
from mmevol.teacher.benchmark import reply as judge
from mmevol.teacher.execute import Run
from mmevol.teacher.execute import Scene as TeacherScene
from mmevol.teacher.grammar import parse

ASKS = [
    *(ask.colors, ask.names, ask.shapes, ask.counts, ask.letters, ask.boxes, ask.existence, ask.true_colors),
    *(ask.true_counts, ask.true_letters, ask.sides, ask.sizes, ask.same_color, ask.more),
]


def table(folder: Path) -> list[dict[str, str]]:
    csv.field_size_limit(10**9)
    with open(folder / "data.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def truths(name: str, folder: Path) -> dict[str, str]:
    """The right answer of every row, in the form in which a perfect model gives it."""
    if name in COLUMNS:
        return {r["index"]: r.get("answer_option") or r["answer"] for r in table(folder)}
    if name == "VQA_v2":
        annotations = json.loads((folder / "annotations.json").read_text())["annotations"]
        return {str(a["question_id"]): a["multiple_choice_answer"] for a in annotations}
    questions = json.loads((folder / "questions.json").read_text())
    if name == "GQA":
        return {key: question["answer"].title() for key, question in questions.items()}
    if name == "MMSInst":
        return {f"{q['source']}/{q['question_id']}": f"The answer is {q['answer']}" for q in questions}
    return {str(number): perfect_reply(item) for number, item in enumerate(questions)}


def perfect_reply(item: dict[str, Any]) -> str:
    """What MIA-Bench's first component quotes, in the form that the second demands."""
    found = re.search(r'"(.+)"', item["components"][0])
    assert found
    return f"[{found[1]}]" if any("brackets" in c for c in item["components"]) else found[1]


def scored(name: str, benchmarks: Path, folder: Path, says: Callable[[Row], str], **judges: Any) -> Score:
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(r.result(says(r))) + "\n" for r in rows(name, benchmarks / name, "plain")))
    inputs = read_inputs(name, benchmarks / name, {"predictions": path}, consistency=name == "GQA")
    rules = "vlmevalkit-head" if name in ("BLINK", "MIA-Bench") else "mmevol"
    return score(name, rules, inputs, judges)  # type: ignore[arg-type]


def by_teacher(task: str) -> Callable[[Any], list[str]]:
    return lambda questions: [judge(task, question.data) for question in questions]


def test_all_thirteen() -> None:
    assert set(MAKERS) == set(BENCHMARKS)


@pytest.mark.parametrize("asks", ASKS, ids=lambda a: a.__name__)
def test_another_implementation_answers_the_same(world: Path, asks: Callable[..., Any]) -> None:
    """The teacher's parser and executor share no code with the benchmarks: they must agree on every question."""
    records = list(read_rows(world / "heldout.parquet", "seed"))
    scenes = [Scene.of(record) for record in records]
    words = Words.of([s for s in scenes if s])
    checked = 0
    for record, scene in zip(records, scenes, strict=True):
        teacher = TeacherScene(record.objects)
        assert scene is not None
        for item in asks(scene, words):
            question = parse(item.question, teacher.plurals)
            assert question is not None, item.question
            assert Run(teacher).answer(question.program) == item.answer, item.question
            assert item.answer not in item.wrong
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_perfect_model_is_perfect(benchmarks: Path, tmp_path: Path, name: str) -> None:
    truth = truths(name, benchmarks / name)
    judges = {"mia": by_teacher("mia_score")} if name == "MIA-Bench" else {}
    result = scored(name, benchmarks, tmp_path, lambda row: truth[row.key], **judges)
    assert result.reported == pytest.approx(100)
    assert result.n_missing == result.extraction_failures == 0
    if name == "GQA":
        assert (
            result.metrics["consistency"] == result.metrics["validity"] == 100 and result.metrics["distribution"] == 0
        )


@pytest.mark.parametrize(
    ("name", "says", "low", "high"),
    [
        *((name, "A", 24, 26) for name in ("MMStar", "AI2D_TEST")),
        *((name, "C", 24, 26) for name in ("MMStar", "AI2D_TEST")),
        *((name, "B", 30, 50) for name in ("BLINK", "RealWorldQA")),
        *((name, "Yes", 50, 50) for name in ("HallusionBench",)),
        *((name, "No", 50, 50) for name in ("HallusionBench",)),
        *((name, said, 25, 25) for name in ("MME",) for said in ("Yes", "No")),
        ("POPE", "Yes", 66.6, 66.7),
        *((name, said, 15, 35) for name in ("VQA_v2", "GQA") for said in ("Yes", "No")),
        ("MMMU_DEV_VAL", "B", 15, 25),
        ("MMMU_DEV_VAL", "A", 35, 45),  # the kit gives an open row to a lone A
        *((name, "", 0, 0) for name in ("VQA_v2", "GQA", "MME", "MMStar", "HallusionBench", "AI2D_TEST", "BLINK")),
        ("MMSInst", "zebra", 0, 0),
    ],
)
def test_a_constant_answer_gets_what_chance_gets(
    benchmarks: Path, tmp_path: Path, name: str, says: str, low: float, high: float
) -> None:
    reported = scored(name, benchmarks, tmp_path, lambda _: says).reported
    assert reported is not None and low - 1e-9 <= reported <= high + 1e-9


def test_mathvista_needs_no_judge_for_right_and_uses_one_for_the_rest(benchmarks: Path, tmp_path: Path) -> None:
    judges = {"mathvista_extract": by_teacher("extract_answer")}
    wordy = truths("MathVista_MINI", benchmarks / "MathVista_MINI")
    assert "0" not in wordy.values()  # a right 0 cannot be settled
    result = scored("MathVista_MINI", benchmarks, tmp_path, lambda row: f"It is {wordy[row.key]}.", **judges)
    assert result.reported == pytest.approx(100)
    assert scored("MathVista_MINI", benchmarks, tmp_path, lambda _: "zebra", **judges).reported == 0


@pytest.mark.parametrize("name", BENCHMARKS)
def test_same_seed_same_bytes_other_seed_other_rows(world: Path, benchmarks: Path, tmp_path: Path, name: str) -> None:
    manifest = json.loads((benchmarks / name / "manifest.json").read_text())
    for seed, same in ((11, True), (12, False)):
        out = tmp_path / str(seed)
        write_heldout(
            HeldoutSettings(seed=seed, benchmark=name, n=manifest["n"]),
            heldout=world / "heldout.parquet",
            images_root=world / "images",
            out=out,
        )
        assert (json.loads((out / "manifest.json").read_text()) == manifest) is same
    assert all((benchmarks / name / file).exists() for file in manifest["files"])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_rows_open_and_are_as_many_as_asked(benchmarks: Path, name: str) -> None:
    read = list(rows(name, benchmarks / name, "plain"))
    assert len(read) == json.loads((benchmarks / name / "manifest.json").read_text())["n"]
    assert len({row.key for row in read}) == len(read)
    for row in read:
        picture = row.picture()
        assert (picture is not None and picture.size[1] in (80, 40)) or picture.size[0] > 80  # type: ignore[union-attr]
        assert row.text and "<image" not in row.text


def test_only_held_out_pictures_are_shown(world: Path, benchmarks: Path) -> None:
    held = {r.image_digest for r in read_rows(world / "heldout.parquet", "seed")}
    import hashlib

    for name in ("MME", "POPE", "VQA_v2", "GQA", "MMStar", "MIA-Bench", "MMSInst"):
        for row in rows(name, benchmarks / name, "plain"):
            for source in row.pictures:
                assert hashlib.sha256(source.read_bytes()).hexdigest() in held


# ------------------------------------------------------------------------------------------------------------ by benchmark


def test_mme(benchmarks: Path) -> None:
    read = table(benchmarks / "MME")
    pairs: dict[tuple[str, str], list[str]] = {}
    for row in read:
        assert row["question"].endswith(" Please answer yes or no.")
        pairs.setdefault((row["category"], row["image_path"]), []).append(row["answer"])
    assert {tuple(sorted(answers)) for answers in pairs.values()} == {("No", "Yes")}
    assert Counter(category for category, _ in pairs) == dict.fromkeys({c for c, _ in pairs}, 3)
    assert len({c for c, _ in pairs}) == 14
    assert 0.2 < sum(answers[0] == "Yes" for answers in pairs.values()) / len(pairs) < 0.8  # not always Yes first


def test_pope(benchmarks: Path) -> None:
    exploded = Counter((c, row["answer"]) for row in table(benchmarks / "POPE") for c in row["category"].split(","))
    assert set(exploded.values()) == {15} and len(exploded) == 6


def test_hallusion(benchmarks: Path) -> None:
    answers: dict[tuple[str, ...], set[str]] = {}
    for row in table(benchmarks / "HallusionBench"):
        _, category, group, number, figure, question = row["index"].split("_")
        assert (category, group) == (row["category"], row["l2-category"])
        answers.setdefault((category, group, number, "q", question), set()).add(row["answer"])
        answers.setdefault((category, group, number, "f", figure), set()).add(row["answer"])
        assert category == "VD" or figure != "0"
    assert {frozenset(a) for a in answers.values()} == {frozenset(("Yes", "No"))}


def test_letters_are_even(benchmarks: Path) -> None:
    for name in ("MMStar", "AI2D_TEST", "MMMU_DEV_VAL"):
        letters = Counter(r["answer"] for r in table(benchmarks / name) if r["A"])
        assert max(letters.values()) - min(letters.values()) <= 3 and set(letters) == set("ABCD")


def test_mmmu(benchmarks: Path) -> None:
    read = table(benchmarks / "MMMU_DEV_VAL")
    assert len({row["category"] for row in read}) == 30 and len({row["l2-category"] for row in read}) == 6
    assert Counter(row["split"] for row in read) == {"validation": 50, "dev": 10}
    for row in read:
        assert row["question"].startswith("<image 1> ") and row["id"].startswith(f"{row['split']}_{row['category']}_")
        assert (row["question_type"] == "open") == (not row["A"])
        if not row["A"]:
            assert not re.fullmatch("[A-Z]", row["answer"])


def test_blink(benchmarks: Path) -> None:
    read = table(benchmarks / "BLINK")
    assert [int(r["index"]) for r in read] == list(range(1, 85))
    assert Counter(r["category"] for r in read) == dict.fromkeys(BLINK_TASKS, 6)
    several = {r["category"] for r in read if r["image"].startswith("[")}
    assert several >= {"Jigsaw", "Visual_Similarity", "Forensic_Detection", "Multi-view_Reasoning", "Art_Style"}


def test_blink_jigsaw_piece_fits(benchmarks: Path) -> None:
    rights = {r["index"]: r["answer"] for r in table(benchmarks / "BLINK") if r["category"] == "Jigsaw"}

    for row in rows("BLINK", benchmarks / "BLINK", "plain"):
        if row.key in rights:
            first, second, third = map(opened, row.pictures)
            right, wrong = (second, third) if rights[row.key] == "A" else (third, second)
            corner = first.crop((40, 40, 80, 80))
            assert corner.getcolors() == [(1600, (0, 0, 0))] and right.size == wrong.size == (40, 40)
            # the picture's ground goes on in the piece: their commonest colours are the same
            ground = max(first.crop((0, 0, 80, 40)).getcolors(9999))[1]  # type: ignore[type-var]
            assert max(right.getcolors(9999))[1] == ground  # type: ignore[type-var]


def test_ai2d_pictures_by_reference(benchmarks: Path) -> None:
    read = table(benchmarks / "AI2D_TEST")
    pointing = [r for r in read if len(r["image"]) <= 64]
    assert pointing and all(len(read[int(r["image"])]["image"]) > 64 for r in pointing)


def test_vqa_annotators(benchmarks: Path) -> None:
    annotations = json.loads((benchmarks / "VQA_v2" / "annotations.json").read_text())["annotations"]
    agreeing = [sum(a["answer"] == q["multiple_choice_answer"] for a in q["answers"]) for q in annotations]
    assert {len(q["answers"]) for q in annotations} == {10}
    assert min(agreeing) >= 8 and len(set(agreeing)) > 1
    assert {q["answer_type"] for q in annotations} == {"yes/no", "number", "other"}


def test_gqa_entailment_holds(benchmarks: Path) -> None:
    questions = json.loads((benchmarks / "GQA" / "questions.json").read_text())
    assert {q["types"]["structural"] for q in questions.values()} == {"query", "verify", "choose", "compare", "logical"}
    assert all(set(q["entailed"]) <= questions.keys() for q in questions.values())
    assert any(len(q["entailed"]) > 1 for q in questions.values())
    said = Counter(q["answer"] for q in questions.values() if q["answer"] in ("yes", "no"))
    assert abs(said["yes"] - said["no"]) <= 4


def test_mia_components(benchmarks: Path) -> None:
    items = json.loads((benchmarks / "MIA-Bench" / "questions.json").read_text())
    assert Counter(i["num_of_component"] for i in items) == dict.fromkeys(range(1, 6), 12)
    for item in items:
        sizes = {len(item[k]) for k in ("components", "component_weight", "component_type")}
        assert sizes == {item["num_of_component"]} and sum(item["component_weight"]) == 10
        assert len(set(item["component_type"])) == item["num_of_component"]


def test_mia_tells_good_from_bad(benchmarks: Path, tmp_path: Path) -> None:
    judges = {"mia": by_teacher("mia_score")}
    silent = scored("MIA-Bench", benchmarks, tmp_path, lambda _: "", **judges).reported
    wordy = scored(
        "MIA-Bench", benchmarks, tmp_path, lambda _: "because hello there and so on and on", **judges
    ).reported
    assert silent == 0 and wordy is not None and wordy < 30


def test_self_instruct(benchmarks: Path) -> None:
    read = json.loads((benchmarks / "MMSInst" / "questions.json").read_text())
    assert Counter(r["source"] for r in read) == dict.fromkeys(
        ("chart", "table", "dashboard", "flowchart", "org", "layout", "iq", "maze"), 8
    )
    assert {r["source"] for r in read if r["type"] == "SUMMARY"} == {
        "chart",
        "table",
        "dashboard",
        "flowchart",
        "org",
        "layout",
        "iq",
    }
    assert all(re.fullmatch("[A-D][1-4]", m) for r in read for m in r["markers"])
    assert all(bool(r["markers"]) == (r["source"] == "maze") for r in read)


# ------------------------------------------------------------------------------------------------------------------- bad input


def test_too_few_scenes_say_so(world: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"evaluate\.benchmarks\.AI2D_TEST\.n"):
        write_heldout(
            HeldoutSettings(seed=1, benchmark="AI2D_TEST", n=5000),
            heldout=world / "heldout.parquet",
            images_root=world / "images",
            out=tmp_path,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "least"), [("MME", 28), ("BLINK", 14), ("MMSInst", 8), ("MMStar", 6), ("POPE", 4)])
def test_every_part_has_a_row(world: Path, tmp_path: Path, name: str, least: int) -> None:
    settings = {"heldout": world / "heldout.parquet", "images_root": world / "images", "out": tmp_path}
    write_heldout(HeldoutSettings(seed=1, benchmark=name, n=least), **settings)
    with pytest.raises(BadInput, match=f"at least {least}"):
        write_heldout(HeldoutSettings(seed=1, benchmark=name, n=least - 1), **settings)


def test_items_are_values() -> None:
    assert Item("k", "q", "a") == Item("k", "q", "a", ())
