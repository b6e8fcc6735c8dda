"""Predicting with a model on this machine: one job loads it once and answers all benchmarks of an arm, or a part of their rows.

Every model, wherever it is, gets the same rows (`questions`) and leaves the same file (`write_answers`): `asking` does so for
endpoints, `elsewhere` for answers that are there already.

Answers are kept in journals beside the result files as they come, so a job that was killed goes on where it stopped; the journal
of another model, or of other settings, is not used.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from mmevol.config import Run
from mmevol.config.commands import PredictSettings
from mmevol.evaluate.benchmarks import Row, rows
from mmevol.evaluate.prompts import tokens
from mmevol.evaluate.scoring.inputs import COLUMNS
from mmevol.evaluate.tables import table_digest
from mmevol.progress import Heartbeat
from mmevol.records import BadInput, digest
from mmevol.store import file_digest, write_json, write_text

Answer = Callable[[Sequence[Row]], list[str]]
"""A model on this machine, ready for a benchmark."""

Answers = dict[str, dict[str, str]]
"""By benchmark and key of the row."""

CHUNK = 4
"""Batches between two entries in the journal."""


def predict(settings: PredictSettings, *, run: Run, model: Path, data: Path, out: Path) -> None:
    """Answer every benchmark below `data` with the model in the folder `model`.

    Writes ``<benchmark>/predictions.jsonl`` below `out`, each in its benchmark's own form. Raises `BadInput` for broken files.
    """
    local = Local(settings, model)
    asked = questions(settings, data, local.chat)
    written(asked, local.answered(asked, run=run, data=data, journals=out, job=job_name(out)), out)
    for name in asked:
        journal(out / name).unlink(missing_ok=True)


def predict_part(
    settings: PredictSettings, *, run: Run, model: Path, data: Path, part: int, parts: int, out: Path
) -> None:
    """Answer every `parts`-th row of all benchmarks, from row number `part` on, into ``parts/<part>.json`` below `out`."""
    local = Local(settings, model)
    rows_of = questions(settings, data, local.chat)
    numbered = enumerate((name, row) for name, own in rows_of.items() for row in own)
    asked: dict[str, list[Row]] = {name: [] for name in rows_of}
    for number, (name, row) in numbered:
        if number % parts == part:
            asked[name].append(row)
    journals = out / "parts" / f".{part}"
    found = local.answered(asked, run=run, data=data, journals=journals, job=f"{job_name(out)}/{part}")
    write_json(out / "parts" / f"{part}.json", found)
    shutil.rmtree(journals)


def gather(settings: PredictSettings, *, data: Path, parts: list[Path], out: Path) -> None:
    """Put the parts together that `predict_part` wrote, into what `predict` writes. Raises `BadInput` where rows are missing."""
    found: Answers = {name: {} for name in settings.benchmarks}
    for part in parts:
        try:
            for name, texts in json.loads(part.read_text(encoding="utf-8")).items():
                found[name] |= texts
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            raise _bad_part(part, "(file)", str(error)) from error
    asked = questions(settings, data)
    for name, own in asked.items():
        if missing := [row.key for row in own if row.key not in found[name]]:
            raise _bad_part(out, name, f"no answer to {len(missing)} of {len(own)} rows: {', '.join(missing[:5])}")
    written(asked, found, out)


def _bad_part(file: Path, field: str, found: str) -> BadInput:
    return BadInput(
        file=str(file),
        field=field,
        found=found,
        expected="all files parts/<i>.json of one study",
        remedy="name each with --part, or predict the part again",
    )


class Local:
    """A model on this machine, trained here or any of transformers. ``chat``: the layout in which the reference words questions."""

    def __init__(self, settings: PredictSettings, folder: Path) -> None:
        from mmevol.train import generate

        self.settings = settings
        self.model, self.processor = generate.load(folder, threads=settings.threads, grid=settings.grid)
        self.chat = generate.layout(self.processor) if settings.prompts == "reference" else ""
        self.identity = digest(model_digest(folder), settings.dump())

    def answer(self, name: str, chunk: Sequence[Row]) -> list[str]:
        """The answers to some rows of a benchmark."""
        from mmevol.train import generate
        from mmevol.train.tokenizer import REFERENCE_CHATS

        s = self.settings
        pictures = [row.shown(blind=s.blind) for row in chunk]
        return generate.answer(
            self.model,
            self.processor,
            [generate.Item([p] if p else [], r.text, r.system) for p, r in zip(pictures, chunk, strict=True)],
            max_new_tokens=s.max_new_tokens or tokens(name),
            batch=s.batch,
            beams=s.beams if name in COLUMNS else 1,
            chat=REFERENCE_CHATS.get(self.chat),
        )

    def answered(self, asked: dict[str, list[Row]], *, run: Run, data: Path, journals: Path, job: str) -> Answers:
        """The answers to rows; what the `journals` hold of the same model, settings and data is not asked again."""
        found: Answers = {}
        with Heartbeat(run, job=job, total=sum(map(len, asked.values())), unit="rows") as beat:
            for name, own in asked.items():
                of = digest(self.identity, benchmark_digest(name, data / name))
                found[name] = answers(own, partial(self.answer, name), journals / name, of, self.settings, beat)
        return found


def job_name(out: Path) -> str:
    """What a job that answers into `out`, ``<arm>/seed_<k>``, is called in the progress."""
    return f"predict/{out.parent.name}/{out.name}"


def model_digest(folder: Path) -> str:
    """Of a model trained here its manifest's; of another that of all its files."""
    if (manifest := folder / "manifest.json").exists():
        return file_digest(manifest)
    return digest(*(part for f in sorted(folder.iterdir()) if f.is_file() for part in (f.name, file_digest(f))))


