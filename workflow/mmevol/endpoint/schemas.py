"""JSON schemas of the replies, strict as structured output wants them: every property required, none besides."""

from typing import Any

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(name: str, item: dict[str, Any]) -> dict[str, Any]:
    return _object(**{name: {"type": "array", "items": item}})


STEP = _object(manipulation={"type": ["string", "null"]}, description=TEXT)
QA_FIELDS = {
    "question": TEXT,
    "answer": TEXT,
    "format": TEXT,
    "options": TEXTS,
    "objects": TEXTS,
    "skills": TEXTS,
    "steps": {"type": "array", "items": STEP},
}


def candidates_with(own: dict[str, Any]) -> dict[str, Any]:
    """The reply of a direction: candidates with `own` properties laid over the usual ones, or added."""
    return _list("candidates", _object(id=TEXT, **QA_FIELDS | own))


CANDIDATES = candidates_with({})
VERDICTS = _list(
    "verdicts",
    _object(
        id=TEXT,
        improved={"type": "boolean"},
        difficulty={"type": "number"},
        faithful={"type": "boolean"},
        image_needed={"type": "boolean"},
        reason=TEXT,
    ),
)
ANSWERS = _list("answers", _object(id=TEXT, answer=TEXT))

QAS = _list("qas", _object(**QA_FIELDS))
