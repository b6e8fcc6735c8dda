"""The demo's world: drawn scenes with exact annotations, captions and short Q&A.

A scene holds 2 to 7 objects, each in a cell of its own of a 4 x 4 grid, placed and sized within it by chance. Everything is
drawn from hashes of (study seed, scene index), so the first scenes of a longer series are those of a shorter one.
"""

import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from mmevol.config.commands import DrawSettings
from mmevol.records import canonical, digest, fraction
from mmevol.seeds import questions
from mmevol.store import replacing, write_text

GRID = 4
SHAPES = {"circle": 0.34, "square": 0.28, "triangle": 0.22, "star": 0.16}
"""Uneven on purpose: a world without rare objects has no long tail to look at."""
COLORS = {
    "red": 0.24,
    "blue": 0.21,
    "green": 0.18,
    "yellow": 0.15,
    "purple": 0.12,
    "black": 0.10,
}
RGB = {
    "red": (214, 40, 40),
    "blue": (35, 90, 215),
    "green": (40, 160, 60),
    "yellow": (246, 211, 36),
    "purple": (150, 60, 190),
    "black": (30, 30, 30),
}
GLYPHS = {
    "E": "#####|#....|#....|####.|#....|#....|#....|#####",
    "F": "#####|#....|#....|####.|#....|#....|#....|#....",
    "H": "#...#|#...#|#...#|#####|#...#|#...#|#...#|#...#",
    "K": "#...#|#..#.|#.#..|##...|#.#..|#..#.|#...#|#...#",
    "L": "#....|#....|#....|#....|#....|#....|#....|#####",
    "M": "#...#|##.##|#.#.#|#.#.#|#...#|#...#|#...#|#...#",
    "N": "#...#|##..#|##..#|#.#.#|#.#.#|#..##|#..##|#...#",
    "P": "####.|#...#|#...#|####.|#....|#....|#....|#....",
    "R": "####.|#...#|#...#|####.|#.#..|#..#.|#...#|#...#",
    "T": "#####|..#..|..#..|..#..|..#..|..#..|..#..|..#..",
    "X": "#...#|#...#|.#.#.|..#..|..#..|.#.#.|#...#|#...#",
    "Z": "#####|....#|...#.|..#..|..#..|.#...|#....|#####",
}
"""Printed letters, 5 x 8 pixels. None of A to D, which are the names of options."""
GLYPH_HEIGHT = 8
SUPERSAMPLING = 4


@dataclass(frozen=True)
class Thing:
    """One object of a scene: ``cell`` 0..15 in reading order, ``left``, ``top`` and ``side`` in px."""

    shape: str
    color: str
    size: str
    text: str
    cell: int
    left: int
    top: int
    side: int

    def box(self, image_size: int) -> list[float]:
        """x1, y1, x2, y2 in 0..1, three decimals."""
        corners = (self.left, self.top, self.left + self.side, self.top + self.side)
        return [round(c / image_size, 3) for c in corners]

    def annotation(self, image_size: int) -> dict[str, Any]:
        """The object as an entry of a record's ``det``, with the attributes that are known of it."""
        attributes = {"color": self.color, "size": self.size} | ({"text": self.text} if self.text else {})
        return {
            "label": self.shape,
            "bbox": self.box(image_size),
            "attributes": attributes,
        }


def _weighted(weights: dict[str, float], at: float) -> str:
    for name, weight in weights.items():
        at -= weight
        if at < 0:
            return name
    return name


def _thing(cell: int, image_size: int, *key: str | int) -> Thing:
    def u(what: str) -> float:
        return fraction(*key, cell, what)

    shape, color = _weighted(SHAPES, u("shape")), _weighted(COLORS, u("color"))
    size = "large" if u("size") < 0.5 else "small"
    pitch = image_size // GRID
    low, high = (0.85, 0.95) if size == "large" else (0.5, 0.6)
    side = round(pitch * (low + (high - low) * u("side")))
    slack = pitch - side + 1
    row, column = divmod(cell, GRID)
    text = ""
    if size == "large" and u("has text") < 0.5:
        room = 2 if shape in ("circle", "square") else 1
        text = "".join(list(GLYPHS)[int(u(f"glyph {i}") * len(GLYPHS))] for i in range(1 + int(u("length") * room)))
    return Thing(
        shape=shape,
        color=color,
        size=size,
        text=text,
        cell=cell,
        left=column * pitch + int(u("x") * slack),
        top=row * pitch + int(u("y") * slack),
        side=side,
    )


def scene(seed: int, index: int, attempt: int, image_size: int) -> list[Thing]:
    """The objects of one scene in reading order. `attempt` counts redraws of a scene that was there before."""
    key = ("scene", seed, index, attempt)
    count = 2 + int(fraction(*key, "count") * 6)
    cells = sorted(range(GRID * GRID), key=lambda cell: fraction(*key, "cell", cell))[:count]
    return [_thing(cell, image_size, *key) for cell in sorted(cells)]


def scenes(settings: DrawSettings) -> Iterator[list[Thing]]:
    """The scenes of a study, no two alike: the same objects in the same cells are redrawn, whatever their exact place."""
    seen: set[str] = set()
    for index in range(settings.images):
        attempt = 0
        while True:
            things = scene(settings.seed, index, attempt, settings.image_size)
            look = digest(*(f"{t.cell} {t.size} {t.color} {t.shape} {t.text}" for t in things))[:24]
            if look not in seen:
                break
            attempt += 1
        seen.add(look)
        yield things


