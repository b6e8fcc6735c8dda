"""The examination against servers that can do more or less: what is found, and what to do about it."""

import asyncio
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from mmevol.cli import main
from mmevol.config import Endpoint, Faults
from mmevol.doctor import Row
from mmevol.doctor.examination import examine
from mmevol.doctor.questions import SIZE, SQUARE, dialect_of, picture
from mmevol.endpoint.client import Outage
from mmevol.records import BadInput
from scripted import Heard, Reply, Server, completion

Knobs = dict[str, Any]
BOXES = {"unit": (1, 1), "permille": (1000, 1000), "pixels": SIZE}


def refused(message: str) -> Reply:
    return Reply(status=400, body=json.dumps({"error": {"message": message}}).encode())


def capable(**knobs: Any) -> Callable[[int, Heard], Reply]:
    """A server that can do all, but for the knobs: ``refuses`` (fields), ``json`` (ways that it obeys), ``sees``, ``dialect``,
    ``usage``, ``obeys_limit``, ``thinks``."""

    def answer(n: int, heard: Heard) -> Reply:
        body = heard.body
        for name in knobs.get("refuses", ()):
            if name in body:
                return refused(f"Unsupported parameter: {name}")
        parts = body["messages"][1]["content"]
        if any(part["type"] == "image_url" for part in parts) and knobs.get("sees") is False:
            return refused("image input is not supported")
        said, finish = _said(body, parts, heard.block["qas"][0]["question"], knobs)
        limit = body.get("max_tokens", body.get("max_completion_tokens", 999))
        count = len(said.split())
        if count > limit and knobs.get("obeys_limit", True):
            said, finish, count = " ".join(said.split()[:limit]), "length", limit
        value = completion(Reply(said, finish=finish))
        value["usage"] |= {"completion_tokens": count}
        if knobs.get("thinks"):
            value["usage"]["completion_tokens_details"] = {"reasoning_tokens": 64}
        if knobs.get("usage") is False:
            del value["usage"]
        headers = {"x-ratelimit-limit-requests": "500"} if knobs.get("limits") else {}
        return Reply(body=json.dumps(value).encode(), headers=headers)

    return answer


def _said(body: Knobs, parts: list[Knobs], question: str, knobs: Knobs) -> tuple[str, str]:
    way = body.get("response_format", {}).get("type")
    works = knobs.get("json", ("json_schema", "json_object"))
    if "Count" in question:
        return "one two three " * 40, "stop"
    if "discs" in question:
        return ("I see a cat" if knobs.get("sees") == "cat" else "Three green discs."), "stop"
    if "square" in question:
        w, h = BOXES[knobs.get("dialect", "unit")]
        return str([round(v * s, 2) for v, s in zip(SQUARE, (w, h, w, h), strict=True)]), "stop"
    asked_for = "Reply with a JSON object" in parts[0]["text"]
    if (way in works and way) or (asked_for and knobs.get("follows", True)):
        return json.dumps({"answers": [{"id": "q1", "answer": "blue"}]}), "stop"
    return "Blue.", "stop"


def examined(server: Server, **changes: Any) -> dict[str, Row]:
    endpoint = Endpoint(**{"base_url": server.base_url, "model": "m", "timeout": 5} | changes)
    return {row.subject: row for row in asyncio.run(examine("e", endpoint))}


def test_a_server_that_can_do_all_has_nothing_wrong(server: Server) -> None:
    server.models = ["m", "n"]
    server.answer = capable(limits=True)
    rows = examined(server, seed=1, reasoning_effort="low", prices={"input": 1})
    assert {row.verdict for row in rows.values()} <= {"ok", "note"}
    assert rows["model"].found == "listed"
    assert rows["max_tokens_field"].found == "accepted and obeyed"
    assert {rows[name].found for name in ("temperature", "top_p", "seed", "reasoning_effort")} == {"accepted"}
    assert rows["structured"].found == "json_schema obeyed, json_object obeyed"
    assert rows["sees_images"].found == "accepted and seen"
    assert (rows["box_dialect"].found, rows["box_dialect"].verdict) == ("unit", "ok")
    assert rows["as configured"].found == "answered"
    assert rows["usage"].found == "reported"
    assert rows["cached_tokens"].found == "up to 40"
    assert rows["limits"].found == "limit-requests 500"
    assert len(server.heard) < 20


