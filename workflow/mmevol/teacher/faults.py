"""Spoiling replies on purpose, at configured rates, so that a study can measure what its gates catch.

Content faults are a function of (fault config, request key, content attempt, Q&A id), transport faults also of the transport
attempt; nothing else enters. A fault that an item cannot carry (a wrong count of what is not a number) is not planted, so
which item carries which fault is known by composing the reply again: `planted` does that.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from mmevol.config import Faults
from mmevol.records import BadInput, Request, RequestQA, fraction
from mmevol.teacher.answer import answer
from mmevol.teacher.compose import Composed, generator
from mmevol.teacher.distractors import absent_labels
from mmevol.teacher.execute import Step
from mmevol.teacher.language import Attribute, Count, Group, Name, One, Program, Question
from mmevol.teacher.render import CUE, box_text, render
from mmevol.teacher.scene import Scene

TRANSPORT = ("http_429", "http_500", "hang", "drop")
REPLY = ("malformed_json", "truncated_json", "refusal")
ITEM = ("invented_box", "invented_object", "unimproved_copy", "wrong_count", "answerable_blind")
JUDGE = ("judge_wrong",)
REFUSAL = "I'm sorry, but I can't help with that."


class Spoiled(NamedTuple):
    """A reply's content after planting. ``fault``: of the whole reply; ``items``: by Q&A id, those that carry one."""

    content: dict[str, Any]
    fault: str | None
    items: dict[str, str]


def check(faults: Faults) -> None:
    """Raises `BadInput` where rates of one kind add up to more than 1, since one draw decides among them."""
    for kind in (TRANSPORT, REPLY, ITEM):
        total = sum(getattr(faults, name) for name in kind)
        if total > 1:
            raise BadInput(
                file="faults",
                field=", ".join(kind),
                found=f"rates that add up to {total:g}",
                expected="at most 1, since at most one of them happens at a time",
                remedy="lower the rates",
            )


def _draw(faults: Faults, names: tuple[str, ...], *parts: str | int) -> str | None:
    """One of the faults or, with what remains of 1, none."""
    at = fraction("fault", faults.seed, names[0], *parts)
    for name in names:
        at -= getattr(faults, name)
        if at < 0:
            return name
    return None


def transport_fault(faults: Faults, key: str, content: int, transport: int) -> str | None:
    """The transport fault of one try, or None."""
    return _draw(faults, TRANSPORT, key, content, transport)


def spoiled(faults: Faults, request: Request, key: str, attempt: int) -> Spoiled:
    """The reply's content with its faults planted."""
    content = answer(request, key, attempt)
    fault = _draw(faults, REPLY, key, attempt)
    items: dict[str, str] = {}
    if fault is None and request.task in ("evolve", "fresh"):
        plant = _Planter(request, key, attempt)
        for at, item in enumerate(content["candidates"]):
            name = _draw(faults, ITEM, key, attempt, item["id"])
            changed = plant(name, item) if name else None
            if name and changed is not None:
                content["candidates"][at] = changed
                items[item["id"]] = name
    elif fault is None and request.task == "judge":
        for item in content["verdicts"]:
            if _draw(faults, JUDGE, key, attempt, item["id"]):
                item.update(_overturned(item))
                items[item["id"]] = "judge_wrong"
    return Spoiled(content, fault, items)


def broken_text(fault: str, text: str, key: str, attempt: int) -> str:
    """A reply's text cut off (`truncated_json`), or complete but no JSON (`malformed_json`)."""
    at = fraction("break", key, attempt)
    if fault == "truncated_json":
        return text[: max(1, int(len(text) * (0.2 + 0.7 * at)))]
    ways = (
        text.replace('":', '"', 1),
        text[1:-1],
        text.replace('{"', "{'", 1),
        "Here is the result: " + text.replace("[", "", 1),
    )
    return ways[int(at * len(ways))]


def _overturned(verdict: dict[str, Any]) -> dict[str, Any]:
    """The opposite overall judgement, with a reason to match: what was good is not improved, what was bad is good."""
    if verdict["improved"] and verdict["faithful"] and verdict["image_needed"]:
        return {"improved": False, "difficulty": 1.0, "reason": "the question asks for nothing more than before"}
    good = {"improved": True, "faithful": True, "image_needed": True}
    return good | {"difficulty": max(5.0, verdict["difficulty"]), "reason": "a harder question with a right answer"}


