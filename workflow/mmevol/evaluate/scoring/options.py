"""The kit's option matcher: from a free reply to an option letter.

Source: VLMEvalKit's matching of replies to options, in the copy that the reference ships (`reference_letter`) and as of
2026-08 (`head_letter`). ``Z`` stands for "none of them" and for refusals.
"""

import re
from collections.abc import Mapping

NO_REPLY = "Failed to obtain answer via API"
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_STATED = re.compile(r"answer\s+is\s+\**([ABCD])", re.IGNORECASE)


def reference_letter(reply: str, options: Mapping[str, str]) -> str | None:
    """The letter that a reply names, else the only option whose text it contains, else None."""
    if NO_REPLY not in reply:
        if any(refusal in reply for refusal in REFUSALS):
            return "Z"
        tokens = reply.translate(_SEPARATORS).split()
        named = [letter for letter in options if letter in tokens]
        if len(named) == 1:
            return named[0]
        if not named and "Z" in tokens:
            return "Z"
    return _by_text(reply, options)


def head_letter(reply: str, options: Mapping[str, str]) -> str | None:
    """As `reference_letter`, but a letter counts only among the last four tokens or after "answer is".

    Option texts are looked for only in a reply of at most twice their length together.
    """
    if NO_REPLY not in reply:
        if any(refusal in reply for refusal in REFUSALS):
            return "Z"
        tokens = reply.translate(_SEPARATORS).split()
        named = [letter for letter in options if letter in tokens]
        if len(named) == 1 and tokens.index(named[0]) > len(tokens) - 5:
            return named[0]
        if not named and "Z" in tokens:
            return "Z"
        stated = _STATED.search(reply)
        if stated and stated[1].upper() in options:
            return stated[1].upper()
    if len(reply.lower()) > 2 * sum(map(len, options.values())):
        return None
    return _by_text(reply, options)


def _by_text(reply: str, options: Mapping[str, str]) -> str | None:
    lowered = reply.lower()
    contained = [letter for letter, option in options.items() if option.lower() in lowered]
    return contained[0] if len(contained) == 1 else None
