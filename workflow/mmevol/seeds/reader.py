"""Reading seed records: the reference's format and plain LLaVA, from JSON, JSONL or Parquet.

Reference format: ``id``, ``image``, ``hash_id``, ``caption`` (two LLaVA turns, the second counts; a plain string does too),
``det`` (``label``, ``bbox``), ``conversations_v0`` (Q&A with steps), ``topic_name``, ``width``, ``height``. Ours besides:
``attributes`` in ``det`` and ``source``, ``licence``, ``attribution``. Plain LLaVA: ``id``, ``image``, ``conversations`` of human
and gpt turns.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmevol.records import QA, BadInput, Object, SeedRecord

CHUNK = 1 << 20
KNOWN = {
    *("id", "image", "hash_id", "width", "height", "caption", "det", "topic_name"),
    *("conversations_v0", "conversations", "source", "licence", "attribution"),
}
"""The fields that are read; the audit counts the others as ignored."""
Raw = dict[str, Any]


def read(path: Path) -> Iterator[tuple[int, Raw]]:
    """Stream the raw records of a file with their numbers, from 1; memory holds one record at a time.

    The suffix decides: ``.parquet``, ``.jsonl`` (one record a line), else a JSON list. Raises `BadInput` for a file that is
    missing or breaks off, and for an entry that is not an object.
    """
    if not path.is_file():
        raise BadInput(
            file=str(path),
            field="seeds.source",
            found="no such file",
            expected="a JSON, JSONL or Parquet file of seed records",
            remedy="correct the path in the study file",
        )
    if path.suffix == ".parquet":
        from mmevol.store import read_dicts

        values: Iterator[Any] = read_dicts(path)
    else:
        values = _lines(path) if path.suffix == ".jsonl" else _elements(path)
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise _broken(
                f"{path}:{number}",
                f"{type(value).__name__} {str(value)[:60]!r}",
                "a record, {…}",
            )
        yield number, value


def _broken(where: str, found: str, expected: str) -> BadInput:
    return BadInput(
        file=where,
        field="(record)",
        found=found,
        expected=expected,
        remedy="repair the file",
    )


def _lines(path: Path) -> Iterator[Any]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise _broken(f"{path}:{number}", f"{error}", "one JSON object a line") from error


def _elements(path: Path) -> Iterator[Any]:
    """The elements of a JSON list, decoded one by one from a window that grows only as far as the longest of them."""
    decoder, between = json.JSONDecoder(), re.compile(r"[\s,]*")
    with open(path, encoding="utf-8-sig") as file:
        window = file.read(CHUNK).lstrip()
        if not window.startswith("["):
            raise _broken(str(path), repr(window[:40]), "a JSON list of records, [{…}, …]")
        at, count = 1, 0
        while True:
            at = between.match(window, at).end()  # type: ignore[union-attr]
            if window[at : at + 1] == "]":
                return
            try:
                value, end = decoder.raw_decode(window, at)
            except json.JSONDecodeError as error:
                more = file.read(max(CHUNK, len(window) - at))
                if not more:
                    raise _broken(f"{path}:{count + 1}", str(error), "a whole JSON list") from error
                window, at = window[at:] + more, 0
                continue
            if end == len(window) and not isinstance(value, dict):  # a number may go on in the next chunk
                window, at = window[at:] + (file.read(CHUNK) or "]"), 0
                continue
            count, at = count + 1, end
            yield value


def key(raw: Raw) -> str:
    """A record's key: ``hash_id`` where given, else ``id``; '' where both are missing."""
    return str(raw.get("hash_id") or raw.get("id") or "")