@pytest.mark.parametrize(
    ("knobs", "study", "subject", "remedy"),
    [
        ({"refuses": ["temperature"]}, {}, "temperature", "temperature: null"),
        ({"refuses": ["top_p"]}, {}, "top_p", "top_p: null"),
        ({"refuses": ["reasoning_effort"]}, {"reasoning_effort": "low"}, "reasoning_effort", "reasoning_effort: null"),
        ({"refuses": ["max_tokens"]}, {}, "max_tokens_field", "max_tokens_field: max_completion_tokens"),
        ({"refuses": ["response_format"]}, {}, "structured", "structured: none"),
        ({"json": ["json_object"]}, {}, "structured", "structured: json_object"),
        ({"json": [], "follows": False}, {"structured": "json_object"}, "structured", "structured: none"),
        ({"sees": False}, {}, "sees_images", "sees_images: false, or another model"),
        ({"usage": False}, {"prices": {"output": 1}}, "usage", "no cost, no budget"),
    ],
    ids=str,
)
def test_what_the_study_would_trip_over_is_wrong_and_has_a_remedy(
    server: Server, knobs: Knobs, study: Knobs, subject: str, remedy: str
) -> None:
    server.answer = capable(**knobs)
    rows = examined(server, **study)
    assert (rows[subject].verdict, rows[subject].remedy) == ("wrong", remedy)
    if "refuses" in knobs and knobs["refuses"] != ["response_format"]:
        assert "Unsupported parameter" in rows[subject].found


@pytest.mark.parametrize(
    ("knobs", "study", "subject", "found"),
    [
        ({"obeys_limit": False}, {}, "max_tokens_field", "accepted, not obeyed (120 tokens)"),
        ({"sees": "cat"}, {}, "sees_images", "accepted, not seen: 'I see a cat'"),
        ({"dialect": "permille"}, {}, "box_dialect", "permille"),
        ({"dialect": "pixels"}, {}, "box_dialect", "pixels"),
        ({"usage": False}, {}, "usage", "not reported"),
        ({"thinks": True}, {}, "reasoning_tokens", "up to 64 for these small questions"),
        ({}, {"structured": "none"}, "structured", "json_schema obeyed, json_object obeyed"),
        ({}, {}, "model", "not listed; none are"),
    ],
    ids=str,
)
def test_what_is_worth_knowing_is_a_note(server: Server, knobs: Knobs, study: Knobs, subject: str, found: str) -> None:
    server.answer = capable(**knobs)
    row = examined(server, **study)[subject]
    assert (row.verdict, row.found) == ("note", found)


def test_what_the_study_takes_back_is_as_it_says(server: Server) -> None:
    """The remedies of the rows above, taken: nothing is wrong any more."""
    server.answer = capable(refuses=["temperature", "top_p", "max_tokens", "response_format"], sees=False)
    remedies = {"temperature": None, "top_p": None, "max_tokens_field": "max_completion_tokens", "structured": "none"}
    rows = examined(server, sees_images=False, **remedies)
    assert "wrong" not in {row.verdict for row in rows.values()}
    assert rows["as configured"].found == "answered"


def test_a_gateway_without_a_list_of_models_is_examined_all_the_same(server: Server) -> None:
    server.models_status = 404
    server.answer = capable()
    rows = examined(server)
    assert rows["model"].found == "the server has no list of models (404)"
    assert rows["as configured"].verdict == "ok"


def test_a_model_that_answers_nothing_ends_the_examination(server: Server) -> None:
    server.answer = lambda n, heard: refused("The model `m` does not exist")
    rows = examined(server)
    assert list(rows) == ["model", "plain question"]
    assert rows["plain question"].found == "400: The model `m` does not exist"
    assert rows["plain question"].verdict == "wrong"


def test_batch_mode_is_tried_where_it_is_asked_for() -> None:
    endpoint = Endpoint(launch="embedded", mode="batch", faults=Faults(http_500=0.9))
    rows = {row.subject: row for row in asyncio.run(examine("e", endpoint))}
    assert (rows["mode"].expected, rows["mode"].found, rows["mode"].verdict) == ("batch", "batches are listed", "ok")
    assert "mode" not in {row.subject for row in asyncio.run(examine("e", Endpoint(launch="embedded")))}


def test_batch_mode_at_a_server_that_has_none_is_wrong(server: Server) -> None:
    server.answer = capable()
    rows = examined(server, mode="batch")
    assert (rows["mode"].verdict, rows["mode"].remedy) == ("wrong", "set mode: online")
    assert "404 to /v1/batches" in rows["mode"].found
    assert rows["as configured"].verdict == "ok"


