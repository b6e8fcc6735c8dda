"""Every kind of data that the study holds, defined once.

A *seed record* is an image with its annotations and Q&A. A *version* is one Q&A at one point of its line: the seed, or what a
round made of it. A *verdict* is one judge's named scores of a candidate; an *outcome* says what became of a parent in a round.
Boxes are ``[x1, y1, x2, y2]``, fractions of width and height in 0..1, top-left and bottom-right corner, inside the image.
"""

import hashlib
import json
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator, field_validator

REQUEST_SCHEMA: Literal["mmevol-request/1"] = "mmevol-request/1"

Direction = str
"""``perceptual``, ``reasoning``, ``interactive``, a study's own, or ``seed`` (not evolved) and ``fresh`` (written from scratch)."""

DIRECTIONS = ("perceptual", "reasoning", "interactive")
"""The paper's three (section 3.2), which the embedded teacher knows."""

SKILLS = (
    "grounding",
    "referencing",
    "calculating",
    "ocr",
    "existence",
    "relationship",
    "context",
    "behaviour",
    "knowledge",
)
"""The five vision-centric and four language-centric atomic capabilities (paper section 3.1)."""

FORMATS = (
    "Norm",
    "multiple choice",
    "fill in the blank",
    "yes/no",
    "region selection",
    "missing-object selection",
    "text-image matching",
    "object-region matching",
    "completeness of response",
    "image style classification",
    "art type",
    "rationales generation",
    "text detection",
    "text translation",
    "coreference resolution",
    "instruction following",
    "depth order",
    "relative distance",
    "creative content generation",
    "complex reasoning",
    "detailed description",
)
"""Question forms: the seed's ``Norm``, the interactive direction's formats and the two that the reasoning direction names."""


class BadInput(Exception):
    """Something that a person gave is wrong; the command line ends with exit code 2 and shows this message.

    ``file`` where it stands (record key or line behind a colon), ``field`` which one, ``found``, ``expected``, ``remedy``.
    """

    def __init__(self, *, file: str, field: str, found: str, expected: str, remedy: str) -> None:
        self.file, self.field, self.found, self.expected, self.remedy = file, field, found, expected, remedy
        super().__init__(
            f"{file}\n  field:    {field}\n  found:    {found}\n  expected: {expected}\n  remedy:   {remedy}"
        )


class Record(BaseModel):
    """Base of all records: unknown fields are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def prefixed(*parts: str | bytes | int) -> bytearray:
    """The parts in a row, each after its length, so that ('ab', 'c') differs from ('a', 'bc')."""
    out = bytearray()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        out += len(data).to_bytes(8, "big")
        out += data
    return out


def digest(*parts: str | bytes | int) -> str:
    """64 hex digits over the parts, each after its length."""
    return hashlib.sha256(prefixed(*parts)).hexdigest()


def fraction(*parts: str | bytes | int) -> float:
    """A number in [0, 1) drawn from the digest of the parts: every draw of the study is one of these."""
    return int(digest(*parts)[:13], 16) / 16**13


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the form that is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that hold something."""
    return {name: value for name, value in fields.items() if value}


