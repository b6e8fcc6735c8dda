"""Directions as folders: the package's own, a study's, and what is wrong with one."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Judge
from mmevol.config.directions import folder_digest, plugin
from mmevol.config.endpoints import Endpoint
from mmevol.endpoint.schemas import CANDIDATES
from mmevol.evolve.direction import BUILT_IN, direction, read
from mmevol.records import DIRECTIONS, BadInput, Reason
from mmevol.store import read_rows
from scripted import Heard, Server, candidate, record
from shards import Make, Shard

PERSONA = Path(__file__).parent.parent.parent / "config/directions/persona"
PROMPT = '{% extends "shared.jinja" %}{% block objective %}Your task: go sideways.{% endblock %}'


def folder(root: Path, name: str = "sideways", **files: Any) -> Path:
    """A direction's folder; `files` by stem, JSON values as they are, ``None`` for none."""
    manifest = files.pop("direction", f"name: {name}\nbase: reasoning\n")
    root.mkdir(parents=True, exist_ok=True)
    suffix = {"prompt": "jinja", "validators": "py"}
    for stem, value in {"prompt": PROMPT, **files}.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            (root / f"{stem}.{suffix.get(stem, 'json')}").write_text(text)
    (root / "direction.yaml").write_text(manifest)
    return root


def test_the_papers_directions_lie_as_a_studys_own_do() -> None:
    assert {path.name for path in BUILT_IN.iterdir() if path.is_dir()} == {*DIRECTIONS, "fresh"}
    for name in DIRECTIONS:
        of = direction(name)
        assert (of.name, of.base, of.schema, of.data(7, "k", 1)) == (name, "", CANDIDATES, {})
    assert direction("reasoning").reason is Reason.NO_REASONING_CUE


def test_everything_in_the_folder_that_shapes_a_request_is_in_the_digest(tmp_path: Path) -> None:
    example = {"given": "What? A cup.", "reply": {k: v for k, v in candidate("x").items() if k != "id"}}
    made = [
        read(folder(tmp_path / "0")),
        read(folder(tmp_path / "1", prompt=PROMPT + "{# a comment changes nothing #}")),
        read(folder(tmp_path / "2", prompt=PROMPT.replace("sideways", "upwards"))),
        read(folder(tmp_path / "3", examples=[example])),
        read(folder(tmp_path / "4", schema={"focus": {"type": "string"}})),
        read(folder(tmp_path / "5", direction="name: sideways\ndraw: {who: list.json}\n", list=["a", "b"])),
        read(folder(tmp_path / "6", direction="name: sideways\ndraw: {who: list.json}\n", list=["a", "c"])),
    ]
    assert made[0].prompt == made[1].prompt
    assert len({of.prompt for of in made}) == 6
    assert json.dumps(example["reply"], ensure_ascii=False) in made[3].instructions
    assert '"focus": …' in made[4].instructions
    assert "focus" in made[4].schema["properties"]["candidates"]["items"]["required"]


def test_a_plugin_is_named_by_folder_or_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder(tmp_path / "site/my_directions/sideways")
    info = tmp_path / "site/my_directions-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-directions\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mmevol.directions]\naside = my_directions.sideways\n")
    with pytest.raises(BadInput, match="entry points"):
        plugin("aside")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    by_name, by_path = plugin("aside"), plugin(str(package))
    assert (by_name.name, by_name.base, by_name.digest) == ("sideways", "reasoning", by_path.digest)
    assert direction("sideways", by_name) == direction("sideways", by_path)


