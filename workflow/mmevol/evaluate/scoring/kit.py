"""The two versions of VLMEvalKit whose rules are kept, and where they differ."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from mmevol.evaluate.scoring.options import head_letter, reference_letter


@dataclass(frozen=True)
class Kit:
    """One version of the kit.

    ``letter``: the option matcher. ``period``: the full stops that yes/no extraction deletes. ``grouped``: rows of
    one index (modulo a million) are right together or not at all, and categories are looked up by index.
    ``formulas``: a prediction that begins with ``=``
    reads 0. ``renumbers_blink``: BLINK's rows are numbered anew. ``mathvista_retries``: which extraction is asked for
    again.
    """

    letter: Callable[[str, Mapping[str, str]], str | None]
    period: re.Pattern[str]
    grouped: bool
    formulas: bool
    renumbers_blink: bool
    mathvista_retries: Literal["no text", "no reply"]


REFERENCE = Kit(reference_letter, re.compile(r"\.(?!\d)"), True, True, True, "no text")
"""The copy that the reference ships."""

HEAD = Kit(head_letter, re.compile(r"(?<!\d)\.(?!\d)"), False, False, False, "no reply")
"""As of 2026-08."""
