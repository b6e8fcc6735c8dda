"""``mmevol evaluate fetch``: bring a benchmark's official files to the folder that all studies share, and show them to this one.

In that folder they lie as the kit has them (``MMStar.tsv``; pictures below ``images/<BENCHMARK>``), under their official names;
what is there already, brought by hand or by the kit, is checked and not fetched again. A study reads them under the names that
its own benchmarks have (``data.tsv``, ``questions.json``, ``images`` …), through links.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    lacking = [file for file in files if _lack(file, files, root)]
    problems: dict[OfficialFile, Exception] = {}
    if offline:
        problems = {file: NotThere(_lack(file, files, root)) for file in lacking}
    elif lacking:
        with _working(root, files[0].benchmark) as partial, _beating(run, files) as beat:
            problems = dict(_brought(lacking, files, root, partial, beat.advance))
    if problems:
        raise _failure(problems, root)
    editions = {file.path: _edition(file, root, check) for file in files if file.url and not file.inside}
    _show(files, root, out, editions)


def _beating(run: Run, files: Sequence[OfficialFile]) -> Heartbeat:
    return Heartbeat(run, job=f"fetch/{files[0].benchmark}", unit="bytes")


def _lack(file: OfficialFile, files: Sequence[OfficialFile], root: Path) -> str:
    """What of a file, or of a folder of pictures, is still to be brought; '' if nothing."""
    path = root / file.path
    if file.part != "images":
        there = is_table(path) if file.part == "data" else path.is_file()
        return "" if there else "not there"
    if file.benchmark == "MMSInst":
        return lack(path)
    questions = _questions(files, root)
    if not questions.is_file():
        return "to be fetched once its questions are there"
    names = sorted(missing_pictures(file, questions, root))
    return f"{len(names)} pictures, such as {names[0]}" if names else ""


def _questions(files: Sequence[OfficialFile], root: Path) -> Path:
    return root / next(file.path for file in files if file.part == "questions")


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
    lacking: Sequence[OfficialFile], files: Sequence[OfficialFile], root: Path, partial: Path, beat: Beat
) -> Iterator[tuple[OfficialFile, Exception]]:
    """Bring one after the other; yields those that could not be brought. Archives go once nothing more is needed of them."""
    failed = False
    for file in lacking:
        try:
            _bring(file, files, root, partial, beat)
        except (NotThere, Unreachable) as error:
            failed = True
            yield file, error
    for file in () if failed else lacking:
        if file.inside:
            (partial / file.archive).unlink(missing_ok=True)


def _bring(file: OfficialFile, files: Sequence[OfficialFile], root: Path, partial: Path, beat: Beat) -> None:
    pictures = file.part == "images" and file.benchmark != "MMSInst"
    if pictures and not (questions := _questions(files, root)).is_file():
        raise NotThere(_lack(file, files, root))
    if not file.url:
        fetch_pictures(file, questions, root, beat)
    elif not file.inside:
        download(file, root / file.path, beat)
    else:
        names = set(missing_pictures(file, questions, root)) if pictures else None
        with _opened(file, root, partial, beat) as archive:
            unpack(archive, file.archive, file.inside, root / file.path, lambda name: names is None or name in names)
    if left := _lack(file, files, root):
        raise NotThere(f"not all of it is where it should be: {left}")


@contextmanager
def _opened(file: OfficialFile, root: Path, partial: Path, beat: Beat) -> Iterator[Any]:
    """The archive: put there by hand, read from afar where no checksum asks for the whole of it, or fetched."""
    local = root / file.archive
    if local.is_file():
        if reason := wrong(local, file):
            raise NotThere(f"{local} is another file: {reason}")
    else:
        if not (file.md5 or file.sha256):
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
            if file.benchmark == "MMSInst":
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
