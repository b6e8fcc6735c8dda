"""Getting a file over HTTP: what came before a cut is kept, and nothing is taken for whole that its checksums do not confirm."""

import errno
import hashlib
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mmevol.evaluate.official.catalog import OfficialFile
from mmevol.store import write_json

CHUNK = 1 << 20
TRIES = 5
"""Attempts in a row that bring no byte before an address is given up."""
PAUSE = 2.0
"""Seconds before the second attempt, doubled for each further one."""
TIMEOUT = 60.0
"""Seconds without a byte."""
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""What a server answers that may be better in a moment."""
LARGEST_PICTURE = 64 << 20

Beat = Callable[[int], None]
"""Told of bytes as they come."""

T = TypeVar("T")


class NotThere(Exception):
    """An address does not give the file, whatever is tried: it says no, or what it gives is another file."""


class Unreachable(Exception):
    """An address could not be reached, or broke off again and again; it may be better later."""


def checksums(path: Path, *names: str) -> dict[str, str]:
    """Checksums of a file's bytes, all in one reading."""
    made = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with open(path, "rb") as stream:
        while made and (block := stream.read(CHUNK)):
            for each in made.values():
                each.update(block)
    return {name: each.hexdigest() for name, each in made.items()}


def wrong(path: Path, file: OfficialFile) -> str | None:
    """Why a file on disk is not the official one; None where all that is known of that holds."""
    if file.bytes and path.stat().st_size != file.bytes:
        return f"{path.stat().st_size} bytes, not {file.bytes}"
    wanted = {name: value for name in ("md5", "sha256") if (value := getattr(file, name))}
    found = checksums(path, *wanted)
    return next((f"{name} {found[name]}, not {value}" for name, value in wanted.items() if found[name] != value), None)


def download(file: OfficialFile, path: Path, beat: Beat) -> None:
    """Bring a file to `path`, from the first of its addresses that gives the right one.

    What has come is kept beside it as ``.NAME.part``, and the next call goes on with it. Raises `Unreachable` if that may
    help, else `NotThere`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    failures: list[Exception] = []
    for url in file.sources:
        try:
            _from(url, file, path, beat)
            return
        except (NotThere, Unreachable) as error:
            failures.append(error)
    kind = Unreachable if any(isinstance(error, Unreachable) for error in failures) else NotThere
    raise kind("; ".join(map(str, failures)))


def _from(url: str, file: OfficialFile, path: Path, beat: Beat) -> None:
    part = path.with_name(f".{path.name}.part")
    while True:
        begun = part.exists()
        _complete(url, part, file, beat)
        reason = wrong(part, file)
        _origin(part).unlink(missing_ok=True)
        if reason is None:
            os.replace(part, path)
            return
        part.unlink()
        if not begun:  # else what was gone on with may have been of another edition: once more from the start
            raise NotThere(f"{url} gives another file: {reason}")


def _origin(part: Path) -> Path:
    """Where it is noted what a part is of."""
    return part.with_name(part.name + ".json")


def _complete(url: str, part: Path, file: OfficialFile, beat: Beat) -> None:
    """Go on with `part`, or begin it, until it is as long as the server says. An attempt that brings something is no failure."""

    def once() -> bool:
        while True:
            before = _size(part)
            try:
                if _append(url, part, file, beat):
                    return True
            except NETWORK:
                if _size(part) == before:
                    raise
            if _size(part) == before:
                raise ConnectionError("the connection broke off")

    tried(url, once)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
"""What goes wrong between two machines; other errors of the system are the disk's and no reason to ask again."""


def tried(url: str, once: Callable[[], T]) -> T:
    """What `once` returns, asked up to `TRIES` times. Raises `NotThere` for a clear no, else `Unreachable`."""
    last: Exception | None = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            return once()
        except urllib.error.HTTPError as error:
            if error.code not in PASSING:
                raise NotThere(f"{url} answers {error.code} {error.reason}") from error
            last = error
        except NETWORK as error:
            if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
                raise NotThere(f"{url}: its certificate does not hold: {error}") from error
            last = error
    raise Unreachable(f"{url}: {last}") from last


def ask(url: str, **headers: str) -> Any:
    """One request. Raises `NotThere` for an address that is not of the web: question files name addresses too."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise NotThere(f"{url} is no http address")
    given = {"User-Agent": "mmevol", "Accept-Encoding": "identity"} | headers
    return urllib.request.urlopen(urllib.request.Request(url, headers=given), timeout=TIMEOUT)


def _append(url: str, part: Path, file: OfficialFile, beat: Beat) -> bool:
    """One request for what is missing of `part`. Returns whether it is whole.

    A part is gone on with if the server says that the file is still the same, or if a checksum will tell.
    """
    have = _size(part)
    noted = json.loads(_origin(part).read_text()) if have and _origin(part).exists() else {}
    validator = noted.get("validator") if noted.get("url") == url else None
    going_on = have and (validator or file.md5 or file.sha256)
    headers = {"Range": f"bytes={have}-"} if going_on else {}
    try:
        answer = ask(url, **headers, **({"If-Range": validator} if headers and validator else {}))
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
            return True
        part.unlink()
        raise ConnectionError("the part is longer than the file") from error
    with answer:
        appends = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        length = int(answer.headers.get("Content-Length") or 0)
        _room(part.parent, length)
        tag = answer.headers.get("ETag") or ""
        write_json(
            _origin(part), {"url": url, "validator": tag if tag.startswith('"') else answer.headers["Last-Modified"]}
        )
        come = 0
        with open(part, "ab" if appends else "wb") as out:
            while block := answer.read(CHUNK):
                out.write(block)
                come += len(block)
                beat(len(block))
    return come == length if length else True


def _room(folder: Path, needed: int) -> None:
    """Raise the disk's own error before a file is begun that it cannot hold."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def small(url: str) -> bytes:
    """A picture, whole, in memory. Raises `NotThere`, `Unreachable`."""

    def once() -> bytes:
        with ask(url) as answer:
            if "unavailable" in answer.url:  # where Flickr sends who asks for a picture that was taken down
                raise NotThere(f"{url} was taken down")
            body: bytes = answer.read(LARGEST_PICTURE + 1)
            length = int(answer.headers.get("Content-Length") or len(body))
        if length > LARGEST_PICTURE or len(body) > LARGEST_PICTURE:
            raise NotThere(f"{url} is larger than {LARGEST_PICTURE} bytes")
        if len(body) != length:
            raise ConnectionError("the connection broke off")
        return body

    return tried(url, once)
