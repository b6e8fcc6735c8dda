"""What a benchmark shares with other data: pictures, byte for byte or nearly, runs of words, whole questions.

Pictures are nearly the same where their perceptual hashes (64 bits of a cosine transform, `imagehash.phash`) differ in a few bits:
that outlives another size, format or quality. Words are compared without case and punctuation. Source of the runs of words: the
overlap analysis of Brown et al. 2020, Language Models are Few-Shot Learners, appendix C.
"""

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from mmevol.config.evaluate import Contamination
from mmevol.evaluate.benchmarks import Row
from mmevol.records import BadInput

KINDS = ("picture", "near", "words", "question")
"""Of an overlap: the picture's file, nearly the picture, a run of words of the question, the whole question about (nearly) the same
picture."""

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """A text's words as they are compared."""
    return _WORD.findall(text.casefold())


def runs(of: Sequence[str], length: int) -> Iterator[str]:
    """Every run of so many words."""
    line, starts, at = " ".join(of), [], 0
    for word in of:
        starts.append(at)
        at += len(word) + 1
    starts.append(at)
    for first in range(len(of) - length + 1):
        yield line[starts[first] : starts[first + length] - 1]


def picture_hash(data: bytes, where: str) -> int:
    """The perceptual hash of a picture's file, 64 bits. Raises `BadInput`, with `where` it is, for what is no whole picture."""
    import imagehash
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.draft("L", (128, 128))  # of a JPEG only what the hash looks at is decoded
            bits = imagehash.phash(picture.convert("RGB").convert("L")).hash
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _lost(where, error) from error
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def file_hash(path: Path) -> int:
    """The perceptual hash of a picture file. Raises `BadInput`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _lost(str(path), error) from error
    return picture_hash(data, str(path))


def _lost(where: str, error: Exception) -> BadInput:
    return BadInput(
        file=where,
        field="image",
        found=str(error)[:200],
        expected="a picture",
        remedy="put it back: the seeds' are those that their audit saw, a benchmark's its official ones",
    )


@dataclass
class Index:
    """The rows of all benchmarks, to be found by what other data hold. A row is a number: its place in ``rows``."""

    settings: Contamination
    rows: list[tuple[str, str]] = field(default_factory=list)
    _digests: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _hashes: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _runs: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _questions: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, benchmark: str, rows: Iterable[Row]) -> None:
        """Take a benchmark in. A run of words in more questions than `Contamination.common` is its own phrase, and left out."""
        seen: dict[str, int] = {}
        read: dict[object, str] = {}
        asked: dict[str, set[str]] = defaultdict(set)
        runs_of: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            number = len(self.rows)
            self.rows.append((benchmark, row.key))
            for source in row.pictures:
                if source not in read:
                    data = source.read_bytes()
                    name = sha256(data).hexdigest()
                    read[source] = name
                    if name not in seen:
                        seen[name] = picture_hash(data, f"{benchmark}:{row.key}")
                self._digests[read[source]].add(number)
                self._hashes[seen[read[source]]].add(number)
            said = words(row.question)
            whole = " ".join(said)
            self._questions[whole].append(number)
            for run in dict.fromkeys(runs(said, self.settings.words)):
                runs_of[run].append(number)
                asked[run].add(whole)
        for run, numbers in runs_of.items():
            if len(asked[run]) <= self.settings.common:
                self._runs[run] += numbers

    def ready(self) -> "Finder":
        """The index as it is searched."""
        return Finder(self.settings, self._digests, self._hashes, self._runs, self._questions)


class Finder:
    """Finds rows of benchmarks by pictures and texts of other data."""

    def __init__(
        self,
        settings: Contamination,
        digests: dict[str, set[int]],
        hashes: dict[int, set[int]],
        runs_of: dict[str, list[int]],
        questions: dict[str, list[int]],
    ) -> None:
        self.settings = settings
        self.digests, self.runs, self.questions = dict(digests), dict(runs_of), dict(questions)
        self._known = np.array(list(hashes), dtype=np.uint64)
        self._holders = list(hashes.values())

    def same(self, digest: str) -> set[int]:
        """The rows with this very file."""
        return self.digests.get(digest, set())

    def near(self, hashes: Sequence[int]) -> list[set[int]]:
        """For each picture the rows with nearly it."""
        wanted = np.array(hashes, dtype=np.uint64)
        bits = np.bitwise_count(wanted[:, None] ^ self._known[None, :])
        found: list[set[int]] = [set() for _ in hashes]
        for at, known in zip(*np.nonzero(bits <= self.settings.distance), strict=True):
            found[at] |= self._holders[known]
        return found

    def told(self, text: str) -> set[int]:
        """The rows whose question shares a run of words with a text."""
        if not self.runs:
            return set()
        return {n for run in runs(words(text), self.settings.words) if run in self.runs for n in self.runs[run]}

    def asked(self, question: str) -> list[int]:
        """The rows with this very question."""
        return self.questions.get(" ".join(words(question)), [])
