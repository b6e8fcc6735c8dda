"""MIA-Bench: layered instructions of one to five components; each component's text says what the reply must hold."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.pool import Pool
from mmevol.evaluate.heldout.questions import Item
from mmevol.evaluate.heldout.scene import Scene
from mmevol.evaluate.heldout.table import Files
from mmevol.evaluate.heldout.vqa import NUMBER_WORDS


@dataclass(frozen=True)
class Component:
    """One demand: a sentence of the instruction, what a judge looks for, its official type."""

    sentence: str
    text: str
    type: str


def _content(item: Item, form: Callable[[str], str]) -> Component:
    kind = {"letters": "OCR", "count": "math", "color": "describe"}.get(item.kind, "describe")
    return Component(item.question, f'the reply gives the right answer, "{form(item.answer)}"', kind)


def _spelled(answer: str) -> str:
    return "-".join(answer)


FORMS: tuple[tuple[tuple[str, ...], Callable[[str], str], Component], ...] = (
    (
        ("color", "shape", "name"),
        str.upper,
        Component("Answer in capital letters.", "the reply is in capital letters", "format"),
    ),
    (
        ("color", "shape", "count", "letters"),
        str,
        Component("Put the answer in square brackets.", 'the reply holds square brackets, "[" and "]"', "format"),
    ),
    (
        ("count",),
        lambda answer: NUMBER_WORDS[int(answer)],
        Component("Answer with a number word.", "the reply is exactly one word", "grammar"),
    ),
    (
        ("color", "shape", "letters"),
        _spelled,
        Component("Spell the answer with hyphens between the letters.", 'the reply holds a hyphen, "-"', "linguistics"),
    ),
)
"""Kinds of questions, how the demand has the answer spelled, and the demand."""

LENGTH = (
    Component("Use at most five words.", "the reply has at most five words", "length_limit"),
    Component("Do not say why.", 'the reply does not hold the word "because"', "mention"),
    Component("Do not greet.", 'the reply does not hold the word "hello"', "perspective"),
)
ASKS = (ask.colors, ask.counts, ask.shapes, ask.letters, ask.names)


def _weights(count: int) -> list[int]:
    """Whole weights that add up to 10, the first ones larger."""
    return [10 // count + (number < 10 % count) for number in range(count)]


def _instructions(pool: Pool, scene: Scene, row: int) -> list[tuple[Component, ...]]:
    """Instructions of ``1 + row % 5`` components about a scene."""
    count = 1 + row % 5
    found: list[tuple[Component, ...]] = []
    for item in ASKS[row // 5 % len(ASKS)](scene, pool.words):
        fitting = [
            (form, demand)
            for kinds, form, demand in FORMS
            if item.kind in kinds and (len(item.answer) > 1 or form is not _spelled)  # one letter has nothing between
        ]
        if item.kind == "count" and int(item.answer) >= len(NUMBER_WORDS):
            continue
        if count == 1:
            found.append((_content(item, str),))
        elif fitting:
            form, demand = pool.one(fitting, "form", scene.key, item.question)
            found.append((_content(item, form), demand, *LENGTH[: count - 2]))
    return found


def mia(pool: Pool) -> Files:
    """Instructions of one to five components in turn."""
    items: list[dict[str, Any]] = []
    files: Files = {}
    taken = pool.take(
        pool.n, "instruction", lambda scene, row: _instructions(pool, scene, row), lambda c: c[0].sentence
    )
    for row, (scene, components) in enumerate(taken):
        image = f"images/{row:04d}.png"
        files[image] = pool.picture(scene)
        items.append(
            {
                "image": image,
                "instruction": " ".join(c.sentence for c in components),
                "type": "basic" if len(components) < 3 else "intermediate" if len(components) < 5 else "advanced",
                "num_of_component": len(components),
                "components": [c.text for c in components],
                "component_weight": _weights(len(components)),
                "component_type": [c.type for c in components],
            }
        )
    return files | {"questions.json": json.dumps(items)}
