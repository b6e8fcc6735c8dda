"""MMStar, AI2D_TEST, RealWorldQA and MMMU_DEV_VAL: one right option among several, the right letter at each place equally often."""

from collections.abc import Iterator

from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.pool import LETTERS, Asks, Pool
from mmevol.evaluate.heldout.questions import Item, Words, related
from mmevol.evaluate.heldout.scene import PLACES, RATIO, Scene
from mmevol.evaluate.heldout.table import Files, Row, tsv


def _deep(asks: Asks) -> Asks:
    """Only the questions of several steps."""
    return lambda scene, words: (item for item in asks(scene, words) if item.deep)


def _places(scene: Scene, words: Words) -> Iterator[Item]:
    """In which part of the picture a thing stands."""
    for thing in scene.things:
        if phrase := scene.phrase(thing):
            near = [t.place for t in scene.things]
            wrong = tuple(dict.fromkeys(p for p in (*near, *sum(PLACES, ())) if p != thing.place))
            yield Item("place", f"In which part of the image is the {phrase}?", thing.place, wrong)


def _labelled(scene: Scene, words: Words) -> Iterator[Item]:
    """Which thing carries the printed letters."""
    names = [f"the {t.name}" for t in scene.things]
    far = [f"the {c} {label}" for label in words.labels for c in words.colors]
    for thing in scene.things:
        if thing.text and sum(t.text == thing.text for t in scene.things) == 1:
            answer = f"the {thing.name}"
            wrong = tuple(dict.fromkeys(n for n in (*names, *far) if n != answer))
            yield Item("labelled", f'What is the object with the letters "{thing.text}"?', answer, wrong)


MMSTAR: dict[str, tuple[tuple[str, Asks], ...]] = {
    "coarse perception": (("image scene & topic", ask.counts), ("image composition", _places)),
    "fine-grained perception": (("attribute & celebrity recognition", ask.colors), ("recognition", ask.letters)),
    "instance reasoning": (("single-instance reasoning", ask.shapes), ("cross-instance relation", ask.names)),
    "logical reasoning": (("common reasoning", _deep(ask.colors)), ("diagram reasoning", _deep(ask.shapes))),
    "math": (("numeric commonsense & calculation", _deep(ask.counts)), ("statistical analysis", ask.counts)),
    "science & technology": (("geography & localization", ask.boxes), ("labelled matter", _labelled)),
}
"""Category: its two subcategories with what they ask."""


def mmstar(pool: Pool) -> Files:
    """Six core capabilities, four options each."""
    rows: list[Row] = []
    for (category, parts), count in zip(MMSTAR.items(), pool.spread(len(MMSTAR)), strict=True):
        for row, (scene, item) in enumerate(pool.items(count, category, *(asks for _, asks in parts), wrong=3)):
            rows.append(
                {"index": len(rows), "image": pool.base64(scene), "hint": ""}
                | pool.choice(scene, item, len(rows)).columns()
                | {"category": category, "l2_category": parts[row % len(parts)][0]}
            )
    return {"data.tsv": tsv(rows)}


AI2D: dict[str, Asks] = {"partsOfA": ask.letters, "typesOf": _labelled, "foodChainsWebs": _deep(ask.letters)}
"""The letters printed on things are the labels of the diagram."""


def ai2d(pool: Pool) -> Files:
    """Diagram labels: which letters a thing bears, which thing bears the letters, and both by way of a neighbour."""
    rows: list[Row] = []
    first: dict[str, int] = {}
    for (category, asks), count in zip(AI2D.items(), pool.spread(len(AI2D)), strict=True):
        for scene, item in pool.items(count, category, asks, wrong=3):
            # as in the official tables, a picture that comes again is named by the row that holds it
            image = str(first[scene.key]) if scene.key in first else pool.base64(scene)
            first.setdefault(scene.key, len(rows))
            rows.append(
                {"index": len(rows), "image": image, "hint": ""}
                | pool.choice(scene, item, len(rows)).columns()
                | {"category": category}
            )
    return {"data.tsv": tsv(rows)}


def _which_side(scene: Scene, words: Words) -> Iterator[Item]:
    """On which side of another a thing lies."""
    for thing in scene.things:
        for anchor in scene.things:
            first, second = scene.phrase(thing), scene.phrase(anchor)
            if thing is anchor or not (first and second):
                continue
            for side, opposite in (("to the left of", "to the right of"), ("above", "below")):
                told = scene.beside(thing, side, anchor), scene.beside(thing, opposite, anchor)
                if None not in told and any(told):
                    right, wrong = (side, opposite) if told[0] else (opposite, side)
                    question = f"Is the {first} {side} or {opposite} the {second}?"
                    yield Item("side", question, right, (wrong,))


