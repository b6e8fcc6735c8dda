"""A study: one YAML file, read, resolved and validated.

``like: NAME`` beside other keys copies the entry of that name in the same mapping, own keys replace whole values;
``same_as: NAME`` does the same for endpoints. Chains are allowed; cycles and unknown names are errors.
"""

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mmevol.config.commands import AskSettings, CurateSettings, EliminateSettings, Run, ScratchSettings
from mmevol.config.endpoints import Endpoint, Identity
from mmevol.config.evaluate import Evaluate
from mmevol.config.evolve import Evolve
from mmevol.config.publish import Publish
from mmevol.config.section import Name, Section
from mmevol.config.seeds import Seeds
from mmevol.config.train import Train
from mmevol.records import BadInput


class Study(Section):
    """A whole study, resolved."""

    study: Name
    seed: int = 0
    endpoints: dict[Name, Endpoint] = {}
    seeds: Seeds
    evolve: Evolve = Evolve()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    publish: Publish = Publish()

    @property
    def results(self) -> str:
        """Where everything of the study lies; ``MMEVOL_RESULTS`` moves it."""
        return f"{os.environ.get('MMEVOL_RESULTS', 'results')}/{self.study}"

    @property
    def images_root(self) -> str | None:
        """Where the seed records' pictures lie: the study's own drawings, the folder given, or nowhere."""
        return f"{self.results}/seeds/images" if self.seeds.source in ("world", "photos") else self.seeds.images_root

    @property
    def shards(self) -> range:
        """The shards of the study."""
        return range(self.evolve.shards)

    def identity(self, endpoint: str) -> Identity:
        """What of an endpoint shapes its answers."""
        return self.endpoints[endpoint].identity()

    def run(self, **facts: Any) -> Run:
        """The facts of a run that commands are handed."""
        connections = {name: e.connection() for name, e in self.endpoints.items()}
        return Run(status=f"{self.results}/status", connections=connections, budget=self.evolve.budget, **facts)

    def curate_settings(self) -> CurateSettings:
        """Of `seeds curate`."""
        curate = self.seeds.curate
        assert curate
        return CurateSettings(
            shards=self.evolve.shards,
            endpoint=curate.endpoint,
            identity=self.identity(curate.endpoint),
            images_root=self.images_root,
            content_attempts=curate.content_attempts,
        )

    def ask_settings(self, evolution: str, round_: int) -> AskSettings:
        """Of `evolve ask`. Round 0 judges the seeds."""
        e = self.evolve.evolutions[evolution]
        return AskSettings(
            seed=self.seed,
            shards=self.evolve.shards,
            round=round_,
            directions=e.directions,
            evolver=e.endpoint,
            evolver_identity=self.identity(e.endpoint),
            checks=e.checks,
            content_attempts=e.content_attempts,
            qas_per_request=e.qas_per_request,
            judge=e.judge,
            judge_identity=self.identity(e.judge.endpoint) if e.judge else None,
            images_root=self.images_root,
        )

    def scratch_settings(self, evolution: str) -> ScratchSettings:
        """Of `evolve scratch`."""
        e = self.evolve.evolutions[evolution]
        return ScratchSettings(
            seed=self.seed,
            shards=self.evolve.shards,
            evolver=e.endpoint,
            evolver_identity=self.identity(e.endpoint),
            checks=e.checks,
            qas_per_request=e.qas_per_request,
            images_root=self.images_root,
        )

    def eliminate_settings(self, evolution: str, round_: int) -> EliminateSettings:
        """Of `evolve eliminate`."""
        eliminate = self.evolve.evolutions[evolution].eliminate
        return EliminateSettings(thresholds=eliminate.at(round_) if eliminate else None)


def _likeness(section: dict[str, Any], word: str, where: str, file: str) -> dict[str, Any]:
    """A mapping of entries with every ``word: NAME`` replaced by what it points at."""
    done: dict[str, Any] = {}

    def resolve(name: str, chain: tuple[str, ...]) -> Any:
        entry = section[name]
        if name in done or not isinstance(entry, dict) or not isinstance(entry.get(word), str):
            return done.get(name, entry)
        target = entry[word]
        if target not in section or target in chain:
            raise BadInput(
                file=file,
                field=f"{where}.{name}.{word}",
                found=" -> ".join([*chain, target]) if target in chain else target,
                expected=f"the name of another entry of {where}: {', '.join(k for k in section if k != name)}",
                remedy="name an existing entry" if target not in section else "break the circle",
            )
        return resolve(target, (*chain, target)) | {k: v for k, v in entry.items() if k != word}

    for name in section:
        done[name] = resolve(name, (name,))
    return done


