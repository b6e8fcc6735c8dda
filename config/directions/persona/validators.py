"""What a question of the persona direction must not say. Run on every candidate, before it is judged."""

import re

from mmevol.records import QA, SeedRecord

PERSON = re.compile(
    r"\b(?:persona|as an? (?:\w+ ){0,3}\w+er,|imagine (?:that )?you are|from the point of view)\b", re.IGNORECASE
)


def names_no_person(qa: QA, record: SeedRecord) -> str | None:
    """The person decides what is asked and stays out of the question."""
    if found := PERSON.search(qa.question):
        return f"the question says {found[0]!r}; ask it so that anybody could have asked"
    return None


VALIDATORS = (names_no_person,)
