"""Short questions about a drawn scene, in the manner of LLaVA-Instruct: one or two a record, each with one right answer."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mmevol.records import fraction

Annotation = dict[str, Any]
"""An entry of a record's ``det``: label, bbox, attributes."""

WEIGHTS = {
    "color": 4,
    "existence": 4,
    "count": 3,
    "count all": 2,
    "left": 2,
    "letters": 2,
    "where": 2,
    "largest": 1,
}
"""How often a kind of question is chosen, among those that a scene allows."""

MARGIN = 0.1
"""Share of the width by which centres differ before one thing counts as left of another."""


def _matches(thing: Annotation, size: str, color: str, shape: str) -> bool:
    return (
        shape in ("", thing["label"])
        and color in ("", thing["attributes"]["color"])
        and size in ("", thing["attributes"]["size"])
    )


def phrase(things: list[Annotation], thing: Annotation, *, color: bool = True) -> str | None:
    """The shortest phrase that means this thing alone ("star", "red star", "large red star"), or None.

    `color`: whether the phrase may name the colour.
    """
    own = (thing["attributes"]["size"], thing["attributes"]["color"], thing["label"])
    for uses_size, uses_color in ((0, 0), (0, 1), (1, 0), (1, 1)):
        size, hue = own[0] * uses_size, own[1] * uses_color
        if (color or not hue) and sum(_matches(t, size, hue, own[2]) for t in things) == 1:
            return " ".join(word for word in (size, hue, own[2]) if word)
    return None


def name(thing: Annotation) -> str:
    """Colour and shape: how an answer calls a thing."""
    return f"{thing['attributes']['color']} {thing['label']}"


def to_the_left(things: list[Annotation], thing: Annotation) -> Annotation | None:
    """The only thing clearly left of this one; None where there is none, several, or one whose side is hard to tell."""

    def centre(t: Annotation) -> float:
        return float(t["bbox"][0] + t["bbox"][2]) / 2

    gaps = [(centre(thing) - centre(t), t) for t in things if t is not thing]
    if any(0 < gap < MARGIN for gap, _ in gaps):
        return None
    left = [t for gap, t in gaps if gap >= MARGIN]
    return left[0] if len(left) == 1 else None


def _about_things(things: list[Annotation]) -> Iterator[tuple[str, str, str]]:
    for thing in things:
        if of := phrase(things, thing, color=False):
            yield "color", f"What color is the {of}?", thing["attributes"]["color"]
        if not (the := phrase(things, thing)):
            continue
        box = ", ".join(f"{c:.3f}" for c in thing["bbox"])
        yield "where", f"Where is the {the}?", f"[{box}]"
        if text := thing["attributes"].get("text"):
            yield "letters", f"What letters are printed on the {the}?", text
        if found := to_the_left(things, thing):
            yield "left", f"What is to the left of the {the}?", f"the {name(found)}"


def _about_scene(things: list[Annotation], seed: int, index: int) -> Iterator[tuple[str, str, str]]:
    counts = Counter(t["label"] for t in things)
    yield from (("count", f"How many {label}s are there?", str(count)) for label, count in counts.items())
    yield "count all", "How many objects are there?", str(len(things))
    large = [t for t in things if t["attributes"]["size"] == "large"]
    if len(large) == 1:
        yield "largest", "What shape is the largest object?", large[0]["label"]
    present = {(t["attributes"]["color"], t["label"]) for t in things}
    if fraction("existence", seed, index) < 0.5:
        pairs, answer = sorted(present), "Yes"
    else:  # colours and shapes that are there, but apart: neither alone tells
        pairs, answer = (
            sorted({(c, s) for c, _ in present for _, s in present} - present),
            "No",
        )
    yield from (("existence", f"Is there a {c} {s} in the image?", answer) for c, s in pairs)


def seed_qas(things: list[Annotation], seed: int, index: int) -> list[dict[str, Any]]:
    """One or two Q&A of different kinds about a scene, in the reference's form with nothing evolved."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for kind, question, answer in (
        *_about_things(things),
        *_about_scene(things, seed, index),
    ):
        kinds.setdefault(kind, []).append((question, answer))
    # the kind with the largest u ** (1 / weight) comes first: a draw without replacement in proportion to the weights
    order = sorted(
        kinds,
        key=lambda kind: fraction("kind", seed, index, kind) ** (1 / WEIGHTS[kind]),
        reverse=True,
    )
    qas = []
    for kind in order[: 1 + int(fraction("how many", seed, index) < 0.5)]:
        question, answer = kinds[kind][int(fraction("which", seed, index, kind) * len(kinds[kind]))]
        qas.append(
            {
                "image_position": "single",
                "objects": [],
                "skills": [],
                "format": "Norm",
                "question": question,
            }
            | {"steps": [], "answer": answer}
        )
    return qas
