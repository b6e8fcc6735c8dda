"""Keys, and where requests may go with them: the address of the study, by the proxy of the environment."""

import asyncio
from pathlib import Path

import pytest
from mmevol.config import Connection, Run
from mmevol.endpoint.client import Outage
from mmevol.endpoint.clients import Clients
from mmevol.records import BadInput
from scripted import Reply, Server, identity, sent


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_at_the_start_is_bad_input(server: Server, status: int) -> None:
    server.models_status = status
    outcomes, _ = sent(server, 3)
    assert all(isinstance(o, BadInput) and o.field == "endpoints.e.api_key_env" for o in outcomes)
    assert not server.heard
    server.models_status = 200  # a gateway whose list of models is public
    server.answer = lambda n, heard: Reply(status=status)
    (outcome,), _ = sent(server)
    assert isinstance(outcome, BadInput)
    assert str(status) in outcome.found


def test_a_key_comes_from_the_environment_and_goes_nowhere_else(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    server.answer = lambda n, heard: (
        Reply("fine") if n == 0 else Reply(status=400, body=b"bad: " + heard.headers["Authorization"].encode())
    )
    outcomes, client = sent(server, 2, api_key_env="SOME_KEY", concurrency=1)
    assert server.heard[0].headers["Authorization"] == "Bearer sk-very-secret"
    assert isinstance(outcomes[1], Outage)
    assert "sk-very" not in str(outcomes[1])
    assert "bad: Bearer ***" in str(outcomes[1])
    assert "sk-very" not in client.job.run.dump()


def test_a_missing_key_is_bad_input(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    (outcome,), _ = sent(server, api_key_env="SOME_KEY")
    assert isinstance(outcome, BadInput)
    assert "SOME_KEY is not set" in outcome.found
    assert not server.heard


def test_a_key_does_not_travel_in_the_clear(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    (outcome,), _ = sent(server, api_key_env="SOME_KEY", base_url="http://example.invalid/v1")
    assert isinstance(outcome, BadInput)
    assert "plain http to example.invalid" in outcome.found
    (outcome,), _ = sent(server, api_key_env="SOME_KEY", base_url="http://example.invalid/v1", allow_http=True)
    assert isinstance(outcome, BadInput)
    assert "example.invalid" in outcome.found
    assert "plain http" not in outcome.found


def test_a_redirect_is_not_followed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    thief = Server()
    try:
        to = {"Location": f"{thief.base_url}/chat/completions"}
        server.answer = lambda n, heard: Reply(status=307, headers=to)
        (outcome,), _ = sent(server, api_key_env="SOME_KEY")
        assert isinstance(outcome, Outage)
        assert not thief.heard
    finally:
        thief.close()


def test_https_takes_the_proxy_of_the_environment_and_plain_http_does_not(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readline()).decode().split()[:2])
        writer.close()

    async def ask(base_url: str) -> None:
        async with Clients(Run(connections={"e": Connection(base_url=base_url)})) as clients:
            await clients.client("e", identity()).once()

    async def run() -> None:
        listening = await asyncio.start_server(proxy, "127.0.0.1", 0)
        for name in ("https_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "other.invalid")
        await ask(server.base_url)
        for host in ("models.invalid", "other.invalid"):
            with pytest.raises(BadInput, match=host):
                await ask(f"https://{host}/v1")
        listening.close()

    asyncio.run(run())
    assert heard == [["CONNECT", "models.invalid:443"]]


def test_a_proxy_that_is_no_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "user:password@")
    (outcome,), _ = sent(server)
    assert isinstance(outcome, BadInput)
    assert (outcome.file, outcome.field) == ("the environment", "https_proxy")
    assert "password" not in str(outcome)
