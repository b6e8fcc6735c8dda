"""Reading a study: one YAML file, resolved and validated.

``like: NAME`` beside other keys copies the entry of that name in the same mapping, own keys replace whole values;
``same_as: NAME`` does the same for endpoints. Chains are allowed; cycles and unknown names are errors.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mmevol.config.evolve import PRESETS
from mmevol.config.study import Study
from mmevol.records import DIRECTIONS, BadInput


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
                expected=f"the name of another entry of {where}: {', '.join(str(k) for k in section if k != name)}",
                remedy="name an existing entry" if target not in section else "break the circle",
            )
        base = resolve(target, (*chain, target))
        own = {k: v for k, v in entry.items() if k != word}
        return base | own if isinstance(base, dict) else base  # what is no mapping is found wrong on validation

    for name in section:
        done[name] = resolve(name, (name,))
    return done


def _preset(evolutions: dict[str, Any], file: str) -> dict[str, Any]:
    """Evolutions with every ``preset: NAME`` replaced by the keys that it stands for; keys beside it win."""

    def written_out(name: str, entry: Any) -> Any:
        if not isinstance(entry, dict) or "preset" not in entry:
            return entry
        if entry["preset"] not in PRESETS:
            raise BadInput(
                file=file,
                field=f"evolve.evolutions.{name}.preset",
                found=repr(entry["preset"]),
                expected=f"one of: {', '.join(PRESETS)}",
                remedy="name one of them, or write the keys out",
            )
        return PRESETS[entry["preset"]] | {k: v for k, v in entry.items() if k != "preset"}

    return {name: written_out(name, entry) for name, entry in evolutions.items()}


LIKENESS: dict[tuple[str, ...], str] = {
    ("endpoints",): "same_as",
    ("evolve", "evolutions"): "like",
    ("train", "backbones"): "like",
    ("train", "arms"): "like",
}
"""Where an entry may copy another, and by which word."""


def resolve(raw: dict[str, Any], file: str) -> Study:
    """Resolve and validate the content of a study file. Raises `BadInput` that names file, field, found, expected, remedy."""
    raw = _replaced(raw, ("evolve", "evolutions"), lambda section: _preset(section, file))
    for path, word in LIKENESS.items():
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
    place = _place(first["loc"], raw, missing=first["type"] == "missing")
    expected, found = first["msg"].removeprefix("Value error, "), repr(first["input"])
    remedy = "mend the value; config/README.md explains every key"
    if first["type"] == "extra_forbidden":
        known = _known_keys(place[:-1], raw)
        expected, found = f"one of: {', '.join(known)}" if known else "no such key", f"unknown key {place[-1]!r}"
        remedy = "mend the spelling or take the key out; config/README.md explains every key"
    elif first["type"] == "missing":
        found, remedy = "nothing", "add the key"
    if place[-1:] == ["base_url"]:
        found = re.sub(r"(?<=//).*@|[?#].*", "***", found)  # where people put keys
    more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    return BadInput(
        file=file, field=".".join(place) or "(whole)", found=found[:200] + more, expected=expected, remedy=remedy
    )


def _place(loc: tuple[int | str, ...], raw: Any, *, missing: bool) -> list[str]:
    """The path of an error as the file has it: without the names of union members that pydantic puts in."""
    place = []
    for part in loc:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            continue
        place.append(str(part))
    return [*place, str(loc[-1])] if missing else place


def _known_keys(place: list[str], raw: Any) -> list[str]:
    """The keys that a section knows, by walking the JSON schema along `place`; `raw` says which member of a union it is."""
    schema = Study.model_json_schema(by_alias=True)
    node: dict[str, Any] = schema

    def deref(n: dict[str, Any]) -> dict[str, Any]:
        if "discriminator" in n:
            of = n["discriminator"]
            n = {"$ref": of["mapping"][raw[of["propertyName"]]]}
        for option in n.get("anyOf", n.get("oneOf", [])):
            if "$ref" in option or "properties" in option:
                return deref(option)
        return schema["$defs"][n["$ref"].rsplit("/", 1)[1]] if "$ref" in n else n

    for part in place:
        node = deref(node)
        by_name = [*node.get("patternProperties", {}).values(), node.get("additionalProperties"), node.get("items")]
        node = next(filter(None, [node.get("properties", {}).get(part), *by_name]), {})
        raw = raw[int(part) if isinstance(raw, list) else part]
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
    rewriting: list[str] = []
    directions = [*DIRECTIONS, *(p.name for p in study.evolve.direction_plugins)]
    for name, e in study.evolve.evolutions.items():
        where = f"evolve.evolutions.{name}"
        known(f"{where}.endpoint", e.endpoint, study.endpoints)
        known(f"{where}.judge.endpoint", e.judge.endpoint if e.judge else None, study.endpoints)
        if e.judge and e.judge.second:
            known(f"{where}.judge.second.endpoint", e.judge.second.endpoint, study.endpoints)
        for direction in e.directions:
            known(
                f"{where}.directions",
                direction,
                directions,
                "mend the name, or name the direction's folder in evolve.direction_plugins",
            )
        _check_models(study, name, file)
        known(
            f"{where}.calls.same_as",
            e.calls.same_as if e.calls else None,
            rewriting,
            "name an evolution that rewrites seeds and stands above this one",
        )
        rewriting += [name] if e.from_ == "seeds" else []
    for name, entries in study.train.mixtures.items():
        for place, entry in enumerate(entries):
            known(f"train.mixtures.{name}.{place}.evolution", entry.evolution, study.evolve.evolutions)
    judges = {f"evaluate.benchmarks.{name}.judge": each.judge for name, each in study.evaluate.benchmarks.items()}
    for where, judge in ({"evaluate.judge": study.evaluate.judge} | judges).items():
        known(where, judge, study.endpoints)
        if judge and study.endpoints[judge].images == "url":
            raise BadInput(
                file=file,
                field=f"endpoints.{judge}.images",
                found="url, for the judge of benchmarks",
                expected="inline: pictures of benchmarks are not below seeds.images_root",
                remedy=f"give {where} an endpoint of its own: {{same_as: NAME, images: inline, images_base_url: null}}",
            )
    for name, model in study.evaluate.models.items():
        known(f"evaluate.models.{name}.endpoint", model.endpoint, study.endpoints)
        _check_measured(study, name, file)
    known("publish.main_evolution", study.publish.main_evolution, study.evolve.evolutions)
    given = study.publish.model_fields_set
    measured = [*study.train.arms, *study.evaluate.models]
    for key in ("arm", "baseline"):
        known(f"publish.{key}", getattr(study.publish, key) if key in given else None, measured)
    for arm in study.publish.paper:
        known("publish.paper", arm, measured)
    for place, arm in enumerate(study.evaluate.blind):
        known(f"evaluate.blind.{place}", arm, measured)


def _check_measured(study: Study, name: str, file: str) -> None:
    """A model that is measured is no arm, and answers freely: the embedded teacher reads nothing but its own requests."""
    if name in study.train.arms:
        raise BadInput(
            file=file,
            field=f"evaluate.models.{name}",
            found="the name of an arm",
            expected="a name of its own: both are rows of one table",
            remedy="rename the model",
        )
    endpoint = study.endpoints.get(study.evaluate.models[name].endpoint or "")
    if endpoint and (endpoint.launch == "embedded" or endpoint.images == "url"):
        raise BadInput(
            file=file,
            field=f"evaluate.models.{name}.endpoint",
            found="the embedded teacher" if endpoint.launch == "embedded" else "images: url",
            expected="a model that answers questions in words, and is sent pictures inline",
            remedy="name an endpoint of its own: {base_url: …, model: …, temperature: 0}",
        )


def _check_models(study: Study, name: str, file: str) -> None:
    """What an evolution asks of its models must be possible: two judges that differ, directions that the teacher knows."""
    e, where = study.evolve.evolutions[name], f"evolve.evolutions.{name}"
    if len(set(study.two_judges(name))) == 1:
        raise BadInput(
            file=file,
            field=f"{where}.judge.second.endpoint",
            found="the first judge's model",
            expected="another model: verdicts carry the model's name",
            remedy="name an endpoint with another model",
        )
    for plugin in study.evolve.direction_plugins:
        if plugin.name in e.directions and not plugin.base and study.endpoints[e.endpoint].launch == "embedded":
            raise BadInput(
                file=file,
                field=f"{where}.directions.{plugin.name}",
                found=f"a direction without `base`, and {e.endpoint}, the embedded teacher",
                expected="a direction that says which of the three it is like: the teacher knows no other",
                remedy=f"write base: into direction.yaml of {plugin.source}, or take another endpoint",
            )


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
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(
            file=file, field="(file)", found=str(error), expected="YAML in UTF-8", remedy="mend what is named"
        ) from None
    if not isinstance(raw, dict):
        raise BadInput(
            file=file, field="(file)", found=type(raw).__name__, expected="a mapping", remedy="see config/README.md"
        )
    return resolve(raw, file)


def from_snakemake(config: dict[str, Any], configfiles: list[Any]) -> Study:
    """The study of a Snakemake run: its config as Snakemake merged it. Raises `BadInput`."""
    return resolve(config, ", ".join(str(f) for f in configfiles) or "--config")


def for_jobs(study: Study) -> None:
    """Hand the facts of the run to the jobs that this process starts: they change no data, so they are no rule's params.

    ``MMEVOL_RUN`` holds connections, status folder and who started the job; ``PATH`` begins with the folder of this Python, so that
    `mmevol` is found without an activated environment (one that --sdm activates still comes before it).
    """
    os.environ["MMEVOL_RUN"] = study.run().dump()
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
