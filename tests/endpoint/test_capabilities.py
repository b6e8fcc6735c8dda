"""What an endpoint is said to be able to do, in what is sent and in the key; and the key that must not get out."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import AskSettings, Connection, Endpoint, Identity, Run
from mmevol.config.resolve import load, resolve
from mmevol.endpoint.ask import Asker
from mmevol.endpoint.client import Client, Outage
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Picture, Prompt, key_of
from mmevol.endpoint.response import Answer
from mmevol.endpoint.schemas import ANSWERS, VERDICTS
from mmevol.records import BadInput, Object, Request, RequestQA
from mmevol.replies import ReplyStore
from mmevol.store import write_rows
from scripted import Heard, Reply, Server, completion, connection, good, identity, made, record

SECRET = "sk-very/secret+0123456789"
ROOT = Path(__file__).parents[2]


def sent(server: Server, who: Identity | None = None, **more: Any) -> tuple[Answer | BaseException, Client]:
    """Send one request; what came of it, and the client."""

    async def run() -> tuple[Answer | BaseException, Client]:
        async with Clients(Run(connections={"e": connection(server, **more)})) as clients:
            client = clients.client("e", who or identity())
            prompt = Prompt("Answer.", Request(task="blind"), ANSWERS)
            body = client.body(prompt)
            (outcome,) = await asyncio.gather(client.send(made(body), {}), return_exceptions=True)
            return outcome, client

    return asyncio.run(run())


# ----------------------------------------------------------------------------------------------------------------- keys


REQUEST = Request(
    task="judge",
    caption="a cup",
    objects=[Object(label="cup", bbox=(0.1, 0.2, 0.3, 0.4))],
    qas=[RequestQA(id="q", question="What?", answer="A cup.")],
)
PROMPT = Prompt("Judge these.", REQUEST, VERDICTS, Picture("/pics/a.jpg", "d1" * 32, (640, 480)))


@pytest.mark.parametrize(
    ("who", "draw", "attempt", "key"),
    [
        (Identity(provider="p", model="m"), 0, 0, "155a95d0c9871c4ae44166f58af673d5b76ca2d02b80df22ef583cb9838cf696"),
        (Identity(), 1, 2, "cd54adf1481c87a61862e595e585c9cff3196771bf6964c99756dbf983495938"),
    ],
)
def test_answers_that_were_paid_for_keep_their_keys(who: Identity, draw: int, attempt: int, key: str) -> None:
    """Pinned: a capability that is added later must not ask everything anew."""
    assert key_of(PROMPT, who, draw=draw, attempt=attempt).hex() == key


@pytest.mark.parametrize(
    "changes", [{"temperature": None}, {"top_p": None}, {"reasoning_effort": "low"}, {"images": "url"}], ids=str
)
def test_a_capability_that_shapes_answers_is_in_the_key(changes: dict[str, Any]) -> None:
    plain = Identity(provider="p", model="m")
    other = Identity.model_validate(plain.model_dump() | changes)
    assert key_of(PROMPT, other, draw=0, attempt=0) != key_of(PROMPT, plain, draw=0, attempt=0)
    assert Identity.model_validate_json(other.dump()) == other


# ------------------------------------------------------------------------------------------------------ what is sent


def test_what_a_model_refuses_can_be_left_out(server: Server) -> None:
    plain, _ = sent(server)
    bare, _ = sent(server, identity(temperature=None, top_p=None, max_tokens_field="max_completion_tokens"))
    thinking, _ = sent(server, identity(temperature=None, reasoning_effort="low", seed=3))
    assert all(isinstance(a, Answer) for a in (plain, bare, thinking))
    bodies = [h.body for h in server.heard]
    assert (bodies[0]["temperature"], bodies[0]["top_p"], bodies[0]["max_tokens"]) == (1.0, 1.0, 2048)
    assert not {"temperature", "top_p", "seed", "reasoning_effort", "max_tokens"} & bodies[1].keys()
    assert bodies[1]["max_completion_tokens"] == 2048
    assert (bodies[2]["reasoning_effort"], bodies[2]["seed"]) == ("low", 3)


def test_tokens_spent_on_thinking_are_counted(server: Server) -> None:
    value = completion(Reply("fine"))
    value["usage"]["completion_tokens_details"] = {"reasoning_tokens": 7}
    server.answer = lambda n, heard: Reply(body=json.dumps(value).encode())
    answer, client = sent(server)
    assert isinstance(answer, Answer)
    assert (answer.reasoning_tokens, client.usage.reasoning_tokens, client.usage.output_tokens) == (7, 7, 10)


def test_azure_takes_its_own_header_and_a_version(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)
    base = server.base_url.removesuffix("/v1") + "/openai/deployments/mine"
    more = {"api_key_env": "SOME_KEY", "api_key_header": "api-key", "api_version": "2024-10-21", "base_url": base}
    answer, _ = sent(server, **more)
    assert isinstance(answer, Answer)
    (heard,) = server.heard
    assert heard.path == "/openai/deployments/mine/chat/completions"
    assert heard.query == {"api-version": "2024-10-21"}
    assert heard.headers["api-key"] == SECRET
    assert "Authorization" not in heard.headers


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pass@host/v1",
        "https://host/v1?api-key=x",
        "host:8000/v1",
        "ftp://host/v1",
        "https:///v1",
        "https://h/v1#x",
    ],
)
def test_an_address_holds_no_key_and_is_one(url: str) -> None:
    with pytest.raises(ValueError, match=r"an address alone|https://"):
        Connection(base_url=url)


@pytest.mark.parametrize("url", [f"https://me:{SECRET[:9]}@host/v1", f"https://host/v1?key={SECRET[:9]}"])
def test_a_key_in_an_address_is_not_shown(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolve({"study": "s", "seeds": {"source": "a.json"}, "endpoints": {"e": {"base_url": url}}}, "s.yaml")
    assert caught.value.field == "endpoints.e.base_url"
    assert "https://" in caught.value.found
    assert SECRET[:9] not in str(caught.value)


# --------------------------------------------------------------------------------------------------- pictures by address


def test_pictures_go_by_address_and_boxes_in_their_own_pixels(server: Server, tmp_path: Path) -> None:
    """The server takes the file as it is: nothing is read, and boxes in pixels are the file's."""
    who = identity(images="url", box_dialect="pixels")
    picture = Picture("/nowhere/a b.png", "d" * 64, (2000, 1000), "sub/a b.png")
    request = Request(task="blind", objects=[Object(label="cup", bbox=(0.1, 0.2, 0.3, 0.4))])
    prompt = Prompt("Answer.", request, ANSWERS, picture)

    async def run() -> None:
        facts = Run(connections={"e": connection(server, images_base_url="https://pics.example/all/")})
        with ReplyStore(range(256), job="test", root=tmp_path) as store:
            async with Clients(facts) as clients:
                await Asker(clients.client("e", who), store).answer(prompt, prompt, record="r", draw=0, attempt=0)

    asyncio.run(run())
    (heard,) = server.heard
    assert heard.body["messages"][1]["content"][1]["image_url"]["url"] == "https://pics.example/all/sub/a%20b.png"
    assert heard.block["objects"][0]["bbox"] == [200, 200, 600, 400]


