"""MathVista_MINI: counting, arithmetic, geometry and statistics over a scene, free or with options."""

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.pool import Asks, Pool
from mmevol.evaluate.heldout.questions import Item, Words, many
from mmevol.evaluate.heldout.scene import Scene
from mmevol.evaluate.heldout.table import Files, tsv
from mmevol.records import LETTERS, QA, turns


def _positive(asks: Asks) -> Asks:
    """Only answers above 0: the official rules read a right 0 as no answer."""
    return lambda scene, words: (item for item in asks(scene, words) if item.answer != "0")


def _arithmetic(scene: Scene, words: Words) -> Iterator[Item]:
    """Totals and differences of counts."""
    yield from (item for item in ask.counts(scene, words) if item.kind in ("total", "difference"))


def _shares(scene: Scene, words: Words) -> Iterator[Item]:
    """The share of a label, to two decimals."""
    for label in scene.labels():
        share = f"{len(scene.of_label(label)) / len(scene.things):.2f}"
        if share != "1.00":
            yield Item("share", f"What fraction of the objects are {many(label)}, to two decimals?", share)


def _most(scene: Scene, words: Words) -> Iterator[Item]:
    """Which label or colour occurs most often."""
    for name, values in (("shape", [t.label for t in scene.things]), ("color", [t.color for t in scene.things])):
        ranked = Counter(values).most_common()
        if len(ranked) > 1 and ranked[0][1] > ranked[1][1] and all(values):
            far = words.labels if name == "shape" else words.colors
            wrong = tuple(dict.fromkeys(v for v in (*(v for v, _ in ranked), *far) if v != ranked[0][0]))
            yield Item("most", f"Which {name} occurs most often?", ranked[0][0], wrong)


def _corners(scene: Scene, words: Words) -> Iterator[Item]:
    """How many corners the triangles and squares have together."""
    of = {"triangle": 3, "square": 4}
    for first, second in permutations(of, 2):
        number = of[first] * len(scene.of_label(first)) + of[second] * len(scene.of_label(second))
        if first < second and number:
            text = f"How many corners do the {many(first)} and the {many(second)} have in total?"
            yield Item("corners", text, str(number), tuple(str(number + d) for d in (1, 3, 4, -1)))


TASKS: tuple[tuple[str, str, str, str, Asks], ...] = (
    ("visual question answering", "numeric commonsense", "free_form", "integer", _positive(ask.counts)),
    ("math word problem", "arithmetic reasoning", "free_form", "integer", _arithmetic),
    ("figure question answering", "statistical reasoning", "multi_choice", "text", _most),
    ("geometry problem solving", "geometry reasoning", "multi_choice", "text", ask.shapes),
    ("textbook question answering", "logical reasoning", "multi_choice", "text", _arithmetic),
    ("figure question answering", "statistical reasoning", "free_form", "float", _shares),
    ("geometry problem solving", "geometry reasoning", "free_form", "integer", _corners),
    ("visual question answering", "scientific reasoning", "multi_choice", "text", ask.colors),
)
"""Task, skill, question type, answer type, and what is asked, in turn."""


def mathvista(pool: Pool) -> Files:
    """Half of the questions free, half with options, which the question's text holds as official ones do."""
    rows = []
    for row in range(pool.n):
        task, skill, question_type, answer_type, asks = TASKS[row % len(TASKS)]
        wrong = 3 if question_type == "multi_choice" else 0
        ((scene, item),) = pool.items(1, f"{task} {row}", asks, wrong=wrong)
        question, options, letter = item.question, "", ""
        if question_type == "multi_choice":
            chosen = pool.choice(scene, item, row)
            options, letter = str(list(chosen.options)), chosen.letter
            question, _ = turns(QA(question=item.question, answer=item.answer, options=list(chosen.options)))
            assert LETTERS.index(letter) == chosen.options.index(item.answer)
        rows.append(
            {"index": row + 1, "image": pool.base64(scene), "question": question}
            | {"question_type": question_type, "answer_type": answer_type, "choices": options}
            | {"answer": item.answer, "answer_option": letter}
            | {"precision": "2" if answer_type == "float" else "", "unit": ""}
            | {"task": task, "skills": str([skill]), "category": "general-vqa", "context": "synthetic scene"}
            | {"grade": "not applicable", "language": "english", "source": "held-out scenes"}
        )
    return {"data.tsv": tsv(rows)}
