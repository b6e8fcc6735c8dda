"""The environments of `envs/` hold what `make setup` installs for their role, to the last dependency and version."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
ENVS = ROOT / "envs"
ROLES = {"base": ("batch", "score", "workflow"), "train-gpu": ("train",)}
"""The extras of the package that each environment holds."""
ELSEWHERE = {"snakemake", "setuptools"}
"""Snakemake activates the environments from outside; conda's pip brings setuptools."""

CUDA = ("nvidia-", "cuda-", "triton")
"""What a build of torch for GPUs brings, in versions that it names itself; one for CPUs brings none of it."""


def pins(lines: list[str]) -> dict[str, str]:
    """Versions by name of ``name==version`` lines."""
    found = (re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)", line.split("#")[0].strip()) for line in lines)
    return {canonicalize_name(match[1]): match[2] for match in found if match}


CONSTRAINTS = pins((ENVS / "constraints.txt").read_text().splitlines())


def listed(role: str) -> list[str]:
    """What pip installs into an environment."""
    parts = yaml.safe_load((ENVS / f"{role}.yaml").read_text())["dependencies"]
    return next(part["pip"] for part in parts if isinstance(part, dict))


def needed(role: str) -> set[str]:
    """What the package needs for a role, and what that needs, on this platform."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(r for extra in ROLES[role] for r in project["optional-dependencies"][extra])]
    found: set[str] = set()
    todo = [Requirement(text) for text in asked]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found | ELSEWHERE or name.startswith(CUDA):
            continue
        found.add(name)
        own = map(Requirement, distribution(name).requires or [])
        extras = requirement.extras or {""}
        todo += [r for r in own if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras)]
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_pinned_whole_and_as_make_setup_does(role: str) -> None:
    wanted = {name: CONSTRAINTS[name] for name in needed(role)}
    lines = "\n".join(f"      - {name}=={version}" for name, version in sorted(wanted.items()))
    assert pins(listed(role)) == wanted, f"the pip list of envs/{role}.yaml should be:\n{lines}"


@pytest.mark.parametrize("role", [*ROLES, "serve"])
def test_every_line_of_an_environment_is_an_exact_pin(role: str) -> None:
    assert len(pins(listed(role))) == len(listed(role))


def test_the_container_takes_the_same_pins_and_build() -> None:
    container, deploy = (ENVS / "train-gpu.def").read_text(), (ENVS / "train-gpu.post-deploy.sh").read_text()
    assert "-c envs/constraints.txt" in container
    assert "envs/flash-attn.sh" in container and "envs/flash-attn.sh" in deploy
