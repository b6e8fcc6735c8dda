"""A disk that is full, read-only or broken: what failed, where, and what to do. Nothing that was kept is damaged by it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOVE = "set MMEVOL_RESULTS or MMEVOL_REPLIES to a folder that can be written"
REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EFBIG: "raise the limit of file sizes (`ulimit -f`)",
    errno.EROFS: f"make it writable, or {MOVE}",
    errno.EACCES: f"give yourself the right to it, or {MOVE}",
    errno.EPERM: f"give yourself the right to it, or {MOVE}",
    errno.EIO: "look after that disk",
    errno.ESTALE: "look after that network file system",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
}
"""What to do about an error of the disk, by its number."""


@contextmanager
def at(path: Path) -> Iterator[None]:
    """Name the path that an error of the disk is about, where the system did not."""
    try:
        yield
    except OSError as error:
        if error.errno in REMEDIES and error.filename is None:
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def explained(error: OSError) -> str | None:
    """The error as a person should read it; None where it is not the disk's."""
    if error.errno not in REMEDIES:
        return None
    return (
        f"{error.filename or 'a file'}: {os.strerror(error.errno)}; {REMEDIES[error.errno]}, then run again to go on: "
        "nothing that was kept is damaged"
    )
