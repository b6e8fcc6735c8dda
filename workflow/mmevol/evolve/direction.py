"""A direction: how it asks for a rewrite, and what it accepts. Read from a folder; the package's own and a study's alike.

``direction.yaml``  its name (`mmevol.config.directions.Manifest`)
``prompt.jinja``    the instructions; may extend ``shared.jinja``. It never sees a record
``schema.json``     JSON schemas of properties that are laid over, or added to, those of a candidate (optional)
``examples.json``   a list of worked examples, each with a ``reply`` that fits the schema (optional)
``validators.py``   ``VALIDATORS``: functions of Q&A and record that say why a candidate is rejected, or None (optional)
"""

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from mmevol.config.directions import Plugin, folder_digest, folder_of, manifest
from mmevol.endpoint.ask import Rejected
from mmevol.endpoint.schemas import CANDIDATES, QA_FIELDS, candidates_with
from mmevol.records import QA, BadInput, Reason, SeedRecord, canonical, digest, fraction

Validator = Callable[[QA, SeedRecord], str | None]

BUILT_IN = Path(__file__).parent / "directions"
SHARED = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Direction:
    """What a folder holds. ``instructions``: the same for every record, so that they are a cached prefix. ``drawn``: lists by
    name, of which a record gets one entry. ``own``: the properties of ``schema`` that are not every direction's. ``prompt``: 12 hex
    digits over all that shapes a request, for the lineage."""

    name: str
    base: str
    instructions: str
    schema: dict[str, Any]
    own: dict[str, Any]
    prompt: str
    reason: Reason
    validators: Sequence[Validator]
    drawn: dict[str, list[Any]]

    def data(self, seed: int, record: str, round_: int) -> dict[str, Any]:
        """What a record gets in a round, from a hash."""
        at = {name: fraction(seed, record, round_, self.name, name) for name in self.drawn}
        return {name: some[int(at[name] * len(some))] for name, some in self.drawn.items()}

    def unfit(self, item: Any) -> Rejected | None:
        """Why a reply item does not fit the properties that are the direction's own."""
        return _unfit(item, self.own) if self.own else None

    def fault(self, qa: QA, record: SeedRecord) -> Rejected | None:
        """What the direction's validators have against a candidate."""
        said = next(filter(None, (validator(qa, record) for validator in self.validators)), None)
        return Rejected(self.reason, said) if said else None


def _unfit(item: Any, own: dict[str, Any]) -> Rejected | None:
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft7Validator({"type": "object", "properties": own, "required": list(own)}).iter_errors(item))
    return Rejected(Reason.SCHEMA, f"field {'.'.join(map(str, error.path))}: {error.message}") if error else None


@cache
def direction(name: str, plugin: Plugin | None = None) -> Direction:
    """A direction of the package, or the study's own that `plugin` names, whose code is then run. Raises `BadInput`."""
    if plugin is None:
        return read(BUILT_IN / name)
    folder = folder_of(plugin.source)
    if (now := folder_digest(folder)) != plugin.digest:
        raise BadInput(
            file=str(folder),
            field="(files)",
            found=f"digest {now}",
            expected=plugin.digest,
            remedy="the folder changed after the run had begun: run again",
        )
    return read(folder)


def read(folder: Path) -> Direction:
    """A direction from its folder. Raises `BadInput` that names the file."""
    of = manifest(folder)
    own = _schema(folder / "schema.json")
    schema = candidates_with(own) if own else CANDIDATES
    examples = _json(folder / "examples.json", list) or []
    for place, example in enumerate(examples):
        reply = example.get("reply") if isinstance(example, dict) else None
        if wrong := _unfit(reply, QA_FIELDS | own):
            raise _bad(
                folder / "examples.json", f"{place}.reply", wrong.message, "a candidate by the schema, without id"
            )
    drawn = {name: _json(folder / file, list) for name, file in of.draw.items()}
    if empty := [name for name, some in drawn.items() if not some]:
        raise _bad(folder / of.draw[empty[0]], f"draw.{empty[0]}", "nothing", "a list with at least one entry")
    text = _instructions(folder, examples, [name for name in own if name not in QA_FIELDS])
    more = [canonical(part) for part in (examples, drawn) if part]
    return Direction(
        name=of.name,
        base=of.base or "",
        instructions=text,
        schema=schema,
        own=own,
        prompt=digest(text, canonical(schema), *more)[:12],
        reason=of.reason,
        validators=_validators(folder / "validators.py"),
        drawn=drawn,
    )


def environment(*folders: Path) -> SandboxedEnvironment:
    """Templates of these folders, run in a sandbox."""
    env = SandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folders), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    env.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return env


def _instructions(folder: Path, examples: list[Any], extra: list[str]) -> str:
    try:
        template = environment(folder, SHARED).get_template("prompt.jinja")
        return template.render(examples=examples, extra=extra).strip() + "\n"
    except (jinja2.TemplateError, OverflowError) as error:
        found = f"{type(error).__name__}: {error}"
        raise _bad(folder / "prompt.jinja", "(template)", found, "a Jinja2 template that runs in a sandbox") from error


def _schema(file: Path) -> dict[str, Any]:
    own: dict[str, Any] = _json(file, dict) or {}
    if own:
        from jsonschema import Draft7Validator, SchemaError

        try:
            Draft7Validator.check_schema({"properties": own})
        except SchemaError as error:
            where = ".".join(map(str, error.path)).removeprefix("properties.")
            raise _bad(file, where, error.message, "a JSON schema, draft 7, by property") from None
    if "id" in own:
        raise _bad(file, "id", "a property of that name", "other properties: by `id` a reply finds its parent")
    return own


def _json(file: Path, kind: type[dict[str, Any]] | type[list[Any]]) -> Any:
    """The content of an optional file."""
    if not file.exists():
        return None
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _bad(file, "(file)", str(error), "JSON in UTF-8") from None
    if not isinstance(value, kind):
        raise _bad(file, "(whole)", type(value).__name__, f"a {kind.__name__}")
    return value


def _validators(file: Path) -> Sequence[Validator]:
    if not file.exists():
        return ()
    spec = importlib.util.spec_from_file_location(f"mmevol_direction_{digest(str(file))[:8]}", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _bad(file, "(code)", f"{type(error).__name__}: {error}", "a module that can be run by itself") from error
    found = getattr(module, "VALIDATORS", None)
    if not isinstance(found, tuple) or not found or not all(map(callable, found)):
        expected = "a tuple of functions (qa, record) -> why it is rejected, or None"
        raise _bad(file, "VALIDATORS", repr(found), expected)
    return found


def _bad(file: Path, field: str, found: str, expected: str) -> BadInput:
    remedy = "docs/directions.md says how a direction's folder looks"
    return BadInput(file=str(file), field=field, found=found, expected=expected, remedy=remedy)
