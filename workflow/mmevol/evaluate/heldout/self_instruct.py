"""MMSInst: a scene read as a chart, table, dashboard, flowchart, organisation, floor plan, puzzle and map."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mmevol.evaluate.heldout import questions as ask
from mmevol.evaluate.heldout.pool import Asks, Pool
from mmevol.evaluate.heldout.questions import Item, Words, many
from mmevol.evaluate.heldout.scene import Scene
from mmevol.evaluate.heldout.table import Files

SUMMARY_EVERY = 8
"""One row in so many of a source asks for a summary, which the official score leaves out."""


def _cells(scene: Scene, words: Words) -> Iterator[Item]:
    """What stands in a cell of the 4 x 4 table."""
    for thing in scene.things:
        row, column = thing.cell
        if sum(t.cell == thing.cell for t in scene.things) == 1:
            yield Item("cell", f"What is in row {row} and column {column} of the image?", f"the {thing.name}")


def _displays(scene: Scene, words: Words) -> Iterator[Item]:
    """Letters, two at least, for one alone is found in almost any reply; else how many things have any."""
    pairs = [item for item in ask.letters(scene, words) if len(item.answer) > 1]
    lettered = sum(bool(t.text) for t in scene.things)
    yield from pairs or [Item("displays", "On how many objects are letters printed?", str(lettered))]


def _beside(*sides: str) -> Asks:
    """What lies on one of these sides of a thing."""
    return lambda scene, words: (
        i for i in ask.names(scene, words) if i.question.startswith(tuple(f"What is {s}" for s in sides))
    )


def _parts(scene: Scene, words: Words) -> Iterator[Item]:
    """In which part of the plan a thing is."""
    for thing in scene.things:
        if phrase := scene.phrase(thing):
            yield Item("place", f"In which part of the image is the {phrase}?", thing.place)


def _puzzle(scene: Scene, words: Words) -> Iterator[Item]:
    """A colour or a count with four answers to choose from, named a to d."""
    for item in (*ask.colors(scene, words), *ask.counts(scene, words)):
        if len(item.wrong) >= 3:
            yield item


def _markers(scene: Scene) -> dict[str, list[str]]:
    """The cells of each label's things: row letter and column digit."""
    return {
        label: sorted("ABCD"[t.cell[0] - 1] + str(t.cell[1]) for t in scene.of_label(label)) for label in scene.labels()
    }


def _route(scene: Scene, words: Words) -> Iterator[Item]:
    """Which cells of the map hold the things of a label."""
    for label, cells in _markers(scene).items():
        text = f"Rows are A to D from the top, columns 1 to 4 from the left. In which cells are the {many(label)}?"
        yield Item("route", text, ", ".join(cells))


@dataclass(frozen=True)
class Source:
    """What a source asks, and the official type of its questions."""

    asks: Callable[[Scene, Words], Iterator[Item]]
    type: str


SOURCES = {
    "chart": Source(ask.counts, "DATA_EXTRACTION"),
    "table": Source(_cells, "DATA_EXTRACTION"),
    "dashboard": Source(_displays, "OCR"),
    "flowchart": Source(_beside("to the left of", "to the right of"), "REASONING"),
    "org": Source(_beside("above", "below"), "STRUCTURAL"),
    "layout": Source(_parts, "STRUCTURAL"),
    "iq": Source(_puzzle, "REASONING"),
    "maze": Source(_route, "PLANNING"),
}


def _summaries(scene: Scene, words: Words) -> Iterator[Item]:
    yield Item("summary", "Describe the image.", scene.caption)


def self_instruct(pool: Pool) -> Files:
    """The eight sources, with marker lists for the map and all nouns for the unit stripper."""
    rows: list[dict[str, Any]] = []
    files: Files = {}
    for (name, source), count in zip(SOURCES.items(), pool.spread(len(SOURCES)), strict=True):
        for number in range(count):
            summary = name != "maze" and number % SUMMARY_EVERY == SUMMARY_EVERY - 1
            ((scene, item),) = pool.items(1, f"{name} {number}", _summaries if summary else source.asks)
            question, answer = item.question, item.answer
            if name == "iq" and not summary:
                chosen = pool.choice(scene, item, number)
                answer = chosen.letter.lower()
                options = "".join(f"\n{letter}. {text}" for letter, text in zip("abcd", chosen.options, strict=True))
                question = f"{question}{options}\nAnswer with the option's letter."
            key = len(rows) + 1
            files[f"images/{key:06d}.png"] = pool.picture(scene)
            rows.append(
                {"question_id": key, "image": f"images/{key:06d}.png", "question": question, "answer": answer}
                | {"type": "SUMMARY" if summary else source.type, "source": name}
                | {"markers": answer.split(", ") if name == "maze" else []}
            )
    maze = [{"question_id": r["question_id"], "markers": r["markers"]} for r in rows if r["source"] == "maze"]
    nouns = ["object", "objects", "letter", "letters"]
    nouns += [form for label in pool.words.labels for form in (label, many(label))]
    return files | {
        "questions.json": json.dumps(rows),
        "maze_data.jsonl": "".join(json.dumps(row) + "\n" for row in maze),
        "nlp_map.json": json.dumps({"nouns": nouns}),
    }
