"""The server as a client sees it: a real process on a loopback port."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import Faults
from mmevol.endpoint.schemas import candidates_with
from mmevol.records import Request, RequestQA
from mmevol.teacher.answer import answer

from .test_execute import SCENE

TOKEN = "a token of this test"


class Server:
    """A running teacher and requests to it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process, self.url = process, url
        self.port = int(url.rsplit(":", 1)[1].split("/")[0])

    def send(
        self, method: str, path: str, body: Any = None, timeout: float = 10, **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {TOKEN}", **{name.replace("_", "-"): v for name, v in headers.items()}}
        data = body if isinstance(body, bytes | type(None)) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read()), dict(response.headers)
        finally:
            connection.close()

    def ask(self, body: Any, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        return self.send("POST", "/v1/chat/completions", body, **headers)


@contextmanager
def serving(tmp_path: Path, *options: str) -> Iterator[Server]:
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "mmevol", "teacher", "serve", "--ready", str(ready), "--until-eof", *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"MMEVOL_TEACHER_TOKEN": TOKEN})
    try:
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        yield Server(process, ready.read_text().strip())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("teacher")) as running:
        yield running


REQUEST = Request(
    task="evolve",
    direction="reasoning",
    objects=SCENE,
    qas=[RequestQA(id="p", question="What color is the largest circle?", answer="red")],
)


def block(request: Request) -> str:
    return f"```json\n{request.model_dump_json(by_alias=True)}\n```"


def body(request: Request = REQUEST, **more: Any) -> dict[str, Any]:
    text = f"Instructions with a ```json\n[1]\n``` of their own.\n{block(request)}\n"
    return {"model": "symbolic-v1", "messages": [{"role": "user", "content": text}], **more}


def test_a_completion(server: Server) -> None:
    status, reply, _ = server.ask(body(response_format={"type": "json_object"}), X_MMEvol_Request="k1")
    assert status == 200 and reply["object"] == "chat.completion" and reply["model"] == "symbolic-v1"
    (choice,) = reply["choices"]
    assert choice["finish_reason"] == "stop" and choice["message"]["role"] == "assistant"
    assert json.loads(choice["message"]["content"]) == answer(REQUEST, "k1", 0)
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == -(-len(choice["message"]["content"]) // 4)


def test_the_content_attempt_is_another_draw_and_the_body_is_the_key_of_last_resort(server: Server) -> None:
    first = server.ask(body(), X_MMEvol_Request="k1")[1]["choices"]
    assert server.ask(body(), X_MMEvol_Request="k1", X_MMEvol_Transport_Attempt="3")[1]["choices"] == first
    seconds = [
        server.ask(body(), X_MMEvol_Request="k1", X_MMEvol_Content_Attempt=str(n))[1]["choices"] for n in (1, 2, 3)
    ]
    assert any(second != first for second in seconds)
    assert server.ask(body())[1]["choices"] == server.ask(body())[1]["choices"]


def test_images_are_counted_and_not_read(server: Server) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,no picture", "detail": "low"}}
    parts = [image, {"type": "text", "text": body()["messages"][0]["content"]}]
    status, reply, _ = server.ask(body() | {"messages": [{"role": "user", "content": parts}]})
    plain = server.ask(body())[1]
    assert status == 200 and reply["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"] + 85


def test_max_tokens_cut_the_reply(server: Server) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        reply = server.ask(body(**{name: 10}))[1]
        assert reply["choices"][0]["finish_reason"] == "length" and reply["usage"]["completion_tokens"] == 10


def test_models_say_what_they_are(server: Server) -> None:
    _, listed, _ = server.send("GET", "/v1/models")
    (model,) = listed["data"]
    assert model["id"] == "symbolic-v1" and "no language model" in model["description"]
    assert server.send("GET", "/v1/models/symbolic-v1")[1]["id"] == "symbolic-v1"
    assert server.send("GET", "/v1/models/gpt")[0] == 404


SCHEMA = {"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object", "required": ["candidates"]}}}
OTHER = {"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object", "required": ["verdicts"]}}}


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        (b"{not json", 400, "not JSON"),
        ([1], 400, "object"),
        (body(model="gpt-4o"), 404, "gpt-4o"),
        (body(n=2), 400, "n must be 1"),
        (body(stream=True), 400, "stream"),
        (body(max_tokens=0), 400, "max_tokens"),
        (body(response_format={"type": "xml"}), 400, "response_format"),
        (body(response_format=OTHER), 400, "verdicts"),
        (body(response_format=SCHEMA), 200, ""),
        (body(n=1), 200, ""),
        (body() | {"messages": []}, 400, "messages"),
        (body() | {"messages": [{"role": "user", "content": "Hello!"}]}, 400, "mmevol-request/1"),
        (body() | {"messages": [{"role": "wizard", "content": "x"}]}, 400, "role"),
        (body() | {"messages": [{"role": "system", "content": block(REQUEST)}]}, 400, "user message"),
        (
            body() | {"messages": [{"role": "user", "content": block(REQUEST)}, {"role": "user", "content": "And?"}]},
            400,
            "last user message",
        ),
        (body() | {"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, 400, "content parts"),
        (
            body()
            | {"messages": [{"role": "user", "content": block(REQUEST).replace("reasoning", 'x","task":"cook')}]},
            400,
            "task",
        ),
        (body(Request(task="mia_score", data={"weights": [1]})), 400, "mia_score needs components"),
    ],
)
def test_what_is_not_in_order_is_refused_in_the_openai_form(
    server: Server, sent: Any, status: int, message: str
) -> None:
    got, reply, _ = server.ask(sent)
    assert got == status
    if status != 200:
        assert set(reply["error"]) == {"message", "type", "param", "code"} and message in reply["error"]["message"]
        assert reply["error"]["type"] == "invalid_request_error"


