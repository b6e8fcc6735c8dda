"""Directions that a study brings along: where they lie, and what is known of them before any of their code runs.

A direction is a folder; ``direction.yaml`` in it says what it is called. The package's own lie in ``evolve/directions``.
"""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from mmevol.config.section import Name, Section
from mmevol.records import DIRECTIONS, BadInput, Reason, digest

GROUP = "mmevol.directions"
"""The group of Python entry points that name packages holding a direction's folder."""

RESERVED = (*DIRECTIONS, "seed", "fresh")


class Manifest(Section):
    """``direction.yaml``: what a direction is called, and what else lies in its folder."""

    name: Name
    base: Literal["perceptual", "reasoning", "interactive"] | None = Field(
        default=None,
        description="the direction that it is like: the embedded teacher, which knows these, rewrites by it",
    )
    reason: Reason = Field(default=Reason.DIRECTION_RULE, description="what its validators' rejections are counted as")
    draw: dict[Name, Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]] = Field(
        default={},
        description="by name, a JSON list in the folder; a record gets one entry a round, in the block's `data`",
    )


class Plugin(Section):
    """A direction of the study's own. ``source``: as the study names it; ``digest``: over all files of its folder."""

    name: Name
    source: str
    digest: str
    base: str = ""


def folder_of(source: str) -> Path:
    """The folder that a study names: a path (with a slash), or an entry point of the group. Raises `BadInput`."""
    if "/" in source:
        return Path(source)
    points = importlib.metadata.entry_points(group=GROUP)
    modules = {point.module for point in points if point.name == source}
    spec = importlib.util.find_spec(modules.pop()) if len(modules) == 1 else None
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(
            file="the study",
            field="evolve.direction_plugins",
            found=source,
            expected=f"a folder (written with a slash), or one of the entry points {GROUP}: {sorted(points.names)}",
            remedy="mend the name, or install the package that brings the direction",
        )
    return Path(spec.submodule_search_locations[0])


def manifest(folder: Path) -> Manifest:
    """What a folder says of itself. Raises `BadInput`."""
    file, field, expected = folder / "direction.yaml", "(file)", "a mapping in YAML with at least `name`"
    try:
        return Manifest.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        field, found, expected = ".".join(map(str, first["loc"])) or field, repr(first["input"]), first["msg"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = str(error)
    raise BadInput(
        file=str(file), field=field, found=found, expected=expected, remedy="docs/directions.md says how a folder looks"
    )


def folder_digest(folder: Path) -> str:
    """16 hex digits over name and content of every file, but what Python and editors leave behind."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    parts: list[str | bytes] = []
    for path in files:
        name = path.relative_to(folder)
        if not any(part.startswith((".", "__pycache__")) for part in name.parts):
            parts += [name.as_posix(), path.read_bytes()]
    return digest(*parts)[:16]


def plugin(value: Any) -> Any:
    """A plug-in as a study names it, looked up and read; none of its code runs. Raises `BadInput`."""
    if not isinstance(value, str):
        return value
    folder = folder_of(value)
    found = manifest(folder)
    if found.name in RESERVED:
        raise BadInput(
            file=str(folder / "direction.yaml"),
            field="name",
            found=found.name,
            expected=f"a name that is not taken: not one of {', '.join(RESERVED)}",
            remedy="give the direction a name of its own",
        )
    return Plugin(name=found.name, source=value, digest=folder_digest(folder), base=found.base or "")


Named = Annotated[Plugin, BeforeValidator(plugin, json_schema_input_type=str)]
"""A plug-in in a study: the folder's path or the entry point's name."""
