"""MME, POPE and HallusionBench: questions answered by Yes or No, as many of each."""

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.pool import Asks, Pool
from mmevol.evaluate.heldout.questions import Item, Words, a, many
from mmevol.evaluate.heldout.scene import Scene
from mmevol.evaluate.heldout.table import Files, Row, tsv

ANSWER = " Please answer yes or no."


def _yes(kind: str, question: str, truth: bool) -> Item:
    return Item(kind, question, "Yes" if truth else "No", deep=True)


def _posters(scene: Scene, words: Words) -> Iterator[Item]:
    """What kind of thing the printed letters are on."""
    for thing in scene.things:
        if thing.text and sum(t.text == thing.text for t in scene.things) == 1:
            for label in words.labels:
                question = f'Is the object with the letters "{thing.text}" {a(label)}?'
                yield _yes("poster", question, label == thing.label)


def _celebrity(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether a name (the printed letters) belongs to this thing."""
    for thing in scene.things:
        if thing.text and (phrase := scene.phrase(thing)):
            for text in dict.fromkeys((thing.text, *(t.text for t in scene.things if t.text), *words.texts)):
                yield _yes("name", f'Is the {phrase} the one with the letters "{text}"?', text == thing.text)


def _printed(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether letters are printed on anything."""
    for text in words.texts:
        there = any(t.text == text for t in scene.things)
        yield _yes("printed", f'Is there an object with the letters "{text}" in the image?', there)


def _scene(scene: Scene, words: Words) -> Iterator[Item]:
    """What the picture is of, as a whole."""
    for number in range(2, 8):
        yield _yes("scene", f"Is it true that the number of objects is {number}?", number == len(scene.things))


def _landmark(scene: Scene, words: Words) -> Iterator[Item]:
    """Where a thing stands in the picture."""
    for thing in scene.things:
        if phrase := scene.phrase(thing):
            for place in ("top left", "top right", "bottom left", "bottom right"):
                yield _yes("place", f"Is the {phrase} at the {place} of the image?", thing.place == place)


def _artwork(scene: Scene, words: Words) -> Iterator[Item]:
    """What dominates the composition."""
    for word, smallest in (("largest", False), ("smallest", True)):
        if thing := scene.largest(scene.things, smallest=smallest):
            for color in words.colors:
                question = f"Is it true that the color of the {word} object is {color}?"
                yield _yes("artwork", question, color == thing.color)


def _commonsense(scene: Scene, words: Words) -> Iterator[Item]:
    """What would be left if things of a colour were taken away, and how groups compare."""
    yield from ask.more(scene, words)
    for color in scene.colors():
        left = sum(t.color != color for t in scene.things)
        for number in range(2, 5):
            question = f"If all {color} objects were taken away, would {number} objects be left?"
            yield _yes("commonsense", question, left == number)


def _numerical(scene: Scene, words: Words) -> Iterator[Item]:
    """Sums and differences of counts."""
    of = {label: len(scene.of_label(label)) for label in scene.labels()}
    for first, second in permutations(of, 2):
        total, less = of[first] + of[second], of[first] - of[second]
        if first < second:
            for asked in (total, total + 1, total - 1):
                question = f"Is it true that the number of {many(first)} plus the number of {many(second)} is {asked}?"
                yield _yes("sum", question, asked == total)
        if less > 0:
            for asked in (less, less + 1):
                question = f"Is it true that the number of {many(first)} minus the number of {many(second)} is {asked}?"
                yield _yes("difference", question, asked == less)


def _translation(scene: Scene, words: Words) -> Iterator[Item]:
    """Printed capitals put into small letters."""
    for item in ask.letters(scene, words):
        on = item.question.removeprefix("What letters are printed on ").removesuffix("?")
        for asked in (item.answer, *item.wrong[:2]):
            question = f'Is it true that the letters on {on}, in small letters, are "{asked.lower()}"?'
            yield _yes("translation", question, asked == item.answer)


def _code(scene: Scene, words: Words) -> Iterator[Item]:
    """What a line of code would print for the picture."""
    for label in words.labels:
        number = len(scene.of_label(label))
        for asked in (number, number + 1, number + 2):
            yield _yes("code", f"Python prints the number of {many(label)}. Does it print {asked}?", asked == number)


MME: dict[str, Asks] = {
    "OCR": ask.true_letters,
    "artwork": _artwork,
    "celebrity": _celebrity,
    "color": ask.true_colors,
    "count": ask.true_counts,
    "existence": ask.existence,
    "landmark": _landmark,
    "position": ask.sides,
    "posters": _posters,
    "scene": _scene,
    "code_reasoning": _code,
    "commonsense_reasoning": _commonsense,
    "numerical_calculation": _numerical,
    "text_translation": _translation,
}


def _pairs(pool: Pool, category: str, count: int) -> list[tuple[Scene, tuple[Item, Item]]]:
    """Of `count` pictures, each once in a category, a question with Yes and one with No, in either order."""

    def offers(scene: Scene, row: int) -> list[tuple[Item, Item]]:
        items = list(MME[category](scene, pool.words))
        yes, no = ([i for i in items if i.answer == answer] for answer in ("Yes", "No"))
        if not (yes and no):
            return []
        pair = pool.one(yes, "yes", scene.key, row), pool.one(no, "no", scene.key, row)
        return [pair if pool.u("order", scene.key, row) < 0.5 else pair[::-1]]

    return pool.take(count, category, offers, lambda _: category)


def mme(pool: Pool) -> Files:
    """Fourteen categories, as many pictures in each."""
    rows: list[Row] = []
    files: Files = {}
    for category, count in zip(MME, pool.spread(len(MME), unit=2), strict=True):
        for number, (scene, pair) in enumerate(_pairs(pool, category, count)):
            path = f"{category}/{number:04d}.png"
            files[f"images/{path}"] = pool.picture(scene)
            for item in pair:
                row = {"index": len(rows), "image_path": path, "category": category}
                rows.append(row | {"question": item.question + ANSWER, "answer": item.answer})
    return files | {"data.tsv": tsv(rows)}


def _absent(pool: Pool, scene: Scene, kind: str) -> list[str]:
    """Colour and label of things that are not there: any, frequent elsewhere, or made of what is there."""
    present = {(t.color, t.label) for t in scene.things}
    seen = Counter((t.color, t.label) for s in pool.scenes for t in s.things)
    everything = [(c, label) for c in pool.words.colors for label in pool.words.labels]
    if kind == "popular":
        pairs = [pair for pair, _ in sorted(seen.items(), key=lambda e: (-e[1], e[0])) if pair not in present][:4]
    elif kind == "adversarial":
        pairs = [p for p in everything if p[0] in scene.colors() and p[1] in scene.labels() and p not in present]
    else:
        pairs = [p for p in everything if p not in present]
    return [" ".join(pair) for pair in pairs]


def _named_absent(pool: Pool, count: int, kind: str) -> list[tuple[Scene, str]]:
    return pool.take(count, kind, lambda scene, _: _absent(pool, scene, kind), str)


def pope(pool: Pool) -> Files:
    """Is there …? Things that are there count in all three categories, absent ones in their own: half and half in each."""
    kinds = ("random", "popular", "adversarial")
    wanted = pool.spread(1, unit=4)[0]

    def there(scene: Scene, row: int) -> list[str]:
        return sorted({t.name for t in scene.things if t.color})

    chosen = [(scene, ",".join(kinds), name, "Yes") for scene, name in pool.take(wanted, "present", there, str)]
    for kind in kinds:
        chosen += [(scene, kind, name, "No") for scene, name in _named_absent(pool, wanted, kind)]
    rows = [
        {
            "index": index,
            "image": pool.base64(scene),
            "category": category,
            "question": f"Is there {a(name)} in the image?{ANSWER}",
            "answer": answer,
        }
        for index, (scene, category, name, answer) in enumerate(chosen)
    ]
    return {"data.tsv": tsv(rows)}


HALLUSION: dict[tuple[str, str], Asks] = {
    ("VD", "figure"): ask.existence,
    ("VD", "math"): ask.true_counts,
    ("VS", "ocr"): _printed,
    ("VS", "chart"): ask.more,
    ("VS", "table"): _scene,
}
"""Category and subcategory: questions that depend on the picture (VD) or that it supplements (VS)."""


Answers = dict[str, dict[str, str]]
"""Of each scene, by key: question to answer."""


def _sets(pool: Pool, name: str, answers: Answers, count: int) -> list[tuple[Scene, tuple[Scene, str, str]]]:
    """Two scenes and two questions: the first is Yes and then No of them, the second No and then Yes."""

    def offers(scene: Scene, row: int) -> list[tuple[Scene, str, str]]:
        mine = answers[scene.key]
        for other in pool.shuffled("other", scene.key):
            theirs = answers[other.key]
            differ = sorted(q for q in mine.keys() & theirs.keys() if mine[q] != theirs[q])
            yes, no = ([q for q in differ if mine[q] == answer] for answer in ("Yes", "No"))
            if yes and no:
                return [(other, pool.one(yes, "yes", scene.key, row), pool.one(no, "no", scene.key, row))]
        return []

    return pool.take(count, name, offers, lambda offer: f"{name} {offer[0].key}")


def hallusion(pool: Pool) -> Files:
    """Sets of two figures and two questions put to both; each question has another answer for each figure."""
    rows: list[Row] = []
    counts = pool.spread(min(len(HALLUSION), max(pool.n // 4, 1)), unit=4)
    for ((category, group), asks), count in zip(HALLUSION.items(), counts, strict=False):
        answers = {s.key: {i.question: i.answer for i in asks(s, pool.words)} for s in pool.scenes}
        for number, (scene, (other, *questions)) in enumerate(_sets(pool, f"{category} {group}", answers, count)):
            # figure 0 of a supplemented set is the question without picture, which the official table leaves out
            for figure, shown in enumerate((scene, other), start=int(category == "VS")):
                for which, question in enumerate(questions):
                    row: Row = {"index": f"HB_{category}_{group}_{number}_{figure}_{which}"}
                    row |= {"image": pool.base64(shown), "category": category, "l2-category": group}
                    rows.append(row | {"question": question, "answer": answers[shown.key][question]})
    return {"data.tsv": tsv(rows)}
