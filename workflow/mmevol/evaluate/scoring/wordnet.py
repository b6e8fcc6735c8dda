"""Whether two words share a synset of WordNet 3.0, read from its own database files as NLTK reads them.

Source: the formats wndb(5WN) and the rules of morphy(7WN), each applied once as in NLTK 3.10, which adds ``ves`` to ``f``.
"""

import os
import sys
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mmevol.records import BadInput

VERSION = "WordNet 3.0"
ENDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "noun": (
        *(("s", ""), ("ses", "s"), ("ves", "f"), ("xes", "x"), ("zes", "z")),
        *(("ches", "ch"), ("shes", "sh"), ("men", "man"), ("ies", "y")),
    ),
    "verb": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    "adj": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "adv": (),
}
"""By part of speech: the endings of inflected forms, and what stands in their place in the base form."""
REMEDY = (
    "install it (Debian: wordnet-base; or `python -m nltk.downloader wordnet`) and, if it is not found, name its folder in "
    "WNSEARCHDIR; or record what it says in nlp_map.json"
)

Folder = Path | zipfile.Path


def places() -> Iterator[Folder]:
    """Where WordNet's database may be: the folder named by ``WNSEARCHDIR``, Debian's, NLTK's."""
    if named := os.environ.get("WNSEARCHDIR"):
        yield Path(named)
    yield Path("/usr/share/wordnet")
    given = [Path(entry) for entry in os.environ.get("NLTK_DATA", "").split(os.pathsep) if entry]
    usual = [Path.home(), Path(sys.prefix), Path(sys.prefix, "share"), Path("/usr/share"), Path("/usr/local/share")]
    for corpora in (base / "corpora" for base in [*given, *(each / "nltk_data" for each in usual)]):
        yield corpora / "wordnet"
        if (archive := corpora / "wordnet.zip").is_file():
            yield zipfile.Path(archive, "wordnet/")


class WordNet:
    """The database of a folder; nothing is read before the first question. Raises `BadInput` where there is none of 3.0."""

    @cached_property
    def _folder(self) -> Folder:
        for folder in places():
            if (folder / "index.noun").is_file():
                with (folder / "index.noun").open(encoding="utf-8") as file:
                    if any(VERSION in line for line, _ in zip(file, range(40), strict=False)):
                        return folder
        raise BadInput(
            file="WordNet", field="database", found="no folder with its index files", expected=VERSION, remedy=REMEDY
        )

    @cached_property
    def _index(self) -> dict[str, dict[str, str]]:
        """By part of speech and lemma, what else stands in its line."""
        return {part: dict(line.split(" ", 1) for line in self._lines(f"index.{part}")) for part in ENDINGS}

    @cached_property
    def _exceptions(self) -> dict[str, dict[str, list[str]]]:
        """By part of speech and inflected form, the base forms."""
        split = {part: [line.split() for line in self._lines(f"{part}.exc")] for part in ENDINGS}
        return {part: {words[0]: words[1:] for words in lines if words} for part, lines in split.items()}

    def _lines(self, name: str) -> Iterator[str]:
        with (self._folder / name).open(encoding="utf-8") as file:
            yield from (line for line in file if not line.startswith(" "))  # the licence

    def share(self, left: str, right: str) -> bool:
        """Whether the two share a synset, in any of their forms and parts of speech."""
        return not self.synsets(left).isdisjoint(self.synsets(right))

    def synsets(self, word: str) -> set[tuple[str, str]]:
        """Part of speech and offset of every synset of a word."""
        return {
            (part, offset)
            for part in ENDINGS
            for form in self._base_forms(word.lower(), part)
            for offset in _offsets(self._index[part][form])
        }

    def _base_forms(self, word: str, part: str) -> list[str]:
        """Of a word and its base forms, by exception or else by one rule, those that the index has."""
        ruled = [word.removesuffix(old) + new for old, new in ENDINGS[part] if word.endswith(old)]
        forms = self._exceptions[part].get(word, ruled)
        return [form for form in (word, *forms) if form in self._index[part]]


def _offsets(line: str) -> list[str]:
    """The synsets of an index line: part of speech, their count, pointers, two more counts, then the offsets."""
    fields = line.split()
    return fields[-int(fields[1]) :]
