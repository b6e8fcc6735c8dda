"""What the documents say exists, exists: files, links, commands, targets, keys, and studies that can be run."""

import json
import re
from collections.abc import Iterator
from functools import cache, reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml
from mmevol.cli import app
from mmevol.config.evolve import PRESETS, Evolution
from mmevol.config.reference import schema
from mmevol.config.resolve import resolve

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *sorted(ROOT.glob("docs/*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
SECTIONS = ("endpoints", "seeds", "evolve", "train", "evaluate", "publish")
every_page = pytest.mark.parametrize("page", PAGES, ids=IDS)


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def inline(page: Path) -> list[str]:
    """The inline code of a page, outside fenced blocks."""
    return CODE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> Iterator[str]:
    """Every line of a shell block and every inline code that starts a command of ours."""
    lines = [line.split("#")[0].strip() for text in blocks(page, "bash") for line in text.splitlines()]
    for text in [*lines, *inline(page)]:
        if match := re.match(r"(?:\.venv/bin/)?((?:make|mmevol|snakemake)\b.*)", text):
            yield match[1]


# ------------------------------------------------------------------------------------------------------- links and files


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(h) for h in headings}, f"{page.name}: {target}"


@every_page
def test_paths_that_are_named_exist(page: Path) -> None:
    top = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"results", "replies", ".snakemake"}
    for text in inline(page):
        if re.fullmatch(r"[\w.-]+(/[\w.*-]+)+/?", text) and text.split("/")[0] in top:
            assert list(ROOT.glob(text.rstrip("/"))), f"{page.name}: {text}"


def test_the_tree_of_the_readme_exists() -> None:
    (tree,) = [text for text in blocks(ROOT / "README.md", "") if text.startswith("Makefile")]
    place: list[str] = []
    for line in tree.splitlines():
        name = line.split()[0]
        place[(len(line) - len(line.lstrip())) // 2 :] = [name.rstrip("/")]
        if name not in ("results/", "replies/"):  # made by runs
            path = ROOT.joinpath(*place)
            assert path.is_dir() if name.endswith("/") else path.is_file(), "/".join(place)


# -------------------------------------------------------------------------------------------------------------- commands


@cache
def whole_schema() -> dict[str, Any]:
    return schema()


def command_line() -> Any:
    return typer.main.get_command(app)


@every_page
def test_commands_of_ours_exist(page: Path) -> None:
    for text in commands(page):
        words = text.split()
        if words[0] != "mmevol" or "<" in text or len(words) == 1:
            continue
        at = command_line()
        for word in words[1:]:
            if not hasattr(at, "commands"):
                break
            assert word in at.commands, f"{page.name}: {text}"
            at = at.commands[word]
        assert not hasattr(at, "commands"), f"{page.name}: {text} is a group"
        known = {option for parameter in at.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}, f"{page.name}: {text}"


def rules() -> set[str]:
    return {
        name
        for path in ROOT.glob("workflow/rules/*.smk")
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
    }


TARGETS = {
    "seeds",
    "evolve",
    "dataset",
    "pretrain",
    "finetune",
    "benchmark_data",
    "predict",
    "evaluate",
    "tables",
    "paper_figures",
}


@every_page
def test_snakemake_targets_exist_and_stand_first(page: Path) -> None:
    for text in commands(page):
        words = text.split()
        if words[0] != "snakemake" or "TARGET" in words:
            continue
        if page.name == "footguns.md" and text.startswith("snakemake --configfile a.yaml"):
            continue  # the mistake itself
        for before, word in pairwise(words):
            if word.startswith("-") or before in ("--configfile", "--profile"):
                continue
            assert word in (rules() if before == "--forcerun" else TARGETS | {"RULE"}), f"{page.name}: {text}"
            assert "--configfile" not in words[: words.index(word)], f"{page.name}: {text}"


def test_the_table_of_targets_is_whole() -> None:
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(table) == TARGETS | {"all"}
    assert not TARGETS - rules()


@every_page
def test_make_targets_exist(page: Path) -> None:
    known = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in commands(page):
        if text.startswith("make "):
            assert text.split()[1] in known, f"{page.name}: {text}"


# ------------------------------------------------------------------------------------------------------ studies and keys


def put(whole: dict[str, Any], path: list[str], value: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested mappings with `value` laid over what stands at `path`."""
    if not path:
        return whole | value
    return whole | {path[0]: put(whole.get(path[0], {}), path[1:], value)}


@pytest.mark.parametrize(
    ("name", "text"), [(i, text) for page, i in zip(PAGES, IDS, strict=True) for text in blocks(page, "yaml")]
)
def test_studies_in_the_documents_can_be_read(name: str, text: str) -> None:
    """A whole study, or what its first line says: a fragment of a section, tried within the demo."""
    given = yaml.safe_load(text)
    if match := re.match(r"# fragment of ([\w.]+)", text):
        demo = yaml.safe_load((ROOT / "config/config.yaml").read_text())
        given = put(demo, match[1].split("."), given)
    resolve(given, name)
    jsonschema.validate(given, whole_schema())


def at_key(node: dict[str, Any], key: str, whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas that may stand under a key, through references and alternatives; NAME is any name."""
    if "$ref" in node:
        return at_key(whole["$defs"][node["$ref"].rsplit("/", 1)[1]], key, whole)
    found = [node["properties"][key]] if key in node.get("properties", {}) else []
    named = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    found += [n for n in named if isinstance(n, dict) and key == "NAME"]
    return found + [s for n in [*node.get("anyOf", []), *node.get("oneOf", [])] for s in at_key(n, key, whole)]


@every_page
def test_keys_that_are_named_exist_and_take_the_value(page: Path) -> None:
    whole = whole_schema()
    for text in inline(page):
        match = re.fullmatch(rf"((?:{'|'.join(SECTIONS)})(?:\.\w+)+)(?:: (.+))?", text)
        if not match or match[1].endswith((".smk", ".py")):
            continue
        found = [whole]
        for key in match[1].split("."):
            found = [s for node in found for s in at_key(node, key, whole)]
        assert found, f"{page.name}: no key {match[1]}"
        if match[2]:
            node = {"anyOf": found, "$defs": whole["$defs"]}
            jsonschema.validate(yaml.safe_load(match[2]), node)


def test_a_wrong_key_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for text in ("evolve.evolutions.NAME.direction", "evaluate.beams: none"):
        page.write_text(f"`{text}`\n", encoding="utf-8")
        with pytest.raises((AssertionError, jsonschema.ValidationError)):
            test_keys_that_are_named_exist_and_take_the_value(page)


def test_the_catalogue_finds_its_words() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme and "workflow" in readme


def test_the_table_of_presets_is_what_they_set() -> None:
    """Each row of the table: a key of an evolution, its default, and its value in each preset."""
    text = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `([\w.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)

    def set_(preset: dict[str, Any], key: str) -> Any:
        value = reduce(lambda at, part: at[part], key.split("."), preset)
        return ", ".join(map(str, value.values())) if isinstance(value, dict) else json.dumps(value).strip('"')

    default = Evolution().model_dump()
    for key, here, paper, reference in rows:
        assert (paper, reference) == (set_(PRESETS["paper"], key), set_(PRESETS["reference"], key)), key
        if key not in ("directions", "judge.blind"):
            assert yaml.safe_load(here) == reduce(lambda at, part: at[part], key.split("."), default), key
    told = {key for key, *_ in rows}
    for preset in PRESETS.values():
        for key, value in preset.items():
            assert {key} <= told or {f"{key}.{part}" for part in value} <= told, key