def test_address_and_form_of_pictures_go_together() -> None:
    for half in ({"images": "url"}, {"images_base_url": "https://pics.example"}):
        with pytest.raises(ValueError, match="go together"):
            Endpoint(base_url="https://a/v1", **half)  # type: ignore[arg-type]


def test_a_judge_of_benchmarks_takes_pictures_inline() -> None:
    study = load(ROOT / "config/test.yaml").model_dump(mode="json", by_alias=True)
    study["endpoints"]["judge"] |= {"images": "url", "images_base_url": "https://pics.example"}
    with pytest.raises(BadInput, match=r"endpoints\.judge\.images"):
        resolve(study, "s.yaml")


# ---------------------------------------------------------------------------------------------- the key stays where it is


def echoing(n: int, heard: Heard) -> Reply:
    """A server that repeats the key in everything: in an error over the point where messages are cut, and in good answers."""
    if n == 0:
        return Reply(status=500, body=f"{SECRET} is overloaded".encode())
    value = completion(Reply(good(heard.block)))
    value["model"] = f"model for {SECRET}"
    text = json.dumps(value).replace("find the cup", f"find the cup with {SECRET}")
    return Reply(body=text.encode(), headers={"X-Key": SECRET})


def whole_run(tmp_path: Path, server: Server, **more: Any) -> subprocess.CompletedProcess[str]:
    """A round of two records as a rule runs it, in a process of its own, its output kept as a log."""
    write_rows(tmp_path / "seeds.parquet", "seed", [record("a", 2), record("b")])
    facts = Run(status=str(tmp_path / "status"), connections={"e": connection(server, api_key_env="SOME_KEY", **more)})
    settings = AskSettings(seed=1, round=1, directions={"reasoning": 1}, evolver="e", evolver_identity=identity())
    out, usage = tmp_path / "r/candidates/0.parquet", tmp_path / "r/usage/0.json"
    options = ["--settings", settings.dump(), "--shard", "0", "--seeds", str(tmp_path / "seeds.parquet")]
    environment = {"MMEVOL_RUN": facts.dump(), "MMEVOL_REPLIES": str(tmp_path / "replies"), "SOME_KEY": SECRET}
    (tmp_path / "facts").write_text(json.dumps([*options, facts.dump()]))
    done = subprocess.run(
        [sys.executable, "-m", "mmevol", "evolve", "ask", *options, "--out", str(out), "--usage", str(usage)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    (tmp_path / "log").write_text(done.stdout + done.stderr)
    return done


def holds(folder: Path) -> list[str]:
    """The files below a folder that hold the key, or half of it."""
    halves = (SECRET[: len(SECRET) // 2].encode(), SECRET[len(SECRET) // 2 :].encode())
    return [str(p) for p in folder.rglob("*") if p.is_file() and any(half in p.read_bytes() for half in halves)]


def test_no_artefact_holds_the_key_even_of_a_server_that_repeats_it(tmp_path: Path, server: Server) -> None:
    server.answer = echoing
    done = whole_run(tmp_path, server)
    assert done.returncode == 0, done.stderr
    assert server.heard[0].headers["Authorization"] == f"Bearer {SECRET}"
    made = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*") if p.is_file()}
    assert {"r", "replies", "status", "log", "facts"} <= made
    assert any(b"with ***" in p.read_bytes() for p in (tmp_path / "replies").rglob("*.log"))
    assert holds(tmp_path) == []


@pytest.mark.parametrize("before", [0, 280, 295])
def test_no_message_holds_the_key_nor_half_of_it(tmp_path: Path, server: Server, before: int) -> None:
    server.answer = lambda n, heard: Reply(status=418, body=b"x" * before + SECRET.encode())
    done = whole_run(tmp_path, server)
    assert done.returncode == 1
    assert "answered 418" in done.stderr
    assert holds(tmp_path) == []


def test_a_key_with_a_line_break_is_named_not_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET + "\n")
    outcome, _ = sent(server, api_key_env="SOME_KEY")
    assert isinstance(outcome, BadInput)
    assert "line break" in outcome.found
    assert SECRET not in str(outcome)


def test_the_doctors_plain_requests_hide_it_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)
    server.answer = lambda n, heard: Reply(status=400, body=SECRET.encode())

    async def run() -> bytes:
        async with Clients(Run(connections={"e": connection(server, api_key_env="SOME_KEY")})) as clients:
            messages = Prompt("Answer.", Request(task="blind"), ANSWERS).messages(identity(), None)
            _, content, _, _ = await clients.client("e", identity()).once({"model": "m", "messages": messages})
            return content

    assert asyncio.run(run()) == b"***"


def test_an_endpoint_that_is_gone_is_an_outage_for_plain_requests(server: Server) -> None:
    server.answer = lambda n, heard: Reply(act="drop")

    async def run() -> None:
        async with Clients(Run(connections={"e": connection(server)})) as clients:
            messages = Prompt("Answer.", Request(task="blind"), ANSWERS).messages(identity(), None)
            await clients.client("e", identity()).once({"model": "m", "messages": messages})

    with pytest.raises(Outage, match="endpoint e"):
        asyncio.run(run())
