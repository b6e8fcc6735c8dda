"""BLINK: fourteen tasks that people solve at a glance, several of them over two to four pictures."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageOps

from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.pool import Choice, Pool, apart, encoded
from mmevol.evaluate.heldout.questions import Item
from mmevol.evaluate.heldout.scene import RATIO, Scene, Thing
from mmevol.evaluate.heldout.table import Files, Row, tsv

LUMINANCE = {
    **{"black": 0.03, "blue": 0.13, "purple": 0.16, "red": 0.19, "green": 0.30, "brown": 0.2, "gray": 0.5},
    **{"orange": 0.55, "pink": 0.6, "cyan": 0.7, "yellow": 0.8, "white": 1.0},
}
"""How light a colour is, roughly; only clear differences are asked for."""
ORDINALS = ("first", "second", "third", "fourth")
MARK = (255, 0, 255)
"""Colour of the frame around a marked thing: no thing has it."""


@dataclass(frozen=True)
class Question:
    """A question about pictures, all in the order shown."""

    pictures: tuple[Image.Image, ...]
    item: Item


Task = Callable[[Pool, Scene, int], Iterator[Question]]


def _open(pool: Pool, scene: Scene) -> Image.Image:
    return Image.open(io.BytesIO(pool.picture(scene))).convert("RGB")


def _marked(image: Image.Image, thing: Thing) -> Image.Image:
    """The picture with a frame around one thing."""
    copy = image.copy()
    w, h = image.size
    x1, y1, x2, y2 = thing.box
    ImageDraw.Draw(copy).rectangle((x1 * w - 1, y1 * h - 1, x2 * w, y2 * h), outline=MARK)
    return copy


def _which(first: Image.Image, right: Image.Image, wrong: Image.Image, row: int, kind: str, text: str) -> Question:
    """Which of the second and third picture goes with the first; the right one in both places in turn."""
    shown = (first, right, wrong) if row % 2 else (first, wrong, right)
    answers = ("the second image", "the third image")
    answer = answers[0] if row % 2 else answers[1]
    return Question(shown, Item(kind, text, answer, tuple(a for a in answers if a != answer)))


def _about(*asks: Callable[..., Iterator[Item]]) -> Task:
    """A task over one picture whose questions are known elsewhere."""

    def task(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
        image = _open(pool, scene)
        for asked in asks:
            yield from (Question((image,), item) for item in asked(scene, pool.words))

    return task


def _counting(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    image = _open(pool, scene)
    yield from (Question((image,), item) for item in ask.counts(scene, pool.words) if not item.deep)


def _spatial(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    image = _open(pool, scene)
    for item in ask.sides(scene, pool.words):
        if item.answer == ("Yes", "No")[row // 2 % 2]:
            other = "No" if item.answer == "Yes" else "Yes"
            yield Question((image,), Item("side", item.question, item.answer, (other,)))


def _localization(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    image = _open(pool, scene)
    for item in ask.boxes(scene, pool.words):
        thing = item.question.removeprefix("Where is ").removesuffix("?")
        yield Question((image,), Item("box", f"Which of these regions shows {thing}?", item.answer, item.wrong[:1]))


def _pairs(scene: Scene) -> Iterator[tuple[Thing, str, Thing, str]]:
    told = [(t, phrase) for t in scene.things if (phrase := scene.phrase(t))]
    for at, (one, first) in enumerate(told):
        for other, second in told[at + 1 :]:
            yield one, f"the {first}", other, f"the {second}"


def _depth(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """What is larger looks closer."""
    image = _open(pool, scene)
    for one, first, other, second in _pairs(scene):
        small, large = sorted((one.area, other.area))
        if large >= RATIO * small:
            right, wrong = (first, second) if one.area == large else (second, first)
            text = f"Which is larger, and so looks closer: {first} or {second}?"
            yield Question((image,), Item("depth", text, right, (wrong,)))


def _reflectance(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    image = _open(pool, scene)
    for one, first, other, second in _pairs(scene):
        if one.color in LUMINANCE and other.color in LUMINANCE:
            difference = LUMINANCE[one.color] - LUMINANCE[other.color]
            if abs(difference) > 0.1:
                right, wrong = (first, second) if difference < 0 else (second, first)
                text = f"Which has the darker color: {first} or {second}?"
                yield Question((image,), Item("reflectance", text, right, (wrong,)))


def _iq(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """Which thing does not go with the others."""
    image = _open(pool, scene)
    for name in ("label", "color", "size"):
        values = [getattr(t, name) for t in scene.things]
        for thing in scene.things:
            rest = [getattr(t, name) for t in scene.things if t is not thing]
            if len(rest) >= 2 and len(set(rest)) == 1 and getattr(thing, name) not in rest and all(values):
                names = tuple(dict.fromkeys(f"the {t.name}" for t in scene.things if t.name != thing.name))
                word = {"label": "shape"}.get(name, name)
                text = f"Which object differs from all the others by its {word}?"
                yield Question((image,), Item("iq", text, f"the {thing.name}", names))


def _likeness(one: Scene, other: Scene) -> float:
    """Shared labels of two scenes, each as often as in both, over all of them."""
    a, b = (Counter(t.label for t in scene.things) for scene in (one, other))
    return (a & b).total() / (a | b).total()


def _similarity(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """Of some other scenes the one that is most like this, and one that is clearly less so."""
    others = [s for s in pool.shuffled("similar", scene.key, row) if s is not scene][:20]
    best = max(others, key=lambda s: _likeness(scene, s))
    if less := [s for s in others if _likeness(scene, s) <= _likeness(scene, best) - 0.25]:
        first, right, wrong = (_open(pool, s) for s in (scene, best, less[0]))
        yield _which(first, right, wrong, row, "similarity", "Which image is more like the first in its shapes?")


def _art_style(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """The first picture and one of the others are drawn as negatives."""
    second, third = [s for s in pool.shuffled("style", scene.key, row) if s is not scene][:2]
    first, right, wrong = _open(pool, scene), _open(pool, second), _open(pool, third)
    text = "Which image is drawn in the same style as the first?"
    yield _which(ImageOps.invert(first), ImageOps.invert(right), wrong, row, "style", text)


def _jigsaw(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """The lower right quarter is black; which piece fits."""
    image = _open(pool, scene)
    w, h = image.size
    corner = (w // 2, h // 2, w, h)
    piece = image.crop(corner)
    for other in pool.shuffled("piece", scene.key, row):
        wrong = _open(pool, other).crop(corner)
        if (
            other is not scene
            and ImageChops.difference(wrong, piece).convert("L").point(lambda v: 255 * (v > 60)).getbbox()
        ):
            rest = image.copy()
            rest.paste((0, 0, 0), corner)
            text = "Which image fits the black corner of the first?"
            yield _which(rest, piece, wrong, row, "jigsaw", text)
            return


def _forensic(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """One of four pictures has been tampered with: a block of it is copied over another."""
    others = [s for s in pool.shuffled("real", scene.key, row) if s is not scene][:3]
    pictures = [_open(pool, s) for s in (scene, *others)]
    w, h = pictures[0].size
    thing = max(scene.things, key=lambda t: t.area)
    x, y = int(thing.box[0] * w), int(thing.box[1] * h)
    block = pictures[0].crop((x, y, x + w // 8, y + h // 4))
    pictures[0].paste(block, (int(w * 0.4375), int(h * 0.375)))
    place = row % 4
    shown = (*pictures[1 : place + 1], pictures[0], *pictures[place + 1 :])
    answers = tuple(f"the {ordinal} image" for ordinal in ORDINALS)
    text = "Which image has been tampered with: a part of it was copied to its middle?"
    yield Question(shown, Item("forensic", text, answers[place], tuple(a for a in answers if a != answers[place])))


def _multi_view(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """The second picture is the first, seen from further left or right."""
    image = _open(pool, scene)
    w = image.width
    moved_right = bool(row // 2 % 2)
    second = Image.new("RGB", image.size, image.getpixel((0, 0)))
    second.paste(image, (-w // 5 if moved_right else w // 5, 0))
    answer, wrong = ("right", "left") if moved_right else ("left", "right")
    text = "Did the camera move left or right from the first image to the second?"
    yield Question((image, second), Item("view", text, answer, (wrong,)))


def _visual_correspondence(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
    """The second picture is the mirrored first; where has the marked thing gone."""
    image = _open(pool, scene)
    mirrored = {t: [1 - t.box[2], t.box[1], 1 - t.box[0], t.box[3]] for t in scene.things}
    texts = {t: "[" + ", ".join(f"{c:.3f}" for c in box) + "]" for t, box in mirrored.items()}
    for thing in scene.things:
        wrong = tuple(text for t, text in texts.items() if text != texts[thing])
        text = "The second image is the first in a mirror. Which region of it shows the marked object?"
        yield Question((_marked(image, thing), ImageOps.mirror(image)), Item("mirror", text, texts[thing], wrong))


def _other_thing(kind: str, text: str, same: Callable[[Thing, Thing], bool]) -> Task:
    """A task over two scenes: which thing of the second is the only one like the marked thing of the first."""

    def task(pool: Pool, scene: Scene, row: int) -> Iterator[Question]:
        image = _open(pool, scene)
        for thing in scene.things:
            for other in pool.shuffled("other", scene.key, row)[:20]:
                alike = [t for t in other.things if same(thing, t)]
                names = dict.fromkeys(f"the {t.name}" for t in other.things if t not in alike)
                if other is not scene and len(alike) == 1 and f"the {alike[0].name}" not in names and names:
                    item = Item(kind, text, f"the {alike[0].name}", tuple(names))
                    yield Question((_marked(image, thing), _open(pool, other)), item)
                    break

    return task


TASKS: dict[str, tuple[Task, int]] = {
    "Art_Style": (_art_style, 2),
    "Counting": (_counting, 4),
    "Forensic_Detection": (_forensic, 4),
    "Functional_Correspondence": (
        _other_thing(
            "function",
            "Which object of the second image does what the marked object of the first does, carry letters or not?",
            lambda a, b: bool(a.text) == bool(b.text),
        ),
        4,
    ),
    "IQ_Test": (_iq, 4),
    "Jigsaw": (_jigsaw, 2),
    "Multi-view_Reasoning": (_multi_view, 2),
    "Object_Localization": (_localization, 2),
    "Relative_Depth": (_depth, 2),
    "Relative_Reflectance": (_reflectance, 2),
    "Semantic_Correspondence": (
        _other_thing(
            "semantic",
            "Which object of the second image has the shape of the marked object of the first?",
            lambda a, b: a.label == b.label,
        ),
        4,
    ),
    "Spatial_Relation": (_spatial, 2),
    "Visual_Correspondence": (_visual_correspondence, 4),
    "Visual_Similarity": (_similarity, 2),
}
"""Task: its questions and how many options they have at most."""


def _cell(pictures: Sequence[Image.Image]) -> str:
    """One picture in base64, or several as the text of a list."""
    cells = []
    for picture in pictures:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        cells.append(encoded(buffer.getvalue()))
    return cells[0] if len(cells) == 1 else str(cells)


def blink(pool: Pool) -> Files:
    """All tasks in turn, rows numbered from 1 in order, as the official table has them."""
    rows: list[Row] = []
    for (category, (task, options)), count in zip(TASKS.items(), pool.spread(len(TASKS)), strict=True):

        def offers(scene: Scene, row: int, task: Task = task) -> list[Question]:
            return [q for q in task(pool, scene, row) if apart(q.item)]

        for row, (scene, question) in enumerate(
            pool.take(count, category, offers, lambda q: q.item.kind + q.item.question)
        ):
            place = len(rows) if options == 4 and not _ordered(question) else row % 2
            chosen = (
                _in_order(question.item) if _ordered(question) else pool.choice(scene, question.item, place, options)
            )
            rows.append(
                {"index": len(rows) + 1, "image": _cell(question.pictures), "hint": ""}
                | chosen.columns()
                | {"category": category}
            )
    return {"data.tsv": tsv(rows)}


def _ordered(question: Question) -> bool:
    """Whether the options are the pictures themselves, which stand in their own order."""
    return question.item.answer.endswith(" image")


def _in_order(item: Item) -> Choice:
    """Options that name pictures, in the order of the pictures."""
    options = sorted((item.answer, *item.wrong), key=lambda text: ORDINALS.index(text.split()[1]))
    return Choice(item.question, tuple(options), "ABCD"[options.index(item.answer)])
