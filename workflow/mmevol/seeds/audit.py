"""The audit: every record and every picture is looked at before anything is spent.

What passes is split by picture into train and held-out and written as ``audited/<shard>.parquet`` and ``heldout.parquet``, with
``audit.json`` last. Memory holds one shard at a time. Nothing is written where anything is wrong.
"""

import hashlib
import heapq
import io
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TextIO

from PIL import Image

from mmevol.config.commands import AuditSettings
from mmevol.records import BadInput, SeedRecord, digest, fraction
from mmevol.seeds import reader
from mmevol.store import order_of, rank_of, shard_of, write_json, write_rows

REPORTED = 20
"""Problems that are collected before the audit gives up."""
WINDOW = 256
"""Records whose pictures are opened together."""


class Problems:
    """What is wrong with the input so far; raises one `BadInput` for all of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, list[BadInput]()

    def add(self, problem: BadInput) -> None:
        """Note a problem; the twentieth ends the audit."""
        self.found.append(problem)
        if len(self.found) == REPORTED:
            self.stop()

    def stop(self) -> None:
        """Raise if there is any problem."""
        if len(self.found) <= 1:
            for problem in self.found:
                raise problem
            return
        listed = "".join(f"\n    {p.file}: {p.field}: {p.found}; expected {p.expected}; {p.remedy}" for p in self.found)
        first = "the first " if len(self.found) == REPORTED else ""
        raise BadInput(
            file=str(self.path),
            field=", ".join(sorted({p.field for p in self.found})),
            found=f"{first}{len(self.found)} problems:{listed}",
            expected="records that can all be used",
            remedy="as listed; pictures that do not open can be left out by seeds.bad_images: exclude",
        )


def split_of(record: SeedRecord, seed: int, heldout: float) -> Literal["train", "heldout"]:
    """The side of a record, drawn from its picture's content, so that the same picture is never on both."""
    return (
        "heldout" if fraction(seed, "split", record.image_digest or record.image or record.key) < heldout else "train"
    )


def open_picture(root: Path, image: str, where: str) -> tuple[str, int, int]:
    """sha256, width and height of a picture below `root`, decoded to its last pixel.

    Raises `BadInput` for a path that leads out of `root` (symlinks resolved) and `OSError` for one that does not open.
    """
    path = (root / image).resolve()
    if not path.is_relative_to(root.resolve()):
        raise BadInput(
            file=where,
            field="image",
            found=f"{image!r}, which is {path}",
            expected=f"a picture inside seeds.images_root ({root})",
            remedy="move the picture there, links resolved, or set seeds.images_root",
        )
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image_file:
            image_file.verify()
        with Image.open(io.BytesIO(data)) as image_file:
            image_file.load()
            width, height = image_file.size
    except (
        SyntaxError,
        ValueError,
        EOFError,
        Image.DecompressionBombError,
    ) as error:  # what broken files make Pillow raise
        raise OSError(f"{error}") from error
    return hashlib.sha256(data).hexdigest(), width, height


def taken(settings: AuditSettings, path: Path) -> Iterator[tuple[int, reader.Raw]]:
    """The raw records that the study takes: all, or `limit` of them in hash order."""
    limit, seed = settings.limit, settings.seed
    if limit is None:
        yield from reader.read(path)
        return
    ranks = (rank_of(seed, reader.key(raw)) for _, raw in reader.read(path))
    last = max(heapq.nsmallest(limit, ranks), default=0.0)
    yield from (pair for pair in reader.read(path) if rank_of(seed, reader.key(pair[1])) <= last)


def some(settings: AuditSettings, path: Path, root: Path | None, keys: Collection[str]) -> list[SeedRecord]:
    """The records of these keys as the whole audit would see them, in order; those that it would exclude are missing.

    Raises `BadInput` as the audit does.
    """
    auditor = _Auditor(settings, path, root, spool=Path(), only=keys)  # nothing is spooled
    found = [record for _, record in auditor.looked_at()]
    auditor.problems.stop()
    return sorted(found, key=lambda record: order_of(record.key))


