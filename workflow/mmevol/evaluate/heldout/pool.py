"""Choosing: which scenes and questions a benchmark is made of, all drawn from hashes, with balanced answers."""

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mmevol.evaluate.heldout.questions import Item, Words
from mmevol.evaluate.heldout.scene import Scene
from mmevol.records import BadInput, fraction

LETTERS = "ABCDEFGHI"
T = TypeVar("T")
Asks = Callable[[Scene, Words], Iterator[Item]]


def apart(item: Item) -> tuple[str, ...]:
    """The item's wrong answers none of which is a part of another, or of the right one: a reply in words then tells which."""
    kept = [item.answer.lower()]
    for text in item.wrong:
        if not any(text.lower() in other or other in text.lower() for other in kept):
            kept.append(text.lower())
    return tuple(text for text in item.wrong if text.lower() in kept[1:])


@dataclass(frozen=True)
class Choice:
    """An item as a question with options; ``letter`` names the right one."""

    question: str
    options: tuple[str, ...]
    letter: str

    def columns(self, width: int = 4) -> dict[str, str]:
        """Question, options (columns A …, `width` of them) and answer of a table's row."""
        filled = dict(zip(LETTERS, self.options, strict=False))
        return {"question": self.question} | {k: filled.get(k, "") for k in LETTERS[:width]} | {"answer": self.letter}


@dataclass
class Pool:
    """The held-out scenes from which benchmark `name` takes `n` rows. ``root``: folder of their pictures."""

    seed: int
    name: str
    n: int
    scenes: Sequence[Scene]
    root: Path
    words: Words = field(init=False)
    _used: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.words = Words.of(self.scenes)

    def u(self, *key: str | int) -> float:
        """A draw of this benchmark, 0 to 1."""
        return fraction(self.seed, "heldout", self.name, *key)

    def shuffled(self, *key: str | int) -> list[Scene]:
        """The scenes in an order of this benchmark's own."""
        return sorted(self.scenes, key=lambda scene: self.u(*key, scene.key))

    def one(self, values: Sequence[Any], *key: str | int) -> Any:
        """One of the values."""
        return values[int(self.u(*key) * len(values))]

    def take(
        self, count: int, part: str, offers: Callable[[Scene, int], list[T]], text: Callable[[T], str]
    ) -> list[tuple[Scene, T]]:
        """`count` pairs of a scene and one of what it offers for the next row, no `text` twice for a scene.

        Goes through the scenes in an order of its own, again and again while there is anything new. Raises `BadInput` where
        the held-out scenes offer too little.
        """
        taken: list[tuple[Scene, T]] = []
        order, idle = self.shuffled(part), 0
        while len(taken) < count and idle < len(order):
            scene = order.pop(0)
            order.append(scene)
            fresh = [o for o in offers(scene, len(taken)) if (scene.key, text(o)) not in self._used]
            if not fresh:
                idle += 1
                continue
            idle = 0
            chosen = self.one(fresh, part, len(taken), scene.key)
            self._used.add((scene.key, text(chosen)))
            taken.append((scene, chosen))
        if len(taken) < count:
            raise BadInput(
                file="study",
                field=f"evaluate.benchmarks.{self.name}.n",
                found=f"{self.n} rows, but {len(self.scenes)} held-out scenes offer only {len(taken)} of {count} for {part}",
                expected="no more rows than the held-out scenes can give",
                remedy="lower n, or raise seeds.images or seeds.heldout",
            )
        return taken

    def items(
        self, count: int, part: str, *asks: Asks, wrong: int = 0, where: Callable[[Item], bool] = bool
    ) -> list[tuple[Scene, Item]]:
        """`count` questions of these kinds in turn, each with at least `wrong` wrong answers and passing `where`."""

        def offers(scene: Scene, row: int) -> list[Item]:
            return [i for i in asks[row % len(asks)](scene, self.words) if len(apart(i)) >= wrong and where(i)]

        return self.take(count, part, offers, lambda item: item.question)

    def yes_no(self, count: int, part: str, *asks: Asks) -> list[tuple[Scene, Item]]:
        """`count` questions of these kinds in turn, answered by Yes and No alternately."""

        def offers(scene: Scene, row: int) -> list[Item]:
            wanted = ("Yes", "No")[row % 2]
            return [i for i in asks[row // 2 % len(asks)](scene, self.words) if i.answer == wanted]

        return self.take(count, part, offers, lambda item: item.question)

    def choice(self, scene: Scene, item: Item, row: int, options: int = 4) -> Choice:
        """The item with up to `options` options, the right one at each place in turn, the others in any order."""
        wrong = list(apart(item)[: options - 1])
        wrong.sort(key=lambda text: self.u("options", scene.key, item.question, text))
        place = row % (len(wrong) + 1)
        texts = (*wrong[:place], item.answer, *wrong[place:])
        return Choice(item.question, texts, LETTERS[place])

    def spread(self, parts: int, unit: int = 1) -> list[int]:
        """The `n` rows over so many parts, in whole units (rows that belong together), as evenly as they go.

        Raises `BadInput` where a part would be empty: the official scores want each.
        """
        units = self.n // unit
        if units < parts:
            raise BadInput(
                file="study",
                field=f"evaluate.benchmarks.{self.name}.n",
                found=str(self.n),
                expected=f"at least {parts * unit}: {parts} parts of {unit} rows",
                remedy="raise n",
            )
        return [units // parts + (part < units % parts) for part in range(parts)]

    def picture(self, scene: Scene) -> bytes:
        """The bytes of a scene's picture file."""
        return (self.root / scene.image).read_bytes()

    def base64(self, scene: Scene) -> str:
        """A scene's picture as an image cell holds it."""
        return encoded(self.picture(scene))


def encoded(data: bytes) -> str:
    """Bytes in base64, as text."""
    return base64.b64encode(data).decode("ascii")
