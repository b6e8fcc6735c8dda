"""Boxes in the numbers that a model was trained on. Inside the project they are fractions of width and height."""

import re
from collections.abc import Callable
from typing import Any

BOX = re.compile(r"\[\s*(\d*\.?\d+)\s*,\s*(\d*\.?\d+)\s*,\s*(\d*\.?\d+)\s*,\s*(\d*\.?\d+)\s*\]")
"""Four numbers in brackets: a box in a text."""


def _scale(dialect: str, size: tuple[int, int] | None) -> tuple[float, float]:
    if dialect == "permille":
        return (1000, 1000)
    if dialect == "pixels":
        if size is None:
            raise ValueError("box_dialect pixels needs width and height in the seed record")
        return size
    return (1, 1)


def _each_box(value: Any, change: Callable[[list[float]], list[float]]) -> Any:
    """The value with every box changed: four-number lists and bracketed boxes inside texts."""
    if isinstance(value, str):

        def written(match: re.Match[str]) -> str:
            return "[" + ", ".join(f"{x:g}" for x in change([float(g) for g in match.groups()])) + "]"

        return BOX.sub(written, value)
    if isinstance(value, list | tuple):
        if len(value) == 4 and all(isinstance(x, int | float) for x in value):
            return change([float(x) for x in value])
        return [_each_box(x, change) for x in value]
    if isinstance(value, dict):
        return {k: _each_box(v, change) for k, v in value.items()}
    return value


def to_dialect(value: Any, dialect: str, size: tuple[int, int] | None) -> Any:
    """A JSON value with its boxes in the model's dialect. `size`: width and height in px."""
    if dialect == "unit":
        return value
    w, h = _scale(dialect, size)
    return _each_box(value, lambda b: [round(b[0] * w), round(b[1] * h), round(b[2] * w), round(b[3] * h)])


def from_dialect(value: Any, dialect: str, size: tuple[int, int] | None) -> Any:
    """A JSON value of a reply with its boxes as fractions, 3 decimals."""
    if dialect == "unit":
        return value
    w, h = _scale(dialect, size)
    return _each_box(value, lambda b: [round(b[0] / w, 3), round(b[1] / h, 3), round(b[2] / w, 3), round(b[3] / h, 3)])