def test_naming_a_plugin_runs_none_of_its_code(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()\nVALIDATORS = (lambda qa, record: None,)\n"
    named = plugin(str(folder(tmp_path / "d", validators=code)))
    assert not mark.exists()
    direction("sideways", named)
    assert mark.exists()


def test_an_edit_is_another_digest_and_what_python_leaves_behind_is_none(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", validators="VALIDATORS = (lambda qa, record: None,)\n")
    before = plugin(str(root))
    direction("sideways", before)
    (root / "__pycache__").mkdir(exist_ok=True)
    (root / "__pycache__/x.pyc").write_text("x")
    (root / ".swp").write_text("x")
    assert folder_digest(root) == before.digest
    (root / "words.txt").write_text("x")
    assert folder_digest(root) != before.digest
    direction.cache_clear()
    with pytest.raises(BadInput, match="changed after the run had begun"):
        direction("sideways", before)


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no manifest": ({"direction": "[]"}, "direction.yaml", "dictionary"),
    "an unknown key": ({"direction": "name: a\nbsae: reasoning\n"}, "direction.yaml", "bsae"),
    "no prompt": ({"prompt": None}, "prompt.jinja", "TemplateNotFound"),
    "a broken template": ({"prompt": "{% block %}"}, "prompt.jinja", "TemplateSyntaxError"),
    "a template that wants a record": ({"prompt": "{{ record.caption }}"}, "prompt.jinja", "record"),
    "a template that reaches out": ({"prompt": "{{ ''.__class__.__mro__ }}"}, "prompt.jinja", "SecurityError"),
    "a template that runs on": ({"prompt": "{% for i in range(10 ** 9) %}x{% endfor %}"}, "prompt.jinja", "Overflow"),
    "a schema that is none": ({"schema": {"focus": {"type": "txt"}}}, "schema.json", "focus"),
    "a schema that takes the id": ({"schema": {"id": {"type": "string"}}}, "schema.json", "finds its parent"),
    "a schema that is a list": ({"schema": []}, "schema.json", "list"),
    "broken JSON": ({"examples": "[{"}, "examples.json", "JSON"),
    "an example without reply": ({"examples": [{"given": "x"}]}, "examples.json", "0.reply"),
    "an example that does not fit": (
        {"schema": {"options": {"minItems": 2}}, "examples": [{"reply": candidate("x")}]},
        "examples.json",
        "options",
    ),
    "a list that is missing": ({"direction": "name: a\ndraw: {who: no.json}\n"}, "no.json", "nothing"),
    "a list elsewhere": ({"direction": "name: a\ndraw: {who: ../list.json}\n"}, "direction.yaml", "draw.who"),
    "no validators": ({"validators": "x = 1\n"}, "validators.py", "VALIDATORS"),
    "a validator without its tuple": ({"validators": "VALIDATORS = len\n"}, "validators.py", "built-in function len"),
    "code that does not run": ({"validators": "import no_such_module\n"}, "validators.py", "ModuleNotFoundError"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path, wrong: str) -> None:
    files, file, said = WRONG[wrong]
    with pytest.raises(BadInput) as caught:
        read(folder(tmp_path / "d", **files))
    assert caught.value.file.endswith(file)
    assert said in str(caught.value)


def test_a_name_of_the_packages_own_is_refused(tmp_path: Path) -> None:
    for name in (*DIRECTIONS, "seed", "fresh"):
        with pytest.raises(BadInput, match="not taken"):
            plugin(str(folder(tmp_path / name, name=name)))


# ------------------------------------------------------------------------------------------------------------------ rounds


def own(shard: Make, root: Path, records: int = 1, **files: Any) -> Shard:
    named = plugin(str(folder(root, **files)))
    return shard([record(f"k{i}", 2) for i in range(records)], judge=False, directions={named.name: 1}, plugins=[named])


def test_schema_and_validators_of_a_direction_are_gates_and_the_model_is_told(
    shard: Make, server: Server, tmp_path: Path
) -> None:
    code = (
        "def no_lamp(qa, record):\n    return 'no lamps' if 'lamp' in qa.answer else None\n\nVALIDATORS = (no_lamp,)\n"
    )
    s = own(shard, tmp_path / "d", schema={"focus": {"type": "string", "maxLength": 5}}, validators=code)

    def answer(n: int, heard: Heard) -> Any:
        changes = [{"focus": "far too long"}, {"focus": "cup"}, {"focus": "cup", "answer": "a cup"}][n]
        return {"candidates": [candidate(qa["id"]) | changes for qa in heard.block["qas"]]}

    server.answer = answer
    rows = s.ask()
    assert [c.failed for c in rows] == [None, None]
    assert "'far too long' is too long" in server.heard[1].text
    assert "no lamps" in server.heard[2].text
    sent = server.heard[0].body["response_format"]["json_schema"]["schema"]
    assert sent["properties"]["candidates"]["items"]["properties"]["focus"] == {"type": "string", "maxLength": 5}
    server.answer = lambda n, heard: {"candidates": [candidate(q["id"], focus="cup") for q in heard.block["qas"]]}
    s.settings["seed"] = 8
    rows = Shard(s.root / "again", s.records, s.connections, s.settings).ask()
    assert {c.failed for c in rows} == {Reason.DIRECTION_RULE}


def test_what_a_record_draws_goes_with_its_request(shard: Make, server: Server, tmp_path: Path) -> None:
    manifest = "name: sideways\ndraw: {who: people.json}\n"
    s = own(shard, tmp_path / "d", records=40, direction=manifest, people=["{{ a }}", "b", "c"])
    rows = s.ask()
    drawn = Counter(block["data"]["who"] for block in server.asked("evolve"))
    assert set(drawn) == {"{{ a }}", "b", "c"}
    assert len({h.body["messages"][1]["content"][0]["text"] for h in server.heard}) == 1
    of = direction("sideways", s.settings["plugins"][0])
    assert {c.prompt for c in rows} == {of.prompt}
    assert of.data(7, "k1", 1) == of.data(7, "k1", 1)
    assert len({of.data(seed, "k1", round_)["who"] for seed in range(5) for round_ in range(5)}) == 3


def test_a_studys_own_direction_goes_through_its_rounds_with_the_embedded_teacher(tmp_path: Path) -> None:
    endpoint = Endpoint(launch="embedded")
    settings = {
        "directions": {"persona": 1, "interactive": 1},
        "plugins": [plugin(str(PERSONA))],
        "evolver_identity": endpoint.identity(),
        "judge": Judge(endpoint="j"),
        "judge_identity": endpoint.identity(),
    }
    many = [record(f"k{i}", 2) for i in range(8)]
    s = Shard(tmp_path / "s", many, dict.fromkeys("ej", endpoint.connection()), settings)
    for round_ in (1, 2):
        s.ask(round_)
        ledger = s.eliminate(round_)
        assert ledger["sent"] == 16
        assert ledger["survived"] > 0
        assert not ledger["failed"]
    rows = [c for r in (1, 2) for c in read_rows(s.file(r, "candidates"), "candidate")]
    assert {c.direction for c in rows} == {"persona", "interactive"}
    by_name = {c.direction: c.prompt for c in rows}
    assert by_name["persona"] == read(PERSONA).prompt
    before = s.data()
    s.ask(2)
    assert s.data() == before