class _Auditor:
    """One audit: its counts, its problems and the spool of what passed."""

    def __init__(
        self,
        settings: AuditSettings,
        path: Path,
        root: Path | None,
        spool: Path,
        only: Collection[str] | None = None,
    ) -> None:
        self.settings, self.path, self.root, self.spool, self.only = settings, path, root, spool, only
        self.problems, self.counts, self.excluded = (
            Problems(path),
            Counter[str](),
            list[dict[str, str]](),
        )
        self.by: dict[str, Counter[str]] = {
            "source": Counter(),
            "licence": Counter(),
            "ignored_fields": Counter(),
        }

    def kept(self) -> Iterator[tuple[int, reader.Raw]]:
        """The raw records that are looked at: those named, all, or `limit` of them in hash order."""
        if self.only is None:
            yield from taken(self.settings, self.path)
        else:
            yield from (pair for pair in reader.read(self.path) if reader.key(pair[1]) in self.only)

    def place(self, number: int, key: str) -> str:
        """How messages call a record."""
        return f"{self.path}:{number} ({key})"

    def parsed(self) -> Iterator[tuple[int, SeedRecord]]:
        """The records of the right shape; the others become problems."""
        for number, raw in self.kept():
            try:
                record = reader.record(raw, self.place(number, reader.key(raw)), self.settings.licence)
            except BadInput as problem:
                self.problems.add(problem)
                continue
            self.by["ignored_fields"].update(raw.keys() - reader.KNOWN)
            yield number, record

    def looked_at(self) -> Iterator[tuple[int, SeedRecord]]:
        """The records whose pictures open, with digest, size and split; `bad_images` says what becomes of the others."""
        records = self.parsed()
        with ThreadPoolExecutor() as pool:
            while window := list(islice(records, WINDOW)):
                for (number, record), looked in zip(
                    window,
                    pool.map(self._look, *zip(*window, strict=True)),
                    strict=True,
                ):
                    if isinstance(looked, BadInput):
                        self.problems.add(looked)
                    elif isinstance(looked, SeedRecord):
                        yield number, looked
                    else:
                        self.excluded.append(
                            {
                                "key": record.key,
                                "image": record.image or "",
                                "reason": looked,
                            }
                        )

    def _look(self, number: int, record: SeedRecord) -> SeedRecord | BadInput | str:
        """The completed record, a problem, or the reason why it is excluded."""
        if self.root is not None and record.image is not None:
            where = self.place(number, record.key)
            try:
                found, width, height = open_picture(self.root, record.image, where)
            except BadInput as problem:
                return problem
            except OSError as error:
                missing = isinstance(error, FileNotFoundError)
                if self.settings.bad_images == "exclude":
                    return "missing" if missing else "does not open"
                return BadInput(
                    file=where,
                    field="image",
                    found=f"{record.image!r}: " + ("no such file" if missing else f"does not open ({error})"),
                    expected=f"a picture in {self.root}",
                    remedy="restore it, or leave such records out by seeds.bad_images: exclude",
                )
            record = record.model_copy(update={"image_digest": found, "width": width, "height": height})
        split = split_of(record, self.settings.seed, self.settings.heldout)
        return record.model_copy(
            update={
                "split": split,
                "image": record.image if self.root is not None else None,
            }
        )

    def count(self, record: SeedRecord) -> None:
        """Add a record to the counts of audit.json."""
        self.counts.update(
            records=1,
            qas=len(record.qas),
            objects=len(record.objects),
            caption_only=int(not record.qas),
            with_image=int(record.image is not None),
            without_image=int(record.image is None),
            **{record.split: 1},
        )
        self.by["source"][record.source or "unnamed"] += 1
        self.by["licence"][record.licence] += 1

    def fill_spool(self) -> None:
        """Audit everything into one file a shard; each line holds a record and its number."""
        with ExitStack() as stack:
            shards: list[TextIO] = [
                stack.enter_context(open(self.spool / str(i), "w", encoding="utf-8"))
                for i in range(self.settings.shards)
            ]
            for number, record in self.looked_at():
                self.count(record)
                shards[shard_of(record.key, self.settings.shards)].write(f"{number}\t{record.model_dump_json()}\n")

    def check_keys(self) -> None:
        """No two records with one key (they would meet in one shard)."""
        for shard in range(self.settings.shards):
            first: dict[str, int] = {}
            for number, record in self.spooled(str(shard)):
                other = first.setdefault(digest(record.key)[:24], number)
                if other != number:
                    self.problems.add(
                        BadInput(
                            file=self.place(number, record.key),
                            field="hash_id or id",
                            found=f"the key of record {other} again",
                            expected="one record a key",
                            remedy="give every record a hash_id of its own",
                        )
                    )

    def spooled(self, name: str) -> Iterator[tuple[int, SeedRecord]]:
        """What passed, in the order of the spool file."""
        with open(self.spool / name, encoding="utf-8") as file:
            for line in file:
                number, _, text = line.partition("\t")
                yield int(number), SeedRecord.model_validate_json(text)

    def write(self, out: Path) -> None:
        """The shards' train sides, and their held-out sides one after the other: the same rows whatever the number of shards."""
        shards = range(self.settings.shards)
        for shard in shards:
            rows = sorted(self.spooled(str(shard)), key=lambda row: order_of(row[1].key))
            train = [record for _, record in rows if record.split == "train"]
            write_rows(out / "audited" / f"{shard}.parquet", "seed", train)
            with open(self.spool / f"heldout.{shard}", "w", encoding="utf-8") as file:
                file.writelines(f"{n}\t{r.model_dump_json()}\n" for n, r in rows if r.split == "heldout")
        heldout = (record for i in shards for _, record in self.spooled(f"heldout.{i}"))
        write_rows(out / "heldout.parquet", "seed", heldout)
        write_json(out / "audit.json", self.report())

    def report(self) -> dict[str, Any]:
        """The content of audit.json."""
        names = (
            "records",
            "train",
            "heldout",
            "with_image",
            "without_image",
            "caption_only",
            "qas",
            "objects",
        )
        return {
            **{name: self.counts[name] for name in names},
            **{name: dict(sorted(counter.items())) for name, counter in self.by.items()},
            "pictures": "present" if self.root is not None else "absent: captions and boxes alone",
            "excluded": sorted(self.excluded, key=lambda e: e["key"]),
        }


def audit(settings: AuditSettings, *, records: Path, images_root: Path | None, out: Path) -> None:
    """Audit `records` and write ``audited/<shard>.parquet``, ``heldout.parquet`` and ``audit.json`` below `out`.

    `images_root` None: the study has no pictures, whatever the records name. Raises `BadInput` with up to 20 problems, each
    with file, record, field, what was found, what was expected and what to do.
    """
    if images_root is not None and not images_root.is_dir():
        raise BadInput(
            file=str(images_root),
            field="seeds.images_root",
            found="no such folder",
            expected="the folder of the pictures",
            remedy="correct the path, or leave the key out for a study without pictures",
        )
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".audit.", dir=out) as spool:
        auditor = _Auditor(settings, records, images_root, Path(spool))
        auditor.fill_spool()
        auditor.check_keys()
        auditor.problems.stop()
        if not auditor.counts["records"]:
            raise BadInput(
                file=str(records),
                field="(records)",
                found=f"none that can be used, {len(auditor.excluded)} excluded",
                expected="at least one record",
                remedy="see seeds.source and seeds.images_root",
            )
        auditor.write(out)
