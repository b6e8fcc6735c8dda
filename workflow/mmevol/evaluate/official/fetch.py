"""``mmevol evaluate fetch``: bring a benchmark's official files to the folder that all studies share, and show them to this one.

In that folder they lie as the kit has them (``MMStar.tsv``; pictures below ``images/<BENCHMARK>``), under their official names;
what is there already, brought by hand or by the kit, is checked and not fetched again. A study reads them under the names that
its own benchmarks have (``data.tsv``, ``questions.json``, ``images`` …), through links.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mmevol.config import Run
from mmevol.evaluate.official.archive import remote, unpack
from mmevol.evaluate.official.catalog import OfficialFile
from mmevol.evaluate.official.download import Beat, NotThere, Unreachable, checksums, download, wrong
from mmevol.evaluate.official.pictures import fetch_pictures, missing_pictures
from mmevol.evaluate.official.self_instruct import lack, write_questions
from mmevol.evaluate.scoring.inputs import FILES
from mmevol.evaluate.tables import is_table, parts, table_digest
from mmevol.owner import Owner
from mmevol.progress import Heartbeat, waiting
from mmevol.records import BadInput
from mmevol.store import file_digest, replacing, write_json

PARTIAL = ".fetched"
"""Below the folder of all files: what has come in part, and archives that are still to be unpacked."""


def fetch(
    files: Sequence[OfficialFile], *, run: Run, root: Path, out: Path, offline: bool = False, check: bool = True
) -> None:
    """Fetch what is missing of a benchmark's `files` below `root`, check the rest, show all in `out`, ``manifest.json`` last.

    With `offline` nothing is fetched; without `check` a table with another checksum is taken. Raises `BadInput` that lists every
    file that is missing or is another one, with its address, or `Outage`, to be resumed, where only the network was at fault.
    """
    shelf = _Shelf(files, root)
    lacking = [file for file in files if shelf.lack(file)]
    problems: dict[OfficialFile, Exception] = {}
    if offline:
        problems = {file: NotThere(shelf.lack(file)) for file in lacking}
    elif lacking:
        benchmark = files[0].benchmark
        with _working(root, benchmark) as partial, Heartbeat(run, job=f"fetch/{benchmark}", unit="bytes") as beat:
            problems = dict(_brought(shelf, lacking, partial, beat.advance))
    if problems:
        raise _failure(problems, root)
    editions = {file.path: _edition(file, root, check) for file in files if file.url and not file.inside}
    _show(files, root, out, editions)


@contextmanager
def _working(root: Path, benchmark: str) -> Iterator[Path]:
    """The folder for what is on its way, ours alone while we work; gone afterwards unless something is left in it."""
    partial = root / PARTIAL / benchmark
    owner = Owner([partial], f"fetch/{benchmark}", waiting)
    owner.acquire()
    try:
        yield partial
    finally:
        owner.release()
        for folder in (partial, root / PARTIAL):
            if not any(folder.iterdir()):
                folder.rmdir()


def _brought(
    shelf: "_Shelf", lacking: Sequence[OfficialFile], partial: Path, beat: Beat
) -> Iterator[tuple[OfficialFile, Exception]]:
    """Bring one after the other; yields those that could not be brought. Archives go once nothing more is needed of them."""
    failed = False
    for file in lacking:
        try:
            shelf.bring(file, partial, beat)
        except (NotThere, Unreachable) as error:
            failed = True
            yield file, error
    for file in () if failed else lacking:
        if file.inside:
            (partial / file.archive).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Shelf:
    """A benchmark's files, and the folder below which they belong."""

    files: Sequence[OfficialFile]
    root: Path

    @property
    def questions(self) -> Path:
        """The file that names the pictures."""
        return self.root / next(file.path for file in self.files if file.part == "questions")

    def lack(self, file: OfficialFile) -> str:
        """What of a file, or of a folder of pictures, is still to be brought; '' if nothing."""
        path = self.root / file.path
        if file.part != "images":
            there = is_table(path) if file.part == "data" else path.is_file()
            return "" if there else "not there"
        if not file.named:
            return lack(path)
        if not self.questions.is_file():
            return "to be fetched once its questions are there"
        names = sorted(missing_pictures(file, self.questions, self.root))
        return f"{len(names)} pictures, such as {names[0]}" if names else ""

    def bring(self, file: OfficialFile, partial: Path, beat: Beat) -> None:
        """Bring it from its addresses, or from an archive that lies in the folder. Raises `NotThere`, `Unreachable`."""
        if file.named and not self.questions.is_file():
            raise NotThere(self.lack(file))
        if not file.url:
            fetch_pictures(file, self.questions, self.root, beat)
        elif not file.inside:
            download(file, self.root / file.path, beat)
        else:
            names = set(missing_pictures(file, self.questions, self.root)) if file.named else None
            with self._opened(file, partial, beat, whole=file.part == "images" and names is None) as archive:
                wanted = names.__contains__ if names is not None else bool
                unpack(archive, file.archive, file.inside, self.root / file.path, wanted)
        if left := self.lack(file):
            raise NotThere(f"not all of it is where it should be: {left}")

    @contextmanager
    def _opened(self, file: OfficialFile, partial: Path, beat: Beat, *, whole: bool) -> Iterator[IO[bytes]]:
        """The archive: put there by hand; read from afar, unless all of it is wanted or a checksum is known; or fetched."""
        local = self.root / file.archive
        if local.is_file():
            if reason := wrong(local, file):
                raise NotThere(f"{local} is another file: {reason}")
        else:
            if not (whole or file.md5 or file.sha256):
                with remote(file.url, file.bytes, beat) as stream:
                    if stream is not None:
                        yield stream
                        return
            local = partial / file.archive
            if not local.is_file():
                download(file, local, beat)
        with open(local, "rb") as stream:
            yield stream


