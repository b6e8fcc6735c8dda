"""Zip archives, on disk or on a server that takes ranges: only what is wanted is unpacked, and only where it belongs."""

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mmevol.evaluate.official.download import Beat, NotThere, ask, tried
from mmevol.records import BadInput
from mmevol.store import replacing

LARGEST = 1 << 30
"""Bytes of one unpacked file."""
SWOLLEN = 200
"""How many times larger a file may be unpacked than packed, beyond the first MB."""
AHEAD = 1 << 18
"""Bytes that are asked of a server at a time, at least."""


def unpack(source: IO[bytes], name: str, inside: str, target: Path, wanted: Callable[[str], bool]) -> int:
    """Unpack from the archive `source`, called `name` in messages.

    `inside`: the name of a file, which becomes `target`; or with ``/`` at the end of a folder, wherever in the archive, whose
    files come below `target` if they are `wanted`. What is there in its full length is left. Returns how many files there are.
    Raises `BadInput` for an archive that is broken, holds nothing of the kind, or has a name, link or size that is no picture's
    or question file's.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            chosen = list(_chosen(archive.infolist(), name, inside, target, wanted))
            for info, path in chosen:
                if not (path.is_file() and path.stat().st_size == info.file_size):
                    with archive.open(info) as packed, replacing(path) as temporary, open(temporary, "wb") as out:
                        shutil.copyfileobj(packed, out, 1 << 20)  # checks the CRC-32 at the end
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise _bad(name, "(archive)", str(error), "a whole zip archive") from error
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise _bad(name, "(archive)", f"{error.filename} is a file and a folder", "names that go together") from error
    if not chosen:
        raise _bad(name, inside, "nothing of that name that is wanted", "the archive that files.tsv names")
    return len(chosen)


def _chosen(
    infos: Iterable[zipfile.ZipInfo], name: str, inside: str, target: Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[zipfile.ZipInfo, Path]]:
    taken: set[Path] = set()
    for info in infos:
        if (
            info.filename.endswith("/")
            or (below := _below(info.filename, inside)) is None
            or (below and not wanted(below))
        ):
            continue
        path = target / below if below else target
        reason = _suspect(info, below)
        if reason or path in taken:
            raise _bad(
                name, info.filename, reason or "the same name twice", "plain files, each once, below their folder"
            )
        taken.add(path)
        yield info, path


def _below(filename: str, inside: str) -> str | None:
    """What a name is below the folder `inside`, '' if it is the file `inside`, None if neither."""
    names = filename.replace("\\", "/").split("/")
    if not inside.endswith("/"):
        return "" if names[-1] == inside else None
    folder = inside.rstrip("/")
    return "/".join(names[names.index(folder) + 1 :]) if folder in names[:-1] else None


def _suspect(info: zipfile.ZipInfo, below: str) -> str | None:
    path = PurePosixPath(below)
    if path.is_absolute() or ".." in path.parts or ":" in below or (below and not path.parts):
        return "a name that leads outside"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    if info.file_size > LARGEST or info.file_size > (1 << 20) + SWOLLEN * info.compress_size:
        return f"{info.file_size} bytes packed into {info.compress_size}"
    return None


def _bad(name: str, field: str, found: str, expected: str) -> BadInput:
    return BadInput(
        file=name, field=field, found=found, expected=expected, remedy="fetch the archive again, or look at it"
    )


class _Remote(io.RawIOBase):
    """A file on a server, to be read here and there."""

    def __init__(self, url: str, size: int, beat: Beat) -> None:
        self._url, self._size, self._at, self._beat = url, size, 0, beat

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0

        def once() -> bytes:
            with ask(self._url, Range=f"bytes={self._at}-{self._at + count - 1}") as answer:
                body: bytes = answer.read(count)
            if answer.status != 206 or len(body) != count:
                raise ConnectionError("the connection broke off")
            return body

        buffer[:count] = tried(self._url, once)
        self._at += count
        self._beat(count)
        return count


@contextmanager
def remote(url: str, size: int, beat: Beat) -> Iterator[IO[bytes] | None]:
    """An archive on a server, open for reading; None where the server does not take ranges.

    `size`: its bytes, if known. Raises `Unreachable`, or `NotThere` also for another size.
    """

    def once() -> int | None:
        with ask(url, Range="bytes=0-0") as answer:
            total = answer.headers.get("Content-Range", "").rpartition("/")[2] if answer.status == 206 else ""
        return int(total) if total.isdigit() else None

    found = tried(url, once)
    if found is None:
        yield None
        return
    if size and found != size:
        raise NotThere(f"{url} gives another file: {found} bytes, not {size}")
    with io.BufferedReader(_Remote(url, found, beat), AHEAD) as file:
        yield file