def _nearest(scene: Scene, words: Words) -> Iterator[Item]:
    """Which of three things looks largest, as what is nearest does."""
    told = [(t, phrase) for t in scene.things if (phrase := scene.phrase(t))]
    for start in range(len(told) - 2):
        three = told[start : start + 3]
        if largest := scene.largest([t for t, _ in three]):
            phrases = [f"the {phrase}" for _, phrase in three]
            answer = phrases[[t for t, _ in three].index(largest)]
            question = f"Which of these is the largest: {phrases[0]}, {phrases[1]} or {phrases[2]}?"
            yield Item("size", question, answer, tuple(p for p in phrases if p != answer))


def _comparisons(scene: Scene, words: Words) -> Iterator[Item]:
    """Which of two things is larger."""
    for phrase, thing in related(scene):
        for other in scene.things:
            second = scene.phrase(other)
            small, large = sorted((thing.area, other.area))
            if second and other is not thing and large >= RATIO * small:
                texts = (f"the {phrase}", f"the {second}")
                answer = texts[0] if thing.area == large else texts[1]
                question = f"Which is larger, the {phrase} or the {second}?"
                yield Item("size", question, answer, tuple(t for t in texts if t != answer))


def real_world(pool: Pool) -> Files:
    """Where things are in space, with two to four options."""
    rows = []
    asks = (_which_side, _nearest, _places, ask.counts, _comparisons, _deep(ask.colors))
    for row, (scene, item) in enumerate(pool.items(pool.n, "spatial", *asks, wrong=1)):
        width = (2, 3, 4, 4, 2, 3)[row % len(asks)]
        place = row // len(asks)
        rows.append(
            {"index": row, "image": pool.base64(scene), "hint": ""} | pool.choice(scene, item, place, width).columns()
        )
    return {"data.tsv": tsv(rows)}


DOMAINS: dict[str, tuple[str, ...]] = {
    "Art & Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health & Medicine": (
        *("Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine"),
        *("Pharmacy", "Public_Health"),
    ),
    "Humanities & Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech & Engineering": (
        *("Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics", "Energy_and_Power"),
        *("Materials", "Mechanical_Engineering"),
    ),
}
MMMU_ASKS: dict[str, tuple[Asks, ...]] = {
    "Art & Design": (ask.colors, ask.names),
    "Business": (_deep(ask.counts), ask.counts),
    "Science": (ask.boxes, _deep(ask.counts)),
    "Health & Medicine": (_labelled, ask.shapes),
    "Humanities & Social Science": (ask.letters, _deep(ask.letters)),
    "Tech & Engineering": (_deep(ask.shapes), _deep(ask.colors)),
}
"""What the domains ask; the subjects are those of the official file, the matter is that of the scenes."""


OPEN_ASKS: tuple[Asks, ...] = (ask.colors, ask.counts, ask.names)
"""What open questions ask. Never letters: an open answer of one capital letter can not be scored as right."""


def mmmu(pool: Pool) -> Files:
    """Thirty subjects in turn, every sixth row of the dev split, every fifth question open; the picture is ``<image 1>``."""
    subjects = [(domain, subject) for domain, names in DOMAINS.items() for subject in names]
    subjects.sort(key=lambda pair: pool.u("subject", *pair))
    rows: list[Row] = []
    choices = {"dev": 0, "validation": 0}
    for row in range(pool.n):
        domain, subject = subjects[row % len(subjects)]
        split, is_open = ("dev" if row % 6 == 5 else "validation"), row % 5 == 4
        asks = OPEN_ASKS if is_open else MMMU_ASKS[domain]
        ((scene, item),) = pool.items(1, f"{subject} {row}", asks[row // len(subjects) % len(asks)], wrong=3)
        chosen = pool.choice(scene, item, choices[split]).columns(9)
        if is_open:
            chosen |= dict.fromkeys(LETTERS, "") | {"answer": item.answer}
        else:
            choices[split] += 1
        rows.append(
            {"index": row, "id": f"{split}_{subject}_{row}", "image": pool.base64(scene)}
            | chosen
            | {"question": f"<image 1> {item.question}"}
            | {"category": subject, "l2-category": domain, "split": split}
            | {"question_type": "open" if is_open else "multiple-choice"}
        )
    return {"data.tsv": tsv(rows)}