def record(raw: Raw, where: str, licence: str | None = None) -> SeedRecord:
    """A raw record as a `SeedRecord`; its picture has not been looked at (no ``image_digest``).

    `where` names file and record in messages; `licence` is for records that name none. Raises `BadInput` for a field of the
    wrong shape, boxes outside 0..1 or upside down, a missing key, a record with neither Q&A nor caption, and one of a smoke study.
    """
    if raw.get("smoke"):
        raise BadInput(
            file=where,
            field="smoke",
            found="a sample that a smoke study made",
            expected="records that are meant as data",
            remedy="take other seeds; smoke data are never mixed",
        )
    name = key(raw)
    if not name:
        raise BadInput(
            file=where,
            field="id",
            found="nothing",
            expected="an id or a hash_id",
            remedy="give every record an id",
        )
    qas, caption = _qas(raw, where), _caption(raw, where)
    if not qas and not caption:
        raise BadInput(
            file=where,
            field="conversations_v0, caption",
            found="neither Q&A nor caption",
            expected="at least one Q&A or a caption",
            remedy="add one or remove the record",
        )
    topics = raw.get("topic_name") or []
    try:
        return SeedRecord(
            key=name,
            id=str(raw.get("id") or name),
            image=raw.get("image") or None,
            image_digest=None,
            width=raw.get("width"),
            height=raw.get("height"),
            caption=caption,
            objects=_objects(raw, where),
            qas=qas,
            source=raw.get("source") or "",
            licence=raw.get("licence") or licence or "unknown",
            attribution=raw.get("attribution") or "",
            topics=[topics] if isinstance(topics, str) else topics,
        )
    except ValidationError as error:
        raise _invalid(error, where, "") from error


def _invalid(error: ValidationError, where: str, prefix: str) -> BadInput:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return BadInput(
        file=where,
        field=f"{prefix}.{field}".strip("."),
        found=repr(first["input"])[:80],
        expected=first["msg"].removeprefix("Value error, "),
        remedy="correct the record",
    )


def _list(raw: Raw, field: str, where: str) -> list[Any]:
    value = raw.get(field)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadInput(
            file=where,
            field=field,
            found=repr(value)[:80],
            expected="a list",
            remedy="correct the record",
        )
    return value


def _objects(raw: Raw, where: str) -> list[Object]:
    objects = []
    for number, entry in enumerate(_list(raw, "det", where)):
        if isinstance(entry, dict) and "attributes" in entry:  # Parquet: pairs, or None for what only others have
            known = {k: v for k, v in dict(entry["attributes"] or {}).items() if v is not None}
            entry = entry | {"attributes": known}
        try:
            objects.append(Object.model_validate(entry))
        except ValidationError as error:
            raise _invalid(error, where, f"det[{number}]") from error
    return objects


def _turns(raw: Raw, field: str, where: str) -> list[tuple[str, str]]:
    """LLaVA turns as (question, answer) pairs, without ``<image>``."""
    turns = _list(raw, field, where)
    speakers = [t.get("from") if isinstance(t, dict) else None for t in turns]
    texts = [t.get("value") if isinstance(t, dict) else None for t in turns]
    if speakers != ["human", "gpt"] * (len(turns) // 2) or not all(isinstance(text, str) for text in texts):
        raise BadInput(
            file=where,
            field=field,
            found=f"turns of {speakers}",
            expected='turns {"from", "value"} of human and gpt in turn, human first',
            remedy="correct the record",
        )
    plain = [str(text).replace("<image>", "").strip() for text in texts]
    return list(zip(plain[::2], plain[1::2], strict=True))


def _caption(raw: Raw, where: str) -> str:
    if isinstance(raw.get("caption"), str):
        return str(raw["caption"]).strip()
    pairs = _turns(raw, "caption", where)
    return pairs[0][1] if pairs else ""


def _qas(raw: Raw, where: str) -> list[QA]:
    if "conversations_v0" in raw:
        field, entries = "conversations_v0", _list(raw, "conversations_v0", where)
    else:
        field = "conversations"
        entries = [{"question": q, "answer": a} for q, a in _turns(raw, "conversations", where)]
    qas = []
    for number, entry in enumerate(entries):
        known = {k: v for k, v in entry.items() if k in QA.model_fields} if isinstance(entry, dict) else entry
        try:
            qas.append(QA.model_validate(known))
        except ValidationError as error:
            raise _invalid(error, where, f"{field}[{number}]") from error
    return qas