def benchmark_digest(name: str, folder: Path) -> str:
    """Of the file that holds a benchmark's questions."""
    return table_digest(folder / "data.tsv") if name in COLUMNS else file_digest(folder / "questions.json")


def questions(settings: PredictSettings, data: Path, chat: str = "") -> dict[str, list[Row]]:
    """The rows of every benchmark, worded for a model of the layout `chat`. Raises `BadInput` for broken files."""
    return {
        name: list(rows(name, data / name, settings.prompts, textual=settings.textual, chat=chat))
        for name in settings.benchmarks
    }


def written(asked: dict[str, list[Row]], found: Answers, out: Path) -> None:
    """Write the answers to all rows, each benchmark in its own form."""
    for name, own in asked.items():
        write_answers(out / name, own, found[name])


def write_answers(folder: Path, asked: Sequence[Row], answered: Mapping[str, str]) -> None:
    """Write ``predictions.jsonl`` of a benchmark: a line a row, in the form that its official scorer reads."""
    lines = (json.dumps(row.result(answered[row.key]), ensure_ascii=False) for row in asked)
    write_text(folder / "predictions.jsonl", "".join(line + "\n" for line in lines))


def journal(folder: Path) -> Path:
    """Where answers are kept until the result file is whole."""
    return folder / ".answers.jsonl"


def answers(
    asked: Sequence[Row], answer: Answer, folder: Path, identity: str, settings: PredictSettings, beat: Heartbeat
) -> dict[str, str]:
    """Answer the questions that the journal of this `identity` does not hold. Returns all answers by key.

    Questions of about one length are answered together, over the whole benchmark. What shares a batch does not depend on what a
    killed job had answered: it is asked again whole, or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = dict(read_journal(journal(folder), identity))
    beat.advance(sum(row.key in known for row in asked))
    lines = (json.dumps(entry) for entry in (identity, *known.items()))
    write_text(journal(folder), "".join(line + "\n" for line in lines))  # without a line that broke off
    step = settings.batch * CHUNK
    order = sorted(asked, key=lambda row: (bool(row.pictures), len(row.system) + len(row.text)))
    with open(journal(folder), "a", encoding="utf-8") as file:
        for chunk in (order[start : start + step] for start in range(0, len(order), step)):
            if all(row.key in known for row in chunk):
                continue
            again = sum(row.key in known for row in chunk)
            for row, text in zip(chunk, answer(chunk), strict=True):
                known[row.key] = text
                file.write(json.dumps([row.key, text]) + "\n")
            file.flush()
            beat.advance(len(chunk) - again, benchmark=folder.name)
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