def resolve(raw: dict[str, Any], file: str) -> Study:
    """Resolve and validate the content of a study file. Raises `BadInput` that names file, field, found, expected, remedy."""
    for word, path in (
        ("same_as", ("endpoints",)),
        ("like", ("evolve", "evolutions")),
        ("like", ("train", "backbones")),
        ("like", ("train", "arms")),
    ):
        raw = _replaced(raw, path, lambda section, word=word, path=path: _likeness(section, word, ".".join(path), file))
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise _bad(error, raw, file) from None
    _check_names(study, file)
    return study


def _replaced(value: dict[str, Any], path: tuple[str, ...], change: Any) -> dict[str, Any]:
    """A copy of nested mappings with the one at `path` changed, if it is there."""
    head, *rest = path
    if not isinstance(value.get(head), dict):
        return value
    return value | {head: _replaced(value[head], tuple(rest), change) if rest else change(value[head])}


def _bad(error: ValidationError, raw: dict[str, Any], file: str) -> BadInput:
    first = error.errors()[0]
    place = [str(p) for p in first["loc"]]
    expected, found = first["msg"].removeprefix("Value error, "), repr(first["input"])
    remedy = "mend the value; config/README.md explains every key"
    if first["type"] == "extra_forbidden":
        known = _known_keys(place[:-1])
        expected, found = f"one of: {', '.join(known)}" if known else "no such key", f"unknown key {place[-1]!r}"
        remedy = "mend the spelling or take the key out; config/README.md explains every key"
    elif first["type"] == "missing":
        found, remedy = "nothing", "add the key"
    more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    return BadInput(
        file=file, field=".".join(place) or "(whole)", found=found[:200] + more, expected=expected, remedy=remedy
    )


def _known_keys(place: list[str]) -> list[str]:
    """The keys that a section knows, by walking the JSON schema along `place`."""
    schema = Study.model_json_schema(by_alias=True)
    node: dict[str, Any] = schema

    def deref(n: dict[str, Any]) -> dict[str, Any]:
        for option in n.get("anyOf", n.get("oneOf", [])):
            if "$ref" in option or "properties" in option:
                return deref(option)
        return schema["$defs"][n["$ref"].rsplit("/", 1)[1]] if "$ref" in n else n

    for part in place:
        node = deref(node)
        node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        if not isinstance(node, dict):
            return []
    return list(deref(node).get("properties", {}))


def _check_names(study: Study, file: str) -> None:
    """Every name that points into another section must be there."""

    def known(field: str, name: str | None, among: Any, remedy: str = "name an existing one") -> None:
        if name is not None and name not in among:
            raise BadInput(
                file=file,
                field=field,
                found=name,
                expected=f"one of: {', '.join(among) or '(none defined)'}",
                remedy=remedy,
            )

    if study.seeds.curate:
        known("seeds.curate.endpoint", study.seeds.curate.endpoint, study.endpoints)
    for name, e in study.evolve.evolutions.items():
        where = f"evolve.evolutions.{name}"
        known(f"{where}.endpoint", e.endpoint, study.endpoints)
        known(f"{where}.judge.endpoint", e.judge.endpoint if e.judge else None, study.endpoints)
        known(f"{where}.calls.same_as", e.calls.same_as if e.calls else None, study.evolve.evolutions)
    for name, entries in study.train.mixtures.items():
        for place, entry in enumerate(entries):
            known(f"train.mixtures.{name}.{place}.evolution", entry.evolution, study.evolve.evolutions)
    known("evaluate.judge", study.evaluate.judge, study.endpoints)
    known("publish.main_evolution", study.publish.main_evolution, study.evolve.evolutions)
    for place, arm in enumerate(study.evaluate.blind):
        known(f"evaluate.blind.{place}", arm, study.train.arms)


def load(path: str | Path) -> Study:
    """Read a study file. Raises `BadInput`."""
    file = str(path)
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(
            file=file,
            field="(file)",
            found="no such file",
            expected="a study in YAML",
            remedy="give the path of a study",
        ) from None
    except yaml.YAMLError as error:
        raise BadInput(
            file=file, field="(file)", found=str(error), expected="YAML", remedy="mend the line that is named"
        ) from None
    if not isinstance(raw, dict):
        raise BadInput(
            file=file, field="(file)", found=type(raw).__name__, expected="a mapping", remedy="see config/README.md"
        )
    return resolve(raw, file)