def test_batch_mode_without_its_packages_is_wrong(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mmevol.endpoint.provider", raising=False)
    monkeypatch.setitem(sys.modules, "openai", None)
    server.answer = capable()
    row = examined(server, mode="batch")["mode"]
    assert (row.verdict, row.remedy) == ("wrong", "pip install 'mmevol[batch]'")


def test_what_passes_is_tried_again(server: Server) -> None:
    good = capable()
    server.answer = lambda n, heard: Reply(status=503, headers={"Retry-After": "0.5"}) if n == 0 else good(n, heard)
    rows = examined(server)
    assert rows["as configured"].verdict == "ok"
    assert rows["Retry-After"].found == "sent: 0.5"


@pytest.mark.parametrize("reply", [Reply(status=429), Reply(status=502), Reply(act="drop")], ids=["429", "502", "gone"])
def test_a_server_that_is_busy_or_gone_is_an_outage(server: Server, reply: Reply) -> None:
    server.answer = lambda n, heard: reply
    with pytest.raises(Outage, match="endpoint e"):
        examined(server)


def test_a_refused_key_is_bad_input(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-x")
    server.models_status = 401
    with pytest.raises(BadInput, match=r"endpoints\.e\.api_key_env"):
        examined(server, api_key_env="SOME_KEY")


def test_pictures_by_address_are_tried_with_one_of_the_studys(server: Server, tmp_path: Path) -> None:
    server.answer = capable()
    (tmp_path / "seeds.json").write_text(json.dumps([{"id": "1"}, {"id": "2", "image": "sub/a b.png"}]))
    file = study_file(tmp_path, server, images="url", images_base_url="https://pics.example/x/")
    assert run("doctor", "--endpoint", str(file)) == 0
    urls = {p["image_url"]["url"] for h in server.heard for p in h.body["messages"][1]["content"] if "image_url" in p}
    assert urls == {"https://pics.example/x/sub/a%20b.png"}


# ------------------------------------------------------------------------------------------------------- the command


def study_file(folder: Path, server: Server, **endpoint: Any) -> Path:
    endpoints = {"evolver": {"base_url": server.base_url, "model": "m", "timeout": 5} | endpoint}
    study = {"study": "t", "endpoints": endpoints, "seeds": {"source": str(folder / "seeds.json")}}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def run(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["mmevol", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("answer", "code"),
    [(capable(), 0), (capable(refuses=["temperature"]), 2), (lambda n, heard: Reply(status=429), 1)],
    ids=["good", "wrong", "busy"],
)
def test_the_exit_code_says_it(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: Any, code: int
) -> None:
    server.answer = answer
    assert run("doctor", "--endpoint", str(study_file(tmp_path, server)), "evolver") == code
    said = capsys.readouterr()
    assert ("max_tokens_field" in said.out) == (code != 1)
    assert ("stopped: " in said.err) == (code == 1)


def test_a_study_without_the_option_is_a_mistake(server: Server, tmp_path: Path) -> None:
    assert run("doctor", str(study_file(tmp_path, server))) == 2
    assert not server.heard


def test_an_unknown_name_is_bad_input(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--endpoint", str(study_file(tmp_path, server)), "nobody") == 2
    assert "one of: evolver" in capsys.readouterr().err
    assert not server.heard


def test_the_embedded_teacher_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """Its planted faults are left out: they are no lack of capability."""
    endpoint = Endpoint(launch="embedded", faults={"malformed_json": 1, "http_500": 0.5})  # type: ignore[arg-type]
    rows = asyncio.run(examine("e", endpoint))
    assert {row.verdict for row in rows} <= {"ok", "note"}


# ------------------------------------------------------------------------------------------------ reading of the replies


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("[0.55, 0.1, 0.8, 0.6]", "unit"),
        ('{"x1": 0.56, "y1": 0.11, "x2": 0.79, "y2": 0.58}', "unit"),
        ("The box is [[552, 98, 801, 603]].", "permille"),
        ("[264, 32, 384, 192]", "pixels"),
        ("[10, 20, 30, 40]", None),
        ("[0.55, 0.1]", None),
        ("I cannot see it.", None),
    ],
)
def test_the_dialect_of_a_box_is_told_by_its_numbers(text: str, dialect: str | None) -> None:
    assert dialect_of(text) == dialect


def test_the_picture_shows_what_is_asked_about() -> None:
    import io

    from PIL import Image

    image = Image.open(io.BytesIO(picture())).convert("RGB")
    assert image.size == SIZE
    x, y = (int((SQUARE[i] + SQUARE[i + 2]) / 2 * SIZE[i]) for i in (0, 1))
    assert max(image.getpixel((x, y))) < 40  # type: ignore[type-var,arg-type]
    row = [image.getpixel((x, 240)) for x in range(SIZE[0])]
    green = [g > 90 and r < 60 for r, g, _ in row]  # type: ignore[misc]
    assert sum(b and not a for a, b in pairwise(green)) == 3