def _outline(thing: Thing) -> list[tuple[float, float]]:
    """Corners of a shape that fills its box, in px of the supersampled picture."""
    if thing.shape == "square":
        unit = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    elif thing.shape == "triangle":
        unit = [(0.5, 0.0), (1.0, 1.0), (0.0, 1.0)]
    else:  # a star whose arms are short enough to leave room for a letter
        rays = [(1.0 if k % 2 == 0 else 0.5, math.pi * k / 5) for k in range(10)]
        corners = [(r * math.sin(a), -r * math.cos(a)) for r, a in rays]
        xs, ys = zip(*corners, strict=True)
        unit = [((x - min(xs)) / (max(xs) - min(xs)), (y - min(ys)) / (max(ys) - min(ys))) for x, y in corners]
    k = SUPERSAMPLING
    reach = thing.side * k - 1  # an outline's last pixel lies inside
    return [(thing.left * k + x * reach, thing.top * k + y * reach) for x, y in unit]


def _print_text(image: Image.Image, thing: Thing) -> None:
    """Print a thing's letters across its middle, one pixel of space between them."""
    scale = max(1, image.width // 80)
    ink = (0, 0, 0) if thing.color == "yellow" else (255, 255, 255)
    width = (6 * len(thing.text) - 1) * scale
    middle = {"triangle": 0.7, "star": 0.56}.get(thing.shape, 0.5)
    left = thing.left + (thing.side - width) // 2
    top = min(
        thing.top + round(thing.side * middle - GLYPH_HEIGHT * scale / 2),
        thing.top + thing.side - GLYPH_HEIGHT * scale - 1,
    )
    for position, glyph in enumerate(thing.text):
        for y, row in enumerate(GLYPHS[glyph].split("|")):
            for x, dot in enumerate(row):
                if dot == "#":
                    corner = (left + (6 * position + x) * scale, top + y * scale)
                    image.paste(ink, (*corner, corner[0] + scale, corner[1] + scale))


def picture(things: Sequence[Thing], image_size: int, background: int) -> Image.Image:
    """Draw a scene on a light ground of one grey value (0..255); edges are smooth, letters are not."""
    big = Image.new("RGB", (image_size * SUPERSAMPLING,) * 2, (background,) * 3)
    pen = ImageDraw.Draw(big)
    for thing in things:
        if thing.shape == "circle":
            low = (thing.left * SUPERSAMPLING, thing.top * SUPERSAMPLING)
            high = tuple(c + thing.side * SUPERSAMPLING - 1 for c in low)
            pen.ellipse((*low, *high), fill=RGB[thing.color])
        else:
            pen.polygon(_outline(thing), fill=RGB[thing.color])
    image = big.reduce(SUPERSAMPLING)
    for thing in things:
        if thing.text:
            _print_text(image, thing)
    return image


NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")
PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)


def place(box: Sequence[float]) -> str:
    """The ninth of the picture that holds a box's centre."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return PLACES[min(int(y * 3), 2)][min(int(x * 3), 2)]


def caption(things: Sequence[Thing], seed: int, index: int, image_size: int) -> str:
    """Everything that is there, alike things together; for half of the scenes a second sentence places one of them."""
    groups = Counter((t.size, t.color, t.shape, t.text) for t in things)
    phrases = []
    for (size, color, shape, text), count in groups.items():
        letters = f" with {text} printed on {'it' if count == 1 else 'each'}" if text else ""
        article = "a" if count == 1 else NUMBERS[count]
        phrases.append(f"{article} {size} {color} {shape}{'s' * (count > 1)}{letters}")
    listed = ", ".join(phrases[:-1]) + " and " + phrases[-1] if len(phrases) > 1 else phrases[0]
    text = f"The image shows {listed}."
    alone = [t for t in things if groups[t.size, t.color, t.shape, t.text] == 1]
    if alone and fraction("caption", seed, index) < 0.5:
        chosen = alone[int(fraction("placed", seed, index) * len(alone))]
        where = place(chosen.box(image_size))
        text += f" The {chosen.size} {chosen.color} {chosen.shape} is at the {where}."
    return text


def record(things: Sequence[Thing], settings: DrawSettings, index: int) -> dict[str, Any]:
    """A scene as a record of the reference format, with attributes in ``det``."""
    name = f"{index:06d}.png"
    det = [t.annotation(settings.image_size) for t in things]
    alone = fraction("caption only", settings.seed, index) < settings.caption_only
    return {
        "id": f"scene_{index:06d}",
        "image": name,
        "hash_id": f"{index}_{name}",
        "width": settings.image_size,
        "height": settings.image_size,
        "caption": [
            {"from": "human", "value": "<image>\nDescribe the image."},
            {
                "from": "gpt",
                "value": caption(things, settings.seed, index, settings.image_size),
            },
        ],
        "det": det,
        "topic_name": ["drawn shapes"],
        "conversations_v0": [] if alone else questions.seed_qas(det, settings.seed, index),
        "source": "world",
        "licence": "CC0-1.0",
        "attribution": "",
    }


def draw(settings: DrawSettings, *, records: Path, images: Path) -> None:
    """Draw the scenes of a study: pictures into `images`, then their records as JSONL into `records`."""
    images.mkdir(parents=True, exist_ok=True)
    lines = []
    for index, things in enumerate(scenes(settings)):
        ground = 236 + int(fraction("ground", settings.seed, index) * 20)
        buffer = io.BytesIO()
        picture(things, settings.image_size, ground).save(buffer, "PNG")
        path = images / f"{index:06d}.png"
        if not (path.exists() and path.read_bytes() == buffer.getvalue()):
            with replacing(path) as temporary:
                temporary.write_bytes(buffer.getvalue())
        lines.append(canonical(record(things, settings, index)))
    write_text(records, "\n".join(lines) + "\n")
