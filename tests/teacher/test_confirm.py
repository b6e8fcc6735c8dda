"""The second executor in the product: apart from the first, and the last word on every answer."""

import ast
from pathlib import Path

import pytest
from mmevol.records import Object, Request, RequestQA
from mmevol.teacher import confirm
from mmevol.teacher.answer import answer
from mmevol.teacher.execute import Run
from mmevol.teacher.language import Count, Exists, Group, Locate, One, Region
from mmevol.teacher.scene import Scene

from .test_compose import check_item
from .test_execute import SCENE


def evolved(texts: list[str]) -> list[dict[str, object]]:
    qas = [RequestQA(id=str(n), question=text) for n, text in enumerate(texts)]
    request = Request(task="evolve", direction="reasoning", objects=SCENE, qas=qas)
    found: list[dict[str, object]] = answer(request, "k", 0)["candidates"]
    return found


def test_it_knows_the_language_and_the_scene_only() -> None:
    tree = ast.parse(Path(confirm.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    used = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "scene"
    }
    assert {m for m in modules if m and m.startswith("mmevol")} == {
        f"mmevol.teacher{m}" for m in ("", ".nouns", ".scene")
    }
    assert used == {"labels", "boxes", "attributes"}, "plain data, nothing that the first executor works with"


def test_a_wrong_first_executor_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(confirm, "MISMATCHES", confirm.Counter())
    right = Run._size
    monkeypatch.setattr(Run, "_size", lambda self, group: right(self, group) + 1)
    found = evolved(["How many circles are there?", "How many objects are there?", "Where is the star?"])
    for item in found:
        check_item(item, SCENE)
    assert confirm.MISMATCHES and set(confirm.MISMATCHES) <= {"Count", "Total", "Difference", "CompareCounts", "Verify"}
    assert "by the second executor" in capsys.readouterr().err


def test_what_it_cannot_answer_is_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "MISMATCHES", confirm.Counter())
    circles = Count(Group("circle"))
    assert confirm.confirmed(circles, "2", Scene(SCENE))
    assert not confirm.confirmed(circles, "3", Scene(SCENE))
    assert not confirm.confirmed(Locate(One(Group("circle"))), "[0.050, 0.100, 0.250, 0.300]", Scene(SCENE))
    assert not confirm.confirmed(Exists(Group("star")), "No", Scene(SCENE))
    assert confirm.MISMATCHES == {"Count": 1, "Locate": 1, "Exists": 1}


def test_boxes_of_many_decimals_are_found_by_three() -> None:
    scene = Scene([Object(label="cat", bbox=(0.12349999, 0.2225, 0.6665, 0.9995))])
    region = Region((0.123, 0.223, 0.666, 1.0))
    assert confirm.solve(Locate(region), scene) == Run(scene).answer(Locate(region))


def test_the_teacher_s_errors_are_none() -> None:
    assert len(evolved(["How many circles are there?", "Where is the star?"])) == 2
    assert not confirm.MISMATCHES