def test_a_direction_of_ones_own_is_rewritten_by_the_one_that_it_is_like(server: Server) -> None:
    status, said, _ = server.ask(body(REQUEST.model_copy(update={"direction": "persona"})))
    assert (status, said["error"]["code"]) == (400, "unknown_direction")
    assert "perceptual, reasoning, interactive" in said["error"]["message"]
    like = REQUEST.model_copy(update={"direction": "persona", "family": "reasoning"})
    status, said, _ = server.ask(body(like))
    items = json.loads(said["choices"][0]["message"]["content"])["candidates"]
    assert status == 200
    assert items and all(item["question"].endswith("Think step by step.") for item in items)


def test_a_field_that_it_does_not_know_is_refused(server: Server) -> None:
    schema = candidates_with({"focus": {"type": "string"}})
    format_ = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    status, said, _ = server.ask(body(response_format=format_))
    assert (status, said["error"]["param"]) == (400, "response_format")
    assert "focus" in said["error"]["message"]


def test_a_token_is_wanted_everywhere(server: Server) -> None:
    for path in ("/v1/models", "/stats", "/v1/chat/completions"):
        status, reply, _ = server.send("GET", path, Authorization="Bearer wrong")
        assert status == 401 and reply["error"]["code"] == "invalid_api_key"


def test_unknown_paths_are_told_in_the_openai_form(server: Server) -> None:
    assert server.send("GET", "/v1/embeddings")[0] == 404
    assert server.send("GET", "/v1/chat/completions")[0] == 405


def test_a_body_over_the_limit_is_refused(server: Server) -> None:
    status, reply, _ = server.ask(b" " * (32 * 1024 * 1024 + 1))
    assert status == 413 and reply["error"]["code"] == "request_too_large"


def test_requests_are_counted_and_logged(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with serving(tmp_path, "--log", str(log)) as server:
        for key in ("a", "a", "b"):
            server.ask(body(), X_MMEvol_Request=key)
        server.ask(body(Request(task="blind", qas=REQUEST.qas)), X_MMEvol_Request="c", X_MMEvol_Content_Attempt="2")
        server.ask(b"nonsense")
        _, counts, _ = server.send("GET", "/stats")
    assert counts["requests"] == 4 and counts["tasks"] == {"evolve": 3, "blind": 1}
    assert counts["keys"] == {"a": 2, "b": 1, "c": 1} and counts["mismatches"] == {}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["key"] for line in lines] == ["a", "a", "b", "c"]
    assert lines[-1] == {
        "key": "c",
        "content_attempt": 2,
        "transport_attempt": 0,
        "task": "blind",
        "outcome": "answered",
    }


def test_transport_faults(tmp_path: Path) -> None:
    faults = Faults(http_429=0.25, http_500=0.25, drop=0.25, hang=0.25)
    seen = set()
    with serving(tmp_path, "--faults", faults.dump()) as server:
        for attempt in range(40):
            try:
                status, reply, headers = server.send(
                    "POST",
                    "/v1/chat/completions",
                    body(),
                    timeout=0.3,
                    X_MMEvol_Request="k",
                    X_MMEvol_Transport_Attempt=str(attempt),
                )
                seen.add(str(status))
                assert reply["error"]["message"] and (status != 429 or headers["Retry-After"] == "1")
            except TimeoutError:
                seen.add("hang")
            except (RemoteDisconnected, ConnectionResetError):
                seen.add("drop")
            if len(seen) == 4:
                break
    assert seen == {"429", "500", "hang", "drop"}


def test_reply_faults_over_the_wire(tmp_path: Path) -> None:
    with serving(tmp_path, "--faults", Faults(refusal=0.3, truncated_json=0.3, malformed_json=0.3).dump()) as server:
        replies = [server.ask(body(), X_MMEvol_Request=str(key))[1]["choices"][0] for key in range(40)]
    refused = [r["message"] for r in replies if r["message"]["refusal"]]
    assert refused and all(message["content"] is None for message in refused)
    texts = [(r["finish_reason"], r["message"]["content"]) for r in replies if r["message"]["content"]]
    cut = [text for reason, text in texts if reason == "length"]
    broken = [text for reason, text in texts if reason == "stop" and not readable(text)]
    assert cut and broken and not any(map(readable, cut)) and len(cut) + len(broken) + len(refused) < 40


def readable(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def test_it_ends_when_its_starter_does(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.process.stdin
        server.process.stdin.close()
        assert server.process.wait(timeout=2) == 0


def test_it_ends_at_once_on_sigterm_also_with_a_hanging_request(tmp_path: Path) -> None:
    with serving(tmp_path, "--faults", Faults(hang=1).dump()) as server:
        with pytest.raises(TimeoutError):
            server.send("POST", "/v1/chat/completions", body(), timeout=0.2)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=2) == 0


def test_it_listens_on_loopback_only(server: Server) -> None:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = {line.split()[1] for line in lines if line.split()[3] == "0A"}
    assert {address for address in listening if int(address.split(":")[1], 16) == server.port} == {
        f"0100007F:{server.port:04X}"
    }
