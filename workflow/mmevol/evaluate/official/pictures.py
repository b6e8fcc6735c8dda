"""The pictures that a benchmark's questions are about: their names, and of MIA-Bench their addresses."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mmevol.evaluate.benchmarks import read_json, vqa_prefix
from mmevol.evaluate.official.catalog import OfficialFile
from mmevol.evaluate.official.download import Beat, NotThere, Unreachable, small
from mmevol.evaluate.scoring.json_array import JsonArray
from mmevol.records import BadInput
from mmevol.store import replacing

AT_ONCE = 8
"""Addresses that are asked at a time."""


def _vqa(questions: Path) -> dict[str, str]:
    prefix = vqa_prefix(questions)
    return {f"{prefix}{question['image_id']:012d}.jpg": "" for question in JsonArray(questions, "questions")}


def _gqa(questions: Path) -> dict[str, str]:
    return {f"{question['imageId']}.jpg": "" for question in read_json(questions).values()}


def _mia(questions: Path) -> dict[str, str]:
    named: dict[str, str] = {}
    for item in read_json(questions):
        name = item["image"].rsplit("/", 1)[-1]
        if named.setdefault(name, item["image"]) != item["image"] or not name or name.startswith("."):
            raise BadInput(
                file=str(questions),
                field="image",
                found=item["image"],
                expected="addresses whose last parts are file names, and differ",
                remedy="use the benchmark's official file",
            )
    return named


NAMED: dict[str, Callable[[Path], dict[str, str]]] = {"VQA_v2": _vqa, "GQA": _gqa, "MIA-Bench": _mia}


def missing_pictures(file: OfficialFile, questions: Path, root: Path) -> dict[str, str]:
    """Of the pictures that the questions are about, those that are not in their folder: name and address, '' if it has none."""
    folder = root / file.path
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return {name: url for name, url in NAMED[file.benchmark](questions).items() if name not in there}


def fetch_pictures(file: OfficialFile, questions: Path, root: Path, beat: Beat) -> None:
    """Fetch pictures each from its own address. Raises, once all others are there, `NotThere` or `Unreachable` for the rest."""
    missing = missing_pictures(file, questions, root)

    def one(url: str) -> bytes | Exception:
        try:
            body = small(url)
            with Image.open(io.BytesIO(body)) as picture:
                picture.verify()
        except (NotThere, Unreachable) as error:
            return error
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            return NotThere(f"{url} gives no picture: {error}")
        return body

    failures: list[Exception] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, got in zip(missing, pool.map(one, missing.values()), strict=True):
            if isinstance(got, Exception):
                failures.append(got)
                continue
            with replacing(root / file.path / name) as temporary:
                temporary.write_bytes(got)
            beat(len(got))
    if failures:
        kind = NotThere if any(isinstance(failure, NotThere) for failure in failures) else Unreachable
        raise kind(f"{len(failures)} of {len(missing)} pictures: " + "; ".join(str(failure) for failure in failures))
