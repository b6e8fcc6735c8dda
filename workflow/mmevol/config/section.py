"""What all sections of a study share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mmevol.records import canonical

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""A key that becomes a folder name and a wildcard."""

Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def dump(self) -> str:
        """What goes into params and to a command's ``--settings``: JSON, defaults left out."""
        return canonical(self.model_dump(mode="json", exclude_defaults=True, by_alias=True))


class Settings(Section):
    """What one command may see of a study: its rule's params. `version` is bumped by hand, in the model of the command, when the
    command's code changes what it makes; version 1 stands in no params."""

    version: int = 1

    def dump(self) -> str:
        """As of a section; a bumped version is not left out, default though it is."""
        bumped = {"version": self.version} if self.version != 1 else {}
        return canonical(self.model_dump(mode="json", exclude_defaults=True, by_alias=True) | bumped)


def switch(schema: dict[str, Any]) -> None:
    """Adds to the JSON schema of a gate what `switched` takes besides."""
    schema["anyOf"].append({"type": "boolean"})


def switched(value: Any, key: str) -> Any:
    """A gate given as true or false: its defaults, or none."""
    if isinstance(value, dict) and isinstance(value.get(key), bool):
        return value | {key: {} if value[key] else None}
    return value
