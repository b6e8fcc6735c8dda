"""A model behind an endpoint: asked as the benchmark asks, answered once, never confused with another."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Budget, Identity, Run
from mmevol.config.commands import PredictSettings
from mmevol.endpoint.client import Outage
from mmevol.evaluate.asking import ask
from mmevol.evaluate.benchmarks import GREY, rows
from PIL import Image
from scripted import Heard, Reply, Server, connection, identity


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("MMEVOL_REPLIES", str(tmp_path / "replies"))
    running = Server()
    running.answer = lambda n, heard: Reply(f" say {heard.text} ")
    yield running
    running.close()


def run(
    server: Server, benchmarks: Path, out: Path, names: list[str], who: Identity | None = None, **more: Any
) -> Path:
    facts = Run(connections={"other": connection(server)}, answering=more.pop("budget", Budget()))
    settings = PredictSettings(benchmarks=names, endpoint="other", identity=who or identity(), **more)
    ask(settings, run=facts, data=benchmarks, out=out)
    return out


def said(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def picture(heard: Heard) -> Image.Image:
    url = heard.body["messages"][-1]["content"][0]["image_url"]["url"]
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_the_question_alone_and_the_file_of_any_model(server: Server, benchmarks: Path, tmp_path: Path) -> None:
    out = run(server, benchmarks, tmp_path / "m" / "seed_0", ["BLINK", "GQA"])
    for name in ("BLINK", "GQA"):
        read = list(rows(name, benchmarks / name))
        assert said(out, name) == [row.result(f"say {row.text}") for row in read]
    heard = next(h for h in server.heard if h.text == read[0].text)
    assert [m["role"] for m in heard.body["messages"]] == ["user"]
    assert "response_format" not in heard.body
    shown = read[0].picture()
    assert shown and picture(heard).size == shown.size
    usage = json.loads((out / "usage.json").read_text())
    assert usage["endpoints"][0]["asked"] == len(server.heard)


def test_nothing_is_asked_twice_and_another_model_anew(server: Server, benchmarks: Path, tmp_path: Path) -> None:
    first = run(server, benchmarks, tmp_path / "a", ["POPE"])
    asked = len(server.heard)
    again = run(server, benchmarks, tmp_path / "b", ["POPE"])
    assert len(server.heard) == asked
    assert (first / "POPE" / "predictions.jsonl").read_bytes() == (again / "POPE" / "predictions.jsonl").read_bytes()
    run(server, benchmarks, tmp_path / "c", ["POPE"], identity(revision="2"))
    assert len(server.heard) == 2 * asked


def test_grey_pictures_are_other_questions(server: Server, benchmarks: Path, tmp_path: Path) -> None:
    run(server, benchmarks, tmp_path / "a", ["GQA"])
    asked = len(server.heard)
    run(server, benchmarks, tmp_path / "b", ["GQA"], blind=True)
    blind = server.heard[asked:]
    assert {picture(h).getpixel((1, 1)) for h in blind} == {GREY}


def test_the_references_words(server: Server, benchmarks: Path, tmp_path: Path) -> None:
    run(server, benchmarks, tmp_path / "a", ["BLINK"], prompts="reference")
    roles = [[m["role"] for m in h.body["messages"]] for h in server.heard]
    assert ["user"] in roles and ["system", "user"] in roles


def test_an_outage_goes_on_where_it_stopped(server: Server, benchmarks: Path, tmp_path: Path) -> None:
    def answer(n: int, heard: Heard) -> Reply:
        return Reply("yes") if n < 20 else Reply(status=418)

    server.answer = answer
    with pytest.raises(Outage):
        run(server, benchmarks, tmp_path / "a", ["POPE"])
    assert not (tmp_path / "a" / "POPE" / "predictions.jsonl").exists()
    kept = sum(1 for h in server.heard[:20])
    server.heard.clear()
    server.answer = lambda n, heard: Reply("yes")
    run(server, benchmarks, tmp_path / "a", ["POPE"])
    distinct = len({(row.text, row.pictures) for row in rows("POPE", benchmarks / "POPE")})
    assert len(server.heard) <= distinct - kept + 8  # those under way at the end


def test_a_budget_of_its_own(server: Server, benchmarks: Path, tmp_path: Path) -> None:
    with pytest.raises(Outage, match=r"evaluate\.budget\.requests of this model is spent"):
        run(server, benchmarks, tmp_path / "a", ["POPE"], budget=Budget(requests=5))
