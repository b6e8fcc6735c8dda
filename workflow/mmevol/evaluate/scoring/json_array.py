"""Reading a long array of a JSON file object by object, so that a file of hundreds of MB does not fill the memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from mmevol.records import BadInput

CHUNK = 1 << 20
"""Characters read at a time."""

_BLANK = " \t\r\n"
_AFTER = frozenset((*_BLANK, ",", ":", "]", "}"))


class JsonArray:
    """The elements of the array `name` of the JSON object in a file; each iteration reads the file anew.

    Raises `BadInput` where the file is cut off or not JSON, has no such array, or an element lacks one of `fields`.
    """

    def __init__(self, path: Path, name: str, fields: tuple[str, ...] = ()) -> None:
        self._path, self._name, self._fields = path, name, fields

    def __iter__(self) -> Iterator[Any]:
        with _field(self._path, self._name) as text:
            if text is None:
                raise _missing(self._path, self._name)
            text.expect("[")
            number = 0
            while not text.follows("]"):
                value = text.value()
                self._check(value, number)
                yield value
                text.follows(",")
                number += 1

    def _check(self, value: Any, number: int) -> None:
        for field in self._fields:
            if not isinstance(value, dict) or field not in value:
                raise BadInput(
                    file=str(self._path),
                    field=f"{self._name} {number}: {field}",
                    found=str(value)[:80],
                    expected=f"an object with {', '.join(self._fields)}",
                    remedy="use the benchmark's official file",
                )


def json_field(path: Path, name: str, optional: bool = False) -> Any:
    """The value of a field of the JSON object in a file, of which no more is read than comes before it.

    Raises `BadInput` as `JsonArray`; a field that is ``optional`` and not there is None.
    """
    with _field(path, name) as text:
        if text is None and not optional:
            raise _missing(path, name)
        return text and text.value()


def _missing(path: Path, name: str) -> BadInput:
    return BadInput(
        file=str(path),
        field=name,
        found="no such field",
        expected=f"an object with a field {name}",
        remedy="use the benchmark's official file",
    )


@contextmanager
def _field(path: Path, name: str) -> Iterator["_Text | None"]:
    """The text of a file from the value of a field on, None if there is no such field."""
    if not path.is_file():
        raise BadInput(
            file=str(path), field="(file)", found="no such file", expected="a JSON file", remedy="check the path"
        )
    with open(path, encoding="utf-8-sig") as file:
        text = _Text(file, path)
        text.expect("{")
        while not text.follows("}"):
            found = text.value()
            text.expect(":")
            if found == name:
                yield text
                return
            text.skip()
            text.follows(",")
        yield None


class _Text:
    """What is left of a file, decoded from the front."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path = file, path
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._read = "", 0, 0

    def follows(self, mark: str) -> bool:
        """Whether `mark` is next; if so it is passed over."""
        found = self._next() == mark
        self._at += found
        return found

    def expect(self, mark: str) -> None:
        """Pass over `mark`."""
        if not self.follows(mark):
            raise self._bad(f"{self._next() or 'the end'!r} where {mark!r} should be")

    def value(self) -> Any:
        """The next value."""
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self._bad(error.msg) from error
                continue
            if self._text[end : end + 1] not in _AFTER and self._more():
                continue  # a number that goes on
            self._at = end
            return value

    def skip(self) -> None:
        """Pass over the next value; over an array element by element."""
        if not self.follows("["):
            self.value()
            return
        while not self.follows("]"):
            self.value()
            self.follows(",")

    def _next(self) -> str:
        """The next character that is no blank, '' at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _more(self) -> bool:
        chunk = self._file.read(CHUNK)
        self._text, self._at = self._text[self._at :] + chunk, 0
        self._read += len(chunk)
        return bool(chunk)

    def _bad(self, found: str) -> BadInput:
        return BadInput(
            file=str(self._path),
            field=f"character {self._read - len(self._text) + self._at + 1}",
            found=found,
            expected="JSON",
            remedy="the file is cut off or not JSON: fetch it again",
        )