def _inside(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
        raise ValueError("expected 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1")
    return box


Box = Annotated[tuple[float, float, float, float], Field(description="x1, y1, x2, y2 in 0..1")]


class Object(Record):
    """An annotated thing in the picture. ``attributes``: what is known of it, e.g. color, size, shape, text (printed glyphs)."""

    label: str = Field(min_length=1)
    bbox: Box
    attributes: dict[str, str] = {}

    _box_inside = field_validator("bbox")(_inside)


class Objects(list[Object]):
    """The objects of a record, which all requests about it carry."""

    @cached_property
    def encoded(self) -> orjson.Fragment:
        """As JSON, empty attributes left out."""
        return orjson.Fragment(orjson.dumps([vars(o) if o.attributes else _filled(vars(o)) for o in self]))


def _kept(value: Any, validate: ValidatorFunctionWrapHandler) -> Objects:
    return value if isinstance(value, Objects) else Objects(validate(value))


Things = Annotated[list[Object], WrapValidator(_kept)]


class Step(Record):
    """One step of the solution. ``manipulation``: text ``f(x)->y`` (paper figure 3: Grounding, Referring, Calculate, OCR
    …) or None.
    """

    manipulation: str | None = None
    description: str


class QA(Record):
    """A question, its answer and how the answer is found.

    ``options`` holds the option texts in order, without letters (empty for open questions); then ``answer`` is one of them,
    to the letter. ``objects``: general categories that the question involves. ``skills``: of `SKILLS`.
    """

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    format: str = "Norm"
    options: list[str] = []
    objects: list[str] = []
    skills: list[str] = []
    steps: list[Step] = []
    image_position: str = "single"


class SeedRecord(Record):
    """An image with its annotations and Q&A (the reference's format and more). ``key``: `hash_id` where given, else
    `id`; unique in a study.
    """

    key: str = Field(min_length=1)
    id: str
    image: str | None = Field(description="path below seeds.images_root; None: the study has no pictures")
    image_digest: str | None = Field(description="sha256 of the image file's bytes")
    width: int | None = None
    height: int | None = None
    caption: str = ""
    objects: Things = []
    qas: list[QA] = []
    curated: bool = Field(default=False, description="the Q&A were written by the teacher in the curation step")
    split: Literal["train", "heldout"] = "train"
    source: str = ""
    licence: str = "unknown"
    attribution: str = ""
    topics: list[str] = []


class Reason(StrEnum):
    """Why a parent has no surviving candidate in a round."""

    # failed: no structurally valid candidate after the content attempts
    MISSING = "missing"
    INVALID_JSON = "invalid_json"
    SCHEMA = "schema"
    TRUNCATED = "truncated"
    REFUSAL = "refusal"
    CONTENT_FILTER = "content_filter"
    EMPTY_ANSWER = "empty_answer"
    META_WORDS = "meta_words"
    INVENTED_BOX = "invented_box"
    OPTIONS_WITHOUT_ANSWER = "options_without_answer"
    NO_REASONING_CUE = "no_reasoning_cue"
    DIRECTION_RULE = "direction_rule"
    # eliminated: a valid candidate turned down
    UNJUDGED = "unjudged"
    NOT_IMPROVED = "not_improved"
    TOO_EASY = "too_easy"
    UNFAITHFUL = "unfaithful"
    IMAGE_NOT_NEEDED = "image_not_needed"
    ANSWERED_BLIND = "answered_blind"
    NEAR_DUPLICATE = "near_duplicate"


class Verdict(Record):
    """One named score of a candidate by one judge. Booleans are 0.0 or 1.0; ``difficulty`` is 0 to 10.

    Names: ``improved``, ``difficulty``, ``faithful``, ``image_needed`` (the judge's), ``answered_blind`` (the blind check's).
    """

    judge: str
    name: str
    value: float
    reason: str = ""


class Version(Record):
    """A Q&A on its line. The seed version has round 0, direction ``seed``, parent ''. ``line`` is the id of the seed version."""

    id: str
    line: str
    record: str
    parent: str
    round: int
    direction: Direction
    qa: QA


def qa_id(record: str, parent: str, round_: int, direction: str, qa: QA) -> str:
    """The id of a Q&A: 24 hex digits over record key, parent id, round, direction and canonical content."""
    content = orjson.dumps(
        qa.model_dump(), option=orjson.OPT_SORT_KEYS
    )  # for texts the same as `canonical`, only faster
    return digest(record, parent, round_, direction, content)[:24]


class Frontier(Record):
    """The newest surviving version of a line, and the question and answer of every earlier one (oldest first)."""

    version: Version
    history: list[str] = []


class Candidate(Record):
    """What a round made of one parent: a valid candidate with its verdicts, or the reason that there is none.

    ``prompt``: digest of the prompt (instructions, schema, worked examples, what is drawn from); ``model``: the evolver's name.
    """

    parent: Version
    round: int
    direction: Direction
    version: Version | None
    failed: Reason | None
    verdicts: list[Verdict] = []
    prompt: str = ""
    model: str = ""


class Outcome(Record):
    """One row of the ledger: what became of a parent in a round. ``candidate`` is '' where it failed."""

    record: str
    line: str
    parent: str
    round: int
    direction: Direction
    outcome: Literal["survived", "eliminated", "failed"]
    reason: str = ""
    candidate: str = ""


class RequestQA(Record):
    """A Q&A as a request carries it; its ``id`` is to be echoed."""

    id: str
    question: str
    answer: str = ""
    format: str = "Norm"
    options: list[str] = []
    objects: list[str] = []
    skills: list[str] = []
    steps: list[Step] = []

    def lean(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        said = {name: value for name, value in vars(self).items() if value != _DEFAULTS.get(name)}
        if self.steps:
            said["steps"] = [
                vars(s) if s.manipulation is not None else {"description": s.description} for s in self.steps
            ]
        return said


_DEFAULTS = {name: field.default for name, field in RequestQA.model_fields.items() if not field.is_required()}


Task = Literal[
    "curate",
    "evolve",
    "fresh",
    "judge",
    "blind",
    "match_option",
    "match_yes_no",
    "blink_yes_no",
    "extract_answer",
    "mia_score",
    "judge_answer",
    "answer",
    "judge_same",
]


class Request(BaseModel):
    """The fenced JSON block that ends every prompt, schema ``mmevol-request/1``.

    ``objects``: boxes as numbers in the endpoint's dialect (default: unit, 3 decimals). ``qas``: what to rewrite, judge or answer.
    ``compare_with``: for the judge, the version that each Q&A of ``qas`` is compared with, under the same id.
    ``family``: the one of `DIRECTIONS` that a study's own direction is like. ``data``: the fields of a benchmark judge's task, or
    what a direction draws for the record. Tasks and replies:

    - ``curate``: caption and objects, no qas -> ``{"qas": [QA …]}``
    - ``evolve``: qas, direction -> ``{"candidates": [{"id": parent id, …QA}]}``
    - ``fresh``: qas name the slots by id (their text is not to be used) -> as evolve
    - ``judge``: qas, compare_with -> ``{"verdicts": [{"id", "improved", "difficulty", "faithful", "image_needed", "reason"}]}``
    - ``blind``: one Q&A without answer, no caption, no objects -> ``{"answers": [{"id", "answer"}]}``
    - benchmark judges: ``data`` as each needs -> ``{"reply": text}``
    - ``answer``: a benchmark's question to a model that is measured; only kept so, it is sent as plain text
    """

    model_config = ConfigDict(extra="forbid")

    schema_: Literal["mmevol-request/1"] = Field(default=REQUEST_SCHEMA, alias="schema")
    task: Task
    direction: Direction = ""
    family: str = ""
    caption: str = ""
    objects: Things = []
    qas: list[RequestQA] = []
    compare_with: list[RequestQA] = []
    data: dict[str, Any] = {}

    def encoded(self) -> bytes:
        """As it is sent and kept: JSON, fields at their defaults left out."""
        said = {"schema": self.schema_, **_filled(vars(self))}
        del said["schema_"]
        if self.objects:
            said["objects"] = (self.objects if isinstance(self.objects, Objects) else Objects(self.objects)).encoded
        for name in ("qas", "compare_with"):
            if name in said:
                said[name] = [qa.lean() for qa in said[name]]
        return orjson.dumps(said)

    @property
    def aim(self) -> str:
        """The direction by whose rules a rewrite is made and judged."""
        return self.family or self.direction


class CandidateReply(Record):
    """One rewritten Q&A in a reply; ``id`` is the parent's, echoed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    question: str
    answer: str
    format: str
    options: list[str] = []
    objects: list[str]
    skills: list[str]
    steps: list[Step]


class JudgeReply(Record):
    """The judge's word on one candidate. ``difficulty`` 0 to 10."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    improved: bool
    difficulty: float = Field(ge=0, le=10)
    faithful: bool
    image_needed: bool
    reason: str = ""


class BlindReply(Record):
    """An answer that was given without seeing the image."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    answer: str


class Prediction(Record):
    """A model's answer to one benchmark row, as the benchmark's own result files spell it."""

    index: int | str
    prediction: str


ASK_LETTER = "\nAnswer with the option's letter from the given choices directly."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def turns(qa: QA) -> tuple[str, str]:
    """A Q&A as one human and one assistant turn. Options are lettered, and the answer is then a letter."""
    if not qa.options:
        return qa.question, qa.answer
    lines = "".join(f"\n{letter}. {option}" for letter, option in zip(LETTERS, qa.options, strict=False))
    return qa.question + lines + ASK_LETTER, LETTERS[qa.options.index(qa.answer)]
