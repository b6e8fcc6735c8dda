"""Records of real photos: many boxes of a kind, overlapping, no attributes, questions of people."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mmevol.records import Object, Request, RequestQA
from mmevol.teacher.answer import answer
from mmevol.teacher.judge import read, verdict
from mmevol.teacher.scene import Scene

from .test_compose import check_item

SEEDS = Path(__file__).parents[3] / "shared" / "data" / "coco_real" / "seeds.json"
pytestmark = pytest.mark.skipif(not SEEDS.exists(), reason="the forty real records are not beside the repository")


def records() -> list[tuple[dict[str, Any], list[Object]]]:
    return [(record, [Object(**det) for det in record["det"]]) for record in json.loads(SEEDS.read_text())]


def test_people_s_questions_are_not_executable_but_for_plain_counts() -> None:
    executable = []
    for record, objects in records():
        for qa in record["conversations_v0"]:
            reading = read(RequestQA(id="q", question=qa["question"], answer=qa["answer"]), Scene(objects))
            if reading.value is not None:
                executable.append((qa["question"], reading.value, qa["answer"]))
    assert executable == [("How many pizzas are there in the image?", "3", "There are three pizzas in the image.")]


def test_three_rounds_over_real_annotations() -> None:
    outcomes: Counter[str] = Counter()
    for record, objects in records():
        qas = [{k: qa[k] for k in ("question", "answer", "format")} for qa in record["conversations_v0"]]
        if not qas:
            caption = record["caption"][1]["value"]
            qas = answer(Request(task="curate", caption=caption, objects=objects), record["id"], 0)["qas"]
        line = [RequestQA(id=str(n), **qa) for n, qa in enumerate(qas)]
        for round_, direction in enumerate(("reasoning", "interactive", "perceptual")):
            request = Request(task="evolve", direction=direction, objects=objects, qas=line)
            found = {item["id"]: item for item in answer(request, f"{record['id']}-{round_}", 0)["candidates"]}
            for at, parent in enumerate(line):
                item = found.get(parent.id)
                if item is None:
                    outcomes["missing"] += 1
                    continue
                check_item(item, objects)
                candidate = RequestQA(**item)
                judged = verdict(candidate, parent, Scene(objects), direction)
                assert judged["faithful"] and judged["image_needed"]
                outcomes["improved" if judged["improved"] else "not improved"] += 1
                if judged["improved"]:
                    line[at] = candidate
    assert outcomes["improved"] > 0.85 * outcomes.total() and outcomes["missing"] < 0.05 * outcomes.total(), outcomes
