"""What a question of the reasoning direction must have."""

import re

from mmevol.records import QA, SeedRecord

CUE = re.compile(
    r"\b(?:step[- ]by[- ]step|think|reason(?:ing)?|explain|justify|walk (?:me )?through|show (?:how|your)|work (?:it )?out"
    r"|why|how (?:do|did|can) you (?:know|tell)|before (?:you )?(?:answer|conclud)\w*)\b"
)
"""A request to reason, in lower case."""


def ends_with_a_cue(qa: QA, record: SeedRecord) -> str | None:
    """The last sentence of the question asks to reason (paper section 3.2)."""
    if CUE.search(re.split(r"(?<=[.?!])\s+", qa.question)[-1].lower()):
        return None
    return "the question must end with a cue to reason step by step"


VALIDATORS = (ends_with_a_cue,)
