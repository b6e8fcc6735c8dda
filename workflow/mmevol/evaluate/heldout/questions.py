"""What can be asked about a held-out scene: questions with a value and questions answered by Yes or No.

Simple ones are worded as the seeds are; deep ones take several steps, as evolved questions do. Every answer is computed from
the annotations here, by code that shares nothing with the teacher's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from mmevol.evaluate.heldout.scene import RATIO, SIDES, Scene, Thing


@dataclass(frozen=True)
class Item:
    """A question and its answer. ``wrong``: answers of the same type that are not right, likeliest first."""

    kind: str
    question: str
    answer: str
    wrong: tuple[str, ...] = ()
    deep: bool = False


@dataclass(frozen=True)
class Words:
    """The colours, labels and printed letters that occur in any held-out scene, sorted."""

    colors: tuple[str, ...]
    labels: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> "Words":
        """The vocabulary of these scenes."""
        things = [t for scene in scenes for t in scene.things]
        return cls(
            tuple(sorted({t.color for t in things} - {""})),
            tuple(sorted({t.label for t in things})),
            tuple(sorted({t.text for t in things} - {""})),
        )


def _others(answer: str, near: Sequence[str], far: Sequence[str] = ()) -> tuple[str, ...]:
    """Wrong answers: those of the same scene first, each once."""
    return tuple(dict.fromkeys(text for text in (*near, *far) if text and text != answer))


def _numbers(answer: int) -> tuple[str, ...]:
    """Wrong counts: the nearest first, none negative."""
    return tuple(str(answer + step) for step in (1, -1, 2, -2, 3, 4) if answer + step >= 0)


def a(phrase: str) -> str:
    """The phrase with its article."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def many(label: str) -> str:
    """The plural of a label."""
    return label + ("es" if label.endswith(("s", "x", "ch", "sh")) else "s")


def related(scene: Scene) -> Iterator[tuple[str, Thing]]:
    """Phrases of two steps for a thing that they alone mean: ``the circle above the star``."""
    for anchor in scene.things:
        if not (phrase := scene.phrase(anchor)):
            continue
        for side in SIDES:
            for label in scene.labels():
                found = scene.on_side(scene.of_label(label), side, anchor)
                if found and len(found) == 1:
                    yield f"{label} {side} the {phrase}", found[0]


# ------------------------------------------------------------------------------------------------------- questions with a value


def colors(scene: Scene, words: Words) -> Iterator[Item]:
    """What colour a thing has."""
    for thing in scene.things:
        if thing.color and (phrase := scene.phrase(thing, without="color")):
            wrong = _others(thing.color, scene.colors(), words.colors)
            yield Item("color", f"What color is the {phrase}?", thing.color, wrong)
    for phrase, thing in related(scene):
        if thing.color:
            wrong = _others(thing.color, scene.colors(), words.colors)
            yield Item("color", f"What color is the {phrase}?", thing.color, wrong, deep=True)


def names(scene: Scene, words: Words) -> Iterator[Item]:
    """Which thing lies on a side of another, or stands out by its size."""
    near = [f"the {t.name}" for t in scene.things]
    far = [f"the {c} {label}" for label in words.labels for c in words.colors]
    for anchor in scene.things:
        if not (phrase := scene.phrase(anchor)):
            continue
        for side in SIDES:
            found = scene.on_side(scene.things, side, anchor)
            if found and len(found) == 1:
                answer = f"the {found[0].name}"
                yield Item("name", f"What is {side} the {phrase}?", answer, _others(answer, near, far))
    for word, smallest in (("largest", False), ("smallest", True)):
        if thing := scene.largest(scene.things, smallest=smallest):
            answer = f"the {thing.name}"
            yield Item("name", f"What is the {word} object?", answer, _others(answer, near, far))


def shapes(scene: Scene, words: Words) -> Iterator[Item]:
    """What shape a thing has that is told by its size or its place."""
    for word, smallest in (("largest", False), ("smallest", True)):
        if thing := scene.largest(scene.things, smallest=smallest):
            wrong = _others(thing.label, scene.labels(), words.labels)
            yield Item("shape", f"What shape is the {word} object?", thing.label, wrong)
    for anchor in scene.things:
        if not (phrase := scene.phrase(anchor)):
            continue
        for side in SIDES:
            for color in scene.colors():
                found = scene.on_side([t for t in scene.things if t.color == color], side, anchor)
                if found and len(found) == 1:
                    wrong = _others(found[0].label, scene.labels(), words.labels)
                    question = f"What shape is the {color} object {side} the {phrase}?"
                    yield Item("shape", question, found[0].label, wrong, deep=True)


