"""What the doctor asks an endpoint, and how it reads the replies."""

import io
import re

import orjson

from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.response import Answer
from mmevol.endpoint.schemas import ANSWERS
from mmevol.records import Request, RequestQA

DISCS, COLOUR = 3, "green"
"""What the picture shows that is sent: too much to be guessed."""
SQUARE = (0.55, 0.1, 0.8, 0.6)
"""Where its black square is, as fractions."""
SIZE = (480, 320)
SHORT = 16
"""Tokens to which a reply is cut to see whether the limit is obeyed."""


def picture() -> bytes:
    """A JPEG with `DISCS` discs in `COLOUR` and a black square at `SQUARE`."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    for n in range(DISCS):
        draw.ellipse((30 + 70 * n, 210, 90 + 70 * n, 270), fill=COLOUR)
    x1, y1, x2, y2 = SQUARE
    draw.rectangle((x1 * SIZE[0], y1 * SIZE[1], x2 * SIZE[0], y2 * SIZE[1]), fill="black")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def question(text: str, ask: str) -> Prompt:
    """A question in the project's own form, which the embedded teacher reads too."""
    return Prompt(text, Request(task="blind", qas=[RequestQA(id="q1", question=ask)]), ANSWERS)


SKY = question("Answer in one word of plain text.", "What color is a clear sky by day?")
JSON = question('Reply with a JSON object {"answers": [{"id": …, "answer": …}]}.', "What color is a clear sky by day?")
COUNT = question("Answer in words.", "Count from one to one hundred, all numbers.")
SEE = question("Look at the picture. Name color and number.", "How many discs are there, and of what color?")
BOX = question(
    "Look at the picture. Reply with four numbers, [x1, y1, x2, y2], as you were trained to give a bounding box.",
    "Where is the black square?",
)


def is_object(answer: Answer) -> bool:
    """Is the reply one JSON object, or the beginning of one where it was cut?"""
    if answer.finish == "length":
        return answer.text.lstrip().startswith("{")
    try:
        return isinstance(orjson.loads(answer.text), dict)
    except ValueError:
        return False


def fits(answer: Answer) -> bool:
    """Is the reply what `ANSWERS` demands, or the beginning of it where it was cut?"""
    if answer.finish == "length":
        return re.match(r'\s*\{\s*"answers"\s*:\s*(\[|$)', answer.text) is not None
    try:
        items = orjson.loads(answer.text)["answers"]
        return all(isinstance(i["id"], str) and isinstance(i["answer"], str) for i in items)
    except (ValueError, KeyError, TypeError):
        return False


def dialect_of(text: str) -> str | None:
    """The dialect in which four numbers of a text say where `SQUARE` is; None where they say it in none."""
    numbers = [float(n) for n in re.findall(r"(?<![A-Za-z\d.])\d+(?:\.\d+)?", text)][-4:]
    if len(numbers) < 4:
        return None
    scales = {"unit": (1, 1), "permille": (1000, 1000), "pixels": SIZE}
    off = {
        name: max(abs(n / s - true) for n, s, true in zip(numbers, (w, h, w, h), SQUARE, strict=True))
        for name, (w, h) in scales.items()
    }
    best = min(off, key=lambda name: off[name])
    return best if off[best] < 0.12 else None
