"""The reference of a study's keys, made from the models: ``config/README.md`` for people, ``config/schema.json`` for editors.

Run: ``mmevol config reference`` (writes both into ``config/``).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmevol.config.evolve import PRESETS
from mmevol.config.resolve import LIKENESS
from mmevol.config.section import Section
from mmevol.config.study import Study

Schema = dict[str, Any]

PREFACE = """\
# Configuration

A study is one YAML file; its name, given by `study:`, is its folder in `results/`. Made by `mmevol config reference` from the
models in `workflow/mmevol/config/`, which are the only definition of keys and defaults: change those, not this page.

- **Studies are closed.** `config/config.yaml` (the demo) is read only when no `--configfile` is given, and a file inherits nothing:
  what it does not say has the default below. An unknown key is an error.
- **Likeness.** `like: NAME` in an evolution, backbone or arm, and `same_as: NAME` in an endpoint, copy the entry of that name;
  keys that stand beside it replace whole values.
- **Presets.** `preset: paper` or `preset: reference` in an evolution writes out the keys that do as the paper says, or as its code
  does (`docs/fidelity.md` lists them); keys that stand beside it replace whole values, and it replaces what `like:` copies.
- **Gates** (`judge`, `blind`, `eliminate`) are sections, or `true` for the section's defaults, or `false` for none.
- **Thresholds** in `eliminate` are one value, or a list with one value a round.
- **What reruns.** A rule sees only the keys that its command uses, so a changed threshold asks nothing and a changed colour trains
  nothing. How an endpoint is reached (`base_url`, `concurrency`, prices, budget) reruns nothing.
- **Secrets and paths.** Configuration holds names of environment variables, never keys. Paths start where Snakemake is started.
- **Environment.** `MMEVOL_RESULTS` moves `results/`, `MMEVOL_REPLIES` moves `replies/`.

Editors check a study while you type when its first line is `# yaml-language-server: $schema=schema.json` (path from the file).

| file | study |
|---|---|
| `config.yaml` | the demo: minutes on a laptop, no key |
| `test.yaml` | the same, as small as it can be |
| `demo_controls.yaml` | the demo with its controls: no elimination, no evolution, three train seeds an arm |
| `photos.yaml` | evolution alone, over seven real photographs |
| `smoke_llm.yaml` | a very small real model behind a real server: tries the machinery out, its data are marked and never mixed |
| `paper.yaml` | the paper's study: a cluster, real endpoints, your copies of the data |
| `ablations/` | one question each, as closed studies |

