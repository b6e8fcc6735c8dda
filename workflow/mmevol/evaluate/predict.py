"""Predicting: one job loads a model once and answers all benchmarks of an arm, or a part of their rows.

Answers are kept in journals beside the result files as they come, so a job that was killed goes on where it stopped; the journal
of another model, or of other settings, is not used.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from mmevol.config import Run
from mmevol.config.commands import PredictSettings
from mmevol.evaluate.benchmarks import Row, rows
from mmevol.evaluate.scoring.inputs import COLUMNS
from mmevol.evaluate.tables import table_digest
from mmevol.progress import Heartbeat
from mmevol.records import digest
from mmevol.store import file_digest, write_json, write_text

Question = tuple[list[Image.Image], str]
"""Pictures (one or none) and the text."""

Answer = Callable[[Sequence[Question]], list[str]]
"""Whatever answers: a model on this machine here; an endpoint would do."""

CHUNK = 4
"""Batches between two entries in the journal."""
GREY = (127, 127, 127)


Answers = dict[str, dict[str, str]]
"""By benchmark and key of the row."""


def predict(settings: PredictSettings, *, run: Run, model: Path, data: Path, out: Path) -> None:
    """Answer every benchmark below `data` with the model in the folder `model`.

    Writes ``<benchmark>/predictions.jsonl`` below `out`, each in its benchmark's own form. Raises `BadInput` for broken files.
    """
    asked = questions(settings, data)
    job = f"predict/{out.parent.name}/{out.name}"
    written(asked, answered(settings, asked, run=run, model=model, data=data, journals=out, job=job), out)
    for name in asked:
        journal(out / name).unlink(missing_ok=True)


def predict_part(
    settings: PredictSettings, *, run: Run, model: Path, data: Path, part: int, parts: int, out: Path
) -> None:
    """Answer every `parts`-th row of all benchmarks, from row number `part` on, into ``parts/<part>.json`` below `out`."""
    rows_of = questions(settings, data)
    numbered = enumerate((name, row) for name, own in rows_of.items() for row in own)
    asked: dict[str, list[Row]] = {name: [] for name in rows_of}
    for number, (name, row) in numbered:
        if number % parts == part:
            asked[name].append(row)
    journals, job = out / "parts" / f".{part}", f"predict/{out.parent.name}/{out.name}/{part}"
    found = answered(settings, asked, run=run, model=model, data=data, journals=journals, job=job)
    write_json(out / "parts" / f"{part}.json", found)
    shutil.rmtree(journals)


def gather(settings: PredictSettings, *, data: Path, parts: list[Path], out: Path) -> None:
    """Put the parts together that `predict_part` wrote, into what `predict` writes."""
    found: Answers = {name: {} for name in settings.benchmarks}
    for part in parts:
        for name, texts in json.loads(part.read_text()).items():
            found[name] |= texts
    written(questions(settings, data), found, out)


def questions(settings: PredictSettings, data: Path) -> dict[str, list[Row]]:
    """The rows of every benchmark. Raises `BadInput` for broken files."""
    return {
        name: list(rows(name, data / name, settings.prompts, textual=settings.textual)) for name in settings.benchmarks
    }


def written(asked: dict[str, list[Row]], found: Answers, out: Path) -> None:
    """Write the answers to all rows, each benchmark in its own form."""
    for name, own in asked.items():
        lines = (json.dumps(row.result(found[name][row.key]), ensure_ascii=False) for row in own)
        write_text(out / name / "predictions.jsonl", "".join(line + "\n" for line in lines))


def answered(
    settings: PredictSettings,
    asked: dict[str, list[Row]],
    *,
    run: Run,
    model: Path,
    data: Path,
    journals: Path,
    job: str,
) -> Answers:
    """The model's answers to rows; what the `journals` hold of the same model, settings and data is not asked again."""
    from mmevol.train import generate

    loaded, processor = generate.load(model, threads=settings.threads)
    answer = partial(generate.answer, loaded, processor, max_new_tokens=settings.max_new_tokens, batch=settings.batch)
    identity = digest(file_digest(model / "manifest.json"), settings.dump())
    found: Answers = {}
    with Heartbeat(run, job=job, total=sum(map(len, asked.values())), unit="rows") as beat:
        for name, own in asked.items():
            beams = settings.beams if name in COLUMNS else 1
            table, other = data / name / "data.tsv", data / name / "questions.json"
            of = digest(identity, table_digest(table) if name in COLUMNS else file_digest(other))
            found[name] = answers(own, partial(answer, beams=beams), journals / name, of, settings, beat)
    return found


def journal(folder: Path) -> Path:
    """Where answers are kept until the result file is whole."""
    return folder / ".answers.jsonl"


def answers(
    questions: Sequence[Row], answer: Answer, folder: Path, identity: str, settings: PredictSettings, beat: Heartbeat
) -> dict[str, str]:
    """Answer the questions that the journal of this `identity` does not hold. Returns all answers by key."""
    folder.mkdir(parents=True, exist_ok=True)
    known = dict(read_journal(journal(folder), identity))
    beat.advance(sum(question.key in known for question in questions))
    lines = (json.dumps(entry) for entry in (identity, *known.items()))
    write_text(journal(folder), "".join(line + "\n" for line in lines))  # without a line that broke off
    with open(journal(folder), "a", encoding="utf-8") as file:
        open_ones = [question for question in questions if question.key not in known]
        step = settings.batch * CHUNK
        for start in range(0, len(open_ones), step):
            chunk = open_ones[start : start + step]
            said = answer([(shown(question, blind=settings.blind), question.text) for question in chunk])
            for question, text in zip(chunk, said, strict=True):
                known[question.key] = text
                file.write(json.dumps([question.key, text]) + "\n")
            file.flush()
            beat.advance(len(chunk), benchmark=folder.name)
    return known


def read_journal(path: Path, identity: str) -> Iterator[tuple[str, str]]:
    """The answers of a journal that was begun by the same model and settings; its last line may have broken off."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines[0] != json.dumps(identity):
        return
    for line in lines[1:-1]:
        key, text = json.loads(line)
        yield key, text


def shown(question: Row, *, blind: bool) -> list[Image.Image]:
    """The picture of a row as the model sees it: none where there is none; with `blind` grey, in its size."""
    picture = question.picture()
    if picture is None:
        return []
    return [Image.new("RGB", picture.size, GREY) if blind else picture]