def counts(scene: Scene, words: Words) -> Iterator[Item]:
    """How many things of a kind there are, also beside another thing, together and compared."""
    number = len(scene.things)
    yield Item("count", "How many objects are there?", str(number), _numbers(number))
    of = {label: len(scene.of_label(label)) for label in scene.labels()}
    for label, number in of.items():
        yield Item("count", f"How many {many(label)} are there?", str(number), _numbers(number))
    for color in scene.colors():
        number = sum(t.color == color for t in scene.things)
        yield Item("count", f"How many {color} objects are there?", str(number), _numbers(number))
    for first, second in permutations(of, 2):
        if first < second:
            number = of[first] + of[second]
            question = f"What is the number of {many(first)} plus the number of {many(second)}?"
            yield Item("total", question, str(number), _numbers(number), deep=True)
        if (number := of[first] - of[second]) > 0:
            question = f"How many more {many(first)} than {many(second)} are there?"
            yield Item("difference", question, str(number), _numbers(number), deep=True)
    for anchor in scene.things:
        if not (phrase := scene.phrase(anchor)):
            continue
        for side in SIDES:
            if found := scene.on_side(scene.things, side, anchor):
                question = f"How many objects {side} the {phrase} are there?"
                yield Item("count", question, str(len(found)), _numbers(len(found)), deep=True)


def letters(scene: Scene, words: Words) -> Iterator[Item]:
    """What is printed on a thing."""
    near = [t.text for t in scene.things]
    for thing in scene.things:
        if not thing.text:
            continue
        far = [t for t in words.texts if len(t) == len(thing.text)] or words.texts
        start = words.texts.index(thing.text)  # not always the first of the alphabet
        wrong = _others(thing.text, near, [*far[start % len(far) :], *far[: start % len(far)]])
        if phrase := scene.phrase(thing):
            yield Item("letters", f"What letters are printed on the {phrase}?", thing.text, wrong)
        for two_steps, other in related(scene):
            if other is thing:
                question = f"What letters are printed on the {two_steps}?"
                yield Item("letters", question, thing.text, wrong, deep=True)


def boxes(scene: Scene, words: Words) -> Iterator[Item]:
    """Where a thing is, as a box."""
    near = [t.box_text() for t in scene.things]
    for thing in scene.things:
        if phrase := scene.phrase(thing):
            answer = thing.box_text()
            yield Item("box", f"Where is the {phrase}?", answer, _others(answer, near))


# --------------------------------------------------------------------------------------------------- questions with Yes and No


def _yes(kind: str, question: str, truth: bool, *, deep: bool = True) -> Item:
    return Item(kind, question, "Yes" if truth else "No", deep=deep)


def existence(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether a thing of a colour and label is there; absent ones share their colour or their label with one that is."""
    present = {(t.color, t.label) for t in scene.things}
    for color in words.colors:
        for label in words.labels:
            if color in scene.colors() or label in scene.labels():
                there = (color, label) in present
                yield _yes("existence", f"Is there {a(f'{color} {label}')} in the image?", there, deep=False)


def true_colors(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether a thing has a colour."""
    for thing in scene.things:
        if thing.color and (phrase := scene.phrase(thing, without="color")):
            for color in (thing.color, *_others(thing.color, scene.colors(), words.colors)[:2]):
                question = f"Is it true that the color of the {phrase} is {color}?"
                yield _yes("color", question, color == thing.color)


def true_counts(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether there are so many of a label."""
    for label in scene.labels():
        number = len(scene.of_label(label))
        for asked in (str(number), *_numbers(number)[:2]):
            question = f"Is it true that the number of {many(label)} is {asked}?"
            yield _yes("count", question, asked == str(number))


def true_letters(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether these letters are printed on a thing."""
    for item in letters(scene, words):
        on = item.question.removeprefix("What letters are printed on ").removesuffix("?")
        for asked in (item.answer, *item.wrong[:2]):
            yield _yes("letters", f"Is it true that the letters on {on} are {asked}?", asked == item.answer)


def sides(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether a thing lies on a side of another."""
    for thing, anchor in permutations(scene.things, 2):
        first, second = scene.phrase(thing), scene.phrase(anchor)
        if first and second:
            for side in SIDES:
                if (truth := scene.beside(thing, side, anchor)) is not None:
                    yield _yes("side", f"Is the {first} {side} the {second}?", truth)


def sizes(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether a thing is larger or smaller than another."""
    for one, other in permutations(scene.things, 2):
        first, second = scene.phrase(one), scene.phrase(other)
        small, large = sorted((one.area, other.area))
        if first and second and large >= RATIO * small:
            for word in ("larger", "smaller"):
                truth = (one.area == large) == (word == "larger")
                yield _yes("size", f"Is the {first} {word} than the {second}?", truth)


def same_color(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether two things have one colour."""
    for one, other in permutations(scene.things, 2):
        first, second = scene.phrase(one, without="color"), scene.phrase(other, without="color")
        if first and second and one.color and other.color:
            yield _yes("same", f"Does the {first} have the same color as the {second}?", one.color == other.color)


def more(scene: Scene, words: Words) -> Iterator[Item]:
    """Whether there are more of one label than of another."""
    for first, second in permutations(words.labels, 2):
        n, m = len(scene.of_label(first)), len(scene.of_label(second))
        if n or m:
            yield _yes("more", f"Are there more {many(first)} than {many(second)}?", n > m)
            yield _yes("more", f"Are there fewer {many(first)} than {many(second)}?", n < m)