`benchmarks.tsv` lists the thirteen benchmarks (split, rows, task, prompt, metric, the paper's column, licence) and
`benchmark_files.tsv` their official files: addresses, checksums, where each checksum is from (`docs/benchmarks.md`).
"""


def schema() -> Schema:
    """The JSON schema of a study file: the models', and what reading resolves besides (gates as booleans, likeness, presets)."""
    whole = described()
    words: list[tuple[tuple[str, ...], str, Schema]] = [(path, w, {"type": "string"}) for path, w in LIKENESS.items()]
    for path, word, value in [*words, (("evolve", "evolutions"), "preset", {"enum": list(PRESETS)})]:
        node = whole
        for part in path:
            node = _deref(node, whole)["properties"][part]
        entries = node["patternProperties"]
        alike = {"type": "object", "properties": {word: value}, "required": [word]}
        for pattern, entry in entries.items():
            entries[pattern] = {"anyOf": [entry, alike]}
    return whole


def described() -> Schema:
    """The models' JSON schema, every key with a description."""
    whole = Study.model_json_schema(by_alias=True)
    models = {model.__name__: model for model in _sections(Section)}
    for name, node in [*whole["$defs"].items(), ("Study", whole)]:
        for key, value in node.get("properties", {}).items():
            if "description" not in value:
                value["description"] = _said(key, value, models[name], whole)
    return whole


def _sections(model: type[Section]) -> Iterator[type[Section]]:
    for child in model.__subclasses__():
        yield child
        yield from _sections(child)


def _said(key: str, value: Schema, model: type[Section], whole: Schema) -> str:
    """What is said of a key that has no description: that of the base that it overrides, else of the section that it holds.

    Raises `LookupError` where there is none either.
    """
    for base in model.__mro__[1:]:
        if issubclass(base, Section) and key in base.model_fields and (text := base.model_fields[key].description):
            return text
    for option in [value, *value.get("anyOf", [])]:
        if "$ref" in option:
            return _first(_deref(option, whole)["description"])
    raise LookupError(f"{model.__name__}.{key} has no description")


def _first(text: str) -> str:
    """The first paragraph of a docstring, on one line, its double backticks made Markdown's."""
    return " ".join(text.split("\n\n")[0].split()).replace("``", "`")


def _deref(node: Schema, whole: Schema) -> Schema:
    found: Schema = whole["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
    return found


# ------------------------------------------------------------------------------------------------------------- the page


class Page:
    """Walks the schema and writes a table a section; a section that occurs twice is printed once."""

    def __init__(self) -> None:
        self.schema = described()
        self.title: dict[str, str] = {}
        self.lines = [PREFACE]

    def text(self) -> str:
        """The whole page."""
        self.section("", "Study", self.schema, depth=2)
        return "\n".join(self.lines).rstrip() + "\n"

    def section(self, path: str, name: str, node: Schema, *, depth: int) -> None:
        """One section's table, then those of the sections that its keys hold."""
        self.title[name] = path or "The whole"
        rows, as_twin = node["properties"], ""
        twin = next((n for n in self.title if n != name and self._keys(n) == rows.keys()), None)
        if twin and len(rows) > 1:
            other = self.schema["$defs"][twin]["properties"]
            rows = {k: v for k, v in rows.items() if v.get("default") != other[k].get("default")}
            as_twin = f" As {self._link(twin)}" + (", other defaults:" if rows else ".")
        self.lines += [f"{'#' * min(depth, 4)} {self.title[name]}", "", _first(node["description"]) + as_twin, ""]
        if rows:
            self.lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
        below: list[tuple[str, str]] = []
        for key, value in rows.items():
            below += self._held(_child(path, key), value)
            cells = (f"`{key}`", self._kind(value), _default(key, value, node), value["description"])
            self.lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
        self.lines.append("")
        for place, child in below:
            if child not in self.title:
                self.section(place, child, self.schema["$defs"][child], depth=depth + 1)

    def _keys(self, name: str) -> Any:
        return self.schema["$defs"].get(name, {}).get("properties", {}).keys()

    def _link(self, name: str) -> str:
        title = self.title[name]
        return f"[{title}](#{re.sub(r'[^a-z0-9_ -]', '', title.lower()).replace(' ', '-')})"

    def _held(self, path: str, value: Schema) -> list[tuple[str, str]]:
        """The sections that a key's value may be or hold, with their paths."""
        if "discriminator" in value:
            mapping = value["discriminator"]["mapping"]
            return [(f"{path}, {kind}", ref.rsplit("/", 1)[1]) for kind, ref in mapping.items()]
        if "$ref" in value:
            return [(path, value["$ref"].rsplit("/", 1)[1])]
        inner = [(f"{path}.NAME", v) for v in _by_name(value)]
        inner += [(path, v) for v in [*value.get("anyOf", []), value.get("items")] if v]
        return [found for at, v in inner for found in self._held(at, v)]

    def _kind(self, value: Schema) -> str:
        """What may stand there, in words."""
        if "const" in value or "enum" in value:
            return ", ".join(f"`{v}`" for v in value.get("enum", [value.get("const")]))
        if "$ref" in value or "discriminator" in value:
            return "section"
        if "anyOf" in value:
            return " or ".join(dict.fromkeys(self._kind(v) for v in value["anyOf"]))
        match value["type"]:
            case "array":
                items = value.get("items", {})
                return f"list of {self._kind(items)}" if "prefixItems" not in items else "list of pairs"
            case "object":
                return f"by name: {self._kind(_by_name(value)[0])}"
        if "minimum" in value and "maximum" in value:
            return f"{WORDS[value['type']]} {value['minimum']:g} to {value['maximum']:g}"
        return WORDS[value["type"]] + "".join(
            f" {sign} {value[name]:g}" for name, sign in BOUNDS.items() if name in value
        )


WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "null": "`null`",
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _child(path: str, key: str) -> str:
    """The path of a key of a section; what kind of section it is stays at the end."""
    base, comma, kind = path.partition(",")
    return f"{base}.{key}{comma}{kind}".lstrip(".")


def _by_name(value: Schema) -> list[Schema]:
    """The schemas of a mapping's values."""
    values = [*value.get("patternProperties", {}).values(), value.get("additionalProperties")]
    return [v for v in values if isinstance(v, dict)]


def _default(key: str, value: Schema, node: Schema) -> str:
    if key in node.get("required", []):
        return "required"
    default = value.get("default")
    section = isinstance(default, dict) and not _by_name(value)
    return "" if section else f"`{json.dumps(default, ensure_ascii=False)}`"


def files() -> dict[str, str]:
    """The two files by name."""
    return {"README.md": Page().text(), "schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"}


def reference(folder: Path) -> None:
    """`mmevol config reference`: write ``README.md`` and ``schema.json`` into `folder`."""
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