class _Planter:
    """Plants item faults in one request's candidates; a call gives the spoiled item, or None where it cannot be planted."""

    def __init__(self, request: Request, key: str, attempt: int) -> None:
        self.request, self.key, self.attempt = request, key, attempt
        self.scene = Scene(request.objects)
        self.parents: dict[str, RequestQA] = {qa.id: qa for qa in request.qas}

    def __call__(self, fault: str, item: Composed) -> Composed | None:
        self.rng = generator("plant", fault, self.key, self.attempt, item["id"])
        changed: Composed | None = getattr(self, f"_{fault}")(item)
        return None if changed is None else item | changed

    def _invented_box(self, item: Composed) -> Composed | None:
        """A box that is no object's, in the answer where that is a box, else in a step."""
        nowhere = self._nowhere()
        if nowhere is None:
            return None
        box = box_text(nowhere)
        if item["answer"].startswith(("[0.", "[1.")):
            options = [box if option == item["answer"] else option for option in item["options"]]
            return {"answer": box, "options": options}
        step = {"manipulation": "Grounding_9(object)->bbx_9", "description": f"The object is at {box}."}
        return {"steps": [*item["steps"], step]}

    def _nowhere(self) -> list[float] | None:
        """A box of which some coordinate is more than a tenth away from each object's; None where the picture is too full."""
        for _ in range(1000):
            x, y, w, h = (self.rng.uniform(0.0, 0.5) for _ in range(4))
            box = [round(c, 3) for c in (x, y, x + 0.05 + w * 0.8, y + 0.05 + h * 0.8)]
            if all(max(abs(a - b) for a, b in zip(box, other, strict=True)) > 0.1 for other in self.scene.boxes):
                return box
        return None

    def _asked(self, item: Composed, program: Program, answer: str, label: str, step: Step) -> Composed:
        """Another question in the item's place, with a cue where that has one, and without options or a blank."""
        cue = item["question"].endswith(CUE)
        question = Question(program, "complex reasoning", cue=True) if cue else Question(program)
        said = {"manipulation": step.manipulation, "description": step.description}
        fields = {"question": render(question), "answer": answer, "format": question.format, "options": []}
        return fields | {"objects": [label], "skills": [step.skill], "steps": [said]}

    def _invented_object(self, item: Composed) -> Composed | None:
        """A count, larger than nothing, of what is not in the picture and not in its caption."""
        said = self.request.caption.lower()
        absent = [label for label in absent_labels(self.scene) if label not in said]
        if not absent:
            return None
        label, number = self.rng.choice(absent), str(self.rng.randint(1, 3))
        step = Step(f"Calculate_1(count({label}))->res_1", f"There are {number}.", "calculating")
        return self._asked(item, Count(Group(label)), number, label, step)

    def _unimproved_copy(self, item: Composed) -> Composed | None:
        """The parent again, untouched but for the cue that a reasoning question ends with."""
        parent = self.parents[item["id"]]
        if self.request.task == "fresh" or not parent.answer:
            return None
        question = parent.question
        if self.request.aim == "reasoning":
            question = question.removesuffix(CUE) + CUE
        same = {"question": question, "answer": parent.answer, "options": parent.options, "format": parent.format}
        return same | {
            "objects": parent.objects,
            "skills": parent.skills,
            "steps": [s.model_dump() for s in parent.steps],
        }

    def _wrong_count(self, item: Composed) -> Composed | None:
        """A number that is one off, the question and the steps left as they are."""
        if not item["answer"].isdigit():
            return None
        number = int(item["answer"])
        near = [
            str(n) for n in (number - 1, number + 1) if n >= 0 and (not item["options"] or str(n) in item["options"])
        ]
        return {"answer": self.rng.choice(near)} if near else None

    def _answerable_blind(self, item: Composed) -> Composed | None:
        """A question whose own words give the answer away."""
        if not self.scene.labels:
            return None
        i = self.rng.choice(self.scene.all)
        label, color = self.scene.labels[i], self.scene.attributes[i].get("color")
        one = One(Group(label, (("color", color),) if color else ()))
        program, value = (Attribute("color", one), color) if color else (Name(one), self.scene.name(i))
        step = Step("Referring_1(bbx_1)->tgt_1", f"It is {value}.", "referencing")
        return self._asked(item, program, value, label, step)


def planted(faults: Faults, requests: Iterable[tuple[str, int, Request]]) -> Iterator[dict[str, Any]]:
    """Which fault each Q&A of each (key, content attempt, request) got: rows of key, attempt, task, id, fault (None: none).

    A fault of the whole reply stands at each Q&A of the request, of a request without any (``curate``) at the id ''. An item
    that the reply left out, and one that could not carry its fault, has none.
    """
    check(faults)
    for key, attempt, request in requests:
        result = spoiled(faults, request, key, attempt)
        for id_ in [qa.id for qa in request.qas] or [""]:
            fault = result.fault or result.items.get(id_)
            yield {"key": key, "attempt": attempt, "task": request.task, "id": id_, "fault": fault}
