"""What the JSON files of a benchmark must hold for its scorer; what else they hold is left alone."""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mmevol.records import BadInput


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, defer_build=True)


class Meta(_Shape):
    """meta.json."""

    mode: str | None = None
    consistency: bool = False
    quick_extract: bool = False


Reply = str | int | float | None


class Recording(_Shape):
    """Replies of one kind of judge: in row order, or by key one reply or several by attempt."""

    kind: Literal[
        "yes_no",
        "mcq",
        "blink_yes_no",
        "mathvista_extract",
        "mia",
        "mia_raw_score",
        "hallusion_verdict",
        "hallusion_same",
    ]
    replies: dict[str, Reply | Annotated[list[Reply], Field(min_length=1)]] | list[Reply]


class _Types(_Shape):
    structural: str
    semantic: str
    detailed: str


class _Groups(_Shape):
    group: str | None = Field(alias="global")


class _Step(_Shape):
    operation: Any
    argument: Any


class GqaQuestion(_Shape):
    """A question of GQA."""

    question: str
    answer: str
    isBalanced: bool
    entailed: list[str]
    types: _Types
    groups: _Groups
    semantic: list[_Step]
    imageId: str | int


class GqaChoices(_Shape):
    """What GQA takes for possible answers to a question."""

    valid: list[str]
    plausible: list[str]


class MiaItem(_Shape):
    """An item of MIA-Bench."""

    image: str
    instruction: str
    components: list[Any]
    component_weight: list[Any]
    component_type: list[str]


class LanguageMap(_Shape):
    """nlp_map.json."""

    unit_stripper: dict[str, str] = {}
    synonyms: list[Annotated[list[str | bool], Field(min_length=3, max_length=3)]] = []
    nouns: list[str] | None = None


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def check(value: Any, shape: Any, file: str, field: str = "") -> None:
    """Raise `BadInput` for the first thing in which a value is not of a shape (a type); ``field``: where it stands."""
    try:
        _adapter(shape).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        missing, object_ = first["type"] == "missing", first["type"] == "model_type"
        raise BadInput(
            file=file,
            field=": ".join(filter(None, (field, _place(value, first["loc"], missing)))) or "(file)",
            found="nothing" if missing else str(first["input"])[:80],
            expected="an object" if object_ else first["msg"][0].lower() + first["msg"][1:],
            remedy="use the benchmark's official file, or write it as the documentation says",
        ) from error


def _place(value: Any, path: tuple[int | str, ...], missing: bool) -> str:
    """Keys and positions on the way to what is wrong, without the names of the types that were tried."""
    place = []
    for part in path:
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int)):
            value = value[part]  # type: ignore[index]
            place.append(str(part))
    return ".".join([*place, str(path[-1])] if missing else place)
