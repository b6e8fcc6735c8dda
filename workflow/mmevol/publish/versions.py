"""What the figures count in an evolved dataset, streaming: only counters are held."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from mmevol.store import read_dicts

SEED, EVOLVED = "seed", "evolved"


@dataclass
class Lengths:
    """How many Q&A have so many of something, by side (``seed``, ``evolved``: the survivors of all rounds)."""

    counts: dict[str, Counter[int]] = field(default_factory=lambda: {SEED: Counter(), EVOLVED: Counter()})

    def mean(self, side: str) -> float | None:
        """Mean number, None of no Q&A."""
        counts = self.counts[side]
        return sum(n * k for n, k in counts.items()) / counts.total() if counts else None


def sides(dataset: Path, columns: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Q&A of ``evolved.parquet`` that is in use, with its side."""
    for row in read_dicts(dataset, ["outcome", *columns]):
        if row["outcome"] in ("seed", "survived"):
            yield (SEED if row["outcome"] == "seed" else EVOLVED), row


def lengths(dataset: Path, column: str) -> Lengths:
    """How long the lists of a column (``skills``, ``steps``) are."""
    found = Lengths()
    for side, row in sides(dataset, [column]):
        found.counts[side][len(row[column])] += 1
    return found


def singular(word: str) -> str:
    """A word without a plural s."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def named(text: str, vocabulary: set[tuple[str, ...]], longest: int) -> set[str]:
    """The names of a vocabulary (as tuples of singular words) that stand in a text, whole words only."""
    words = [singular(word) for word in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text.lower())]
    spans = (tuple(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1))
    return {" ".join(span) for span in spans if span in vocabulary}


def _listed(row: dict[str, Any]) -> set[str]:
    return {" ".join(singular(word) for word in name.lower().split()) for name in row["objects"]} - {""}


def objects(dataset: Path) -> dict[str, Counter[str]]:
    """In how many Q&A each object category occurs, by side: the Q&A lists it, or question or answer name it.

    Seeds of the LLaVA kind list no objects, so both sides are measured by their text too. The categories are those that any
    Q&A lists. Reads the dataset twice.
    """
    names = {name for _, row in sides(dataset, ["objects"]) for name in _listed(row)}
    vocabulary = {tuple(name.split()) for name in names}
    longest = max(map(len, vocabulary), default=0)
    found: dict[str, Counter[str]] = {SEED: Counter(), EVOLVED: Counter()}
    for side, row in sides(dataset, ["objects", "question", "answer"]):
        found[side].update(_listed(row) | named(f"{row['question']} {row['answer']}", vocabulary, longest))
    return found


def judged_difficulty(verdicts: list[dict[str, Any]]) -> float | None:
    """The difficulty that the judge gives; of two judges the first, whose verdicts stand first."""
    return next((v["value"] for v in verdicts if v["name"] == "difficulty"), None)


def difficulties(dataset: Path, judged: Iterable[Path]) -> dict[int, Counter[float]]:
    """How often each difficulty was given, by round: survivors of `dataset`, and for round 0 the seeds in `judged`
    (candidates of round 0)."""
    found: dict[int, Counter[float]] = {}
    seeds = chain.from_iterable(read_dicts(path, ["round", "verdicts"]) for path in judged)
    survivors = (row for side, row in sides(dataset, ["round", "verdicts"]) if side == EVOLVED)
    for row in chain(seeds, survivors):
        if (value := judged_difficulty(row["verdicts"])) is not None:
            found.setdefault(row["round"], Counter())[value] += 1
    return found
