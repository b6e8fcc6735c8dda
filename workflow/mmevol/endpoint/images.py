"""A picture as it is sent: decoded, turned upright, made smaller, encoded as JPEG once per study."""

import io
from functools import lru_cache
from pathlib import Path

from mmevol.records import digest

ENCODER = "pillow-jpeg-q90/1"
"""Version of this encoding: part of a request's key, so another encoding is another question."""


@lru_cache(4096)
def image_key(source: str, side: int) -> bytes:
    """The 32 bytes under which an encoded picture is kept: over the digest of its file, resize rule and encoder."""
    return bytes.fromhex(digest(source, side, ENCODER))


def encode(path: Path | io.BytesIO, side: int) -> bytes:
    """JPEG bytes of the picture with its longest side at most `side` px; smaller pictures keep their size.

    Raises `OSError` that names the file where it is missing or is no whole picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: {error}") from error
    upright.thumbnail((side, side))
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=90)
    return out.getvalue()