def _failure(problems: dict[OfficialFile, Exception], root: Path) -> Exception:
    """What to raise: `Outage` if only the network stood in the way."""
    benchmark = next(iter(problems)).benchmark
    lines = "".join(
        f"\n    {root / file.path}: {error}\n      from {' or '.join(file.sources) or 'the addresses in its questions'}"
        + (f" ({file.inside} in it)" if file.inside else "")
        + (f", md5 {file.md5}" if file.md5 else "")
        + (f", sha256 {file.sha256}" if file.sha256 else "")
        for file, error in problems.items()
    )
    if all(isinstance(error, Unreachable) for error in problems.values()):
        from mmevol.endpoint.client import Outage

        return Outage(f"{benchmark}: what has come is kept, run again to go on. Still missing:{lines}")
    return BadInput(
        file=str(root),
        field=f"official files of {benchmark}",
        found=f"still missing:{lines}",
        expected="the files that `config/benchmark_files.tsv` lists",
        remedy=f"run again where there is a network, or put them there by hand (archives into {root} as they are)",
    )


def _edition(file: OfficialFile, root: Path, check: bool) -> str:
    """Which edition a file is: the one listed, the one before, or another. Raises `BadInput` for another, if `check`."""
    path = root / file.path
    if file.part == "data" and not path.is_file():
        return f"{len(parts(path))} parts"
    if (reason := wrong(path, file)) is None:
        return "listed" if file.md5 or file.sha256 else "not listed"
    if file.md5_before and checksums(path, "md5")["md5"] == file.md5_before:
        return "before"
    if not check:
        return "another"
    raise BadInput(
        file=str(path),
        field="checksum",
        found=reason,
        expected="the file that `config/benchmark_files.tsv` lists",
        remedy="delete it and run again to fetch that one, or set evaluate.check: false to take it as it is",
    )


def _show(files: Sequence[OfficialFile], root: Path, out: Path, editions: dict[str, str]) -> None:
    """Links under the names that are read, and the manifest: digests and editions, of picture folders how many there are."""
    shown: dict[str, Any] = {}
    for file in files:
        path = root / file.path
        if file.part == "images":
            _link(path, out / "images")
            shown["images"] = sum(1 for _ in path.rglob("*.*"))
            if not file.named:
                write_questions(path, out / FILES["questions"])
                shown[FILES["questions"]] = file_digest(out / FILES["questions"])
        elif file.part == "data":
            tables = parts(path)
            name = FILES["data"]
            for number, table in enumerate(tables):
                _link(table, out / (name if len(tables) == 1 else f"data_part{number}.tsv"))
            shown[name] = table_digest(path)
            if (root / "images" / file.benchmark).is_dir():  # of tables that name their pictures' files
                _link(root / "images" / file.benchmark, out / "images")
        else:
            _link(path, out / FILES[file.part])
            shown[FILES[file.part]] = file_digest(path)
    head = {"benchmark": files[0].benchmark, "split": files[0].split}
    write_json(out / "manifest.json", head | {"files": shown, "editions": editions})


def _link(target: Path, link: Path) -> None:
    with replacing(link) as temporary:
        temporary.symlink_to(target if target.is_absolute() else os.path.relpath(target, link.parent))
