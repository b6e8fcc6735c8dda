"""The client against a real server: what is tried again, what ends the job, what is an answer."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import Budget, Connection, Prices, Run
from mmevol.endpoint.client import Client, Outage
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.response import Answer, read_answer, retry_after
from mmevol.endpoint.schemas import ANSWERS
from mmevol.records import BadInput, Request
from scripted import Heard, Reply, Server, completion, connection, identity, made, sent

SLOW = 2.0
"""Seconds within which a retry that must come soon has come, also on a busy machine."""


def first(reply: Reply, n: int = 1) -> Callable[[int, Heard], Reply]:
    """So many spoiled replies, then good ones."""
    return lambda i, heard: reply if i < n else Reply("fine")


SPOILED = [
    Reply(status=500),
    Reply(status=502),
    Reply(status=529),
    Reply(status=429),
    Reply(act="drop"),
    Reply(act="hang"),
    Reply(body=b'{"choices": [{"mess'),
    Reply(body=b"<html>gateway</html>"),
    Reply(body=b'{"error": {"message": "overloaded"}}'),
    Reply(body=b"[]"),
    Reply(body=b'{"choices": []}'),
    Reply(body=b'{"choices": [{"message": null}]}'),
    Reply(body=b'{"choices": [{"message": {"content": [{"type": "text", "text": "a"}]}}]}'),
    Reply(body=b"", headers={"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize("reply", SPOILED, ids=lambda r: f"{r.status} {r.act} {(r.body or b'')[:24]!r}")
def test_what_passes_is_tried_again(server: Server, reply: Reply) -> None:
    server.answer = first(reply)
    (answer,), client = sent(server, timeout=0.3)
    assert isinstance(answer, Answer)
    assert answer.text == "fine"
    assert client.usage.errors.total() == 1
    assert client.usage.asked == 1
    assert [h.headers["X-MMEvol-Transport-Attempt"] for h in server.heard] == ["0", "1"]
    assert server.heard[0].body == server.heard[1].body


def test_retry_after_is_honoured(server: Server) -> None:
    times: list[float] = []

    def answer(n: int, heard: Heard) -> Reply:
        times.append(time.monotonic())
        return Reply(status=429, headers={"Retry-After": "1"}) if n == 0 else Reply("fine")

    server.answer = answer
    (outcome,), client = sent(server)
    assert isinstance(outcome, Answer)
    assert client.usage.errors == {"429": 1}
    assert times[1] - times[0] >= 1.0


def test_a_request_that_waits_to_be_sent_again_keeps_no_place(server: Server) -> None:
    server.answer = lambda n, heard: Reply(status=500) if n == 0 else Reply("fine")
    outcomes, _ = sent(server, 2, concurrency=1)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert [heard.headers["X-N"] for heard in server.heard] == ["0", "1", "0"]


def test_refusals_in_a_row_make_all_wait(server: Server) -> None:
    """While a server refuses everything, nobody goes out until the time that it named is over, but for those who had taken the
    places of the first three that were refused."""
    times: list[float] = []

    def answer(n: int, heard: Heard) -> Reply:
        times.append(time.monotonic())
        early = times[-1] - times[0] < 0.5
        return Reply(status=429, headers={"Retry-After": "1"}, delay=0.1) if early else Reply("fine")

    server.answer = answer
    answers, client = sent(server, 12, concurrency=4)
    assert all(isinstance(a, Answer) for a in answers)
    assert 4 <= client.usage.errors["429"] <= 7
    assert len(times) == 12 + client.usage.errors["429"]
    assert sum(at - times[0] < 1 for at in times) == client.usage.errors["429"]


def test_a_wait_beyond_patience_ends_the_job_at_once(server: Server) -> None:
    server.answer = lambda n, heard: Reply(status=429, headers={"Retry-After": "3600"})
    (outcome,), _ = sent(server)
    assert isinstance(outcome, Outage)
    assert "asks to wait for 3600 s" in str(outcome)
    assert len(server.heard) == 1


def test_a_request_that_always_fails_ends_the_job_though_others_are_answered(server: Server) -> None:
    server.answer = lambda n, heard: Reply(status=500) if heard.headers["X-N"] == "0" else Reply("fine")
    outcomes, client = sent(server, 5, transport_attempts=3)
    assert isinstance(outcomes[0], Outage)
    assert "one request failed 3 times (500 × 3)" in str(outcomes[0])
    assert all(isinstance(o, Answer) for o in outcomes[1:])
    assert client.usage.errors == {"500": 3}


WHEN = "Wed, 21 Oct 2026 07:28:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": WHEN, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"Retry-After": WHEN, "Date": "Wed, 21 Oct 2026 09:00:00 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": WHEN, "Date": "today"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 -0000", "Date": WHEN}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "inf"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": ""}, 0),
        ({}, 0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_by_the_servers_clock(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers.get("Retry-After"), headers.get("Date")) == seconds


@pytest.mark.parametrize(
    "reply",
    [Reply(status=500), Reply(act="drop"), Reply(body=b"x"), Reply(status=429)],
    ids=["500", "drop", "body", "429"],
)
def test_an_endpoint_that_stays_dead_is_an_outage_within_patience(server: Server, reply: Reply) -> None:
    server.answer = lambda n, heard: Reply("fine") if n == 0 else reply
    began = time.monotonic()
    outcomes, client = sent(server, 3, concurrency=1, patience=0.5)
    assert isinstance(outcomes[0], Answer)
    assert all(isinstance(o, Outage) for o in outcomes[1:])
    assert "no answer for" in str(outcomes[1])
    assert "run again" in str(outcomes[1])
    assert time.monotonic() - began < 10
    assert client.usage.asked == 1


def test_patience_counts_from_a_requests_own_beginning(server: Server) -> None:
    """A client that had nothing to ask for a while has not been waiting for an answer."""
    server.answer = lambda n, heard: Reply(status=500) if n == 1 else Reply("fine")

    async def run() -> None:
        async with Clients(Run(connections={"e": connection(server, patience=0.5)})) as clients:
            client = clients.client("e", identity())
            body = client.body(Prompt("Answer.", Request(task="blind"), ANSWERS))
            await client.send(made(body), {})
            await asyncio.sleep(0.7)
            await client.send(made(body), {})

    asyncio.run(run())
    assert len(server.heard) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_will_not_pass_ends_the_job_once_it_has_begun(server: Server, status: int) -> None:
    server.answer = lambda n, heard: Reply("fine") if n == 0 else Reply(status=status)
    outcomes, client = sent(server, 2, concurrency=1)
    assert isinstance(outcomes[0], Answer)
    assert isinstance(outcomes[1], Outage)
    assert str(status) in str(outcomes[1])
    assert len(server.heard) == 2
    assert client.usage.asked == 1


@pytest.mark.parametrize("status", [404, 405, 503])
def test_a_gateway_without_a_list_of_models_is_there(server: Server, status: int) -> None:
    server.models_status = status
    (answer,), _ = sent(server)
    assert isinstance(answer, Answer)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no.such.host.invalid/v1"])
def test_an_endpoint_that_is_not_there_is_bad_input(server: Server, url: str) -> None:
    (outcome,), _ = sent(server, base_url=url)
    assert isinstance(outcome, BadInput)
    assert outcome.field == "endpoints.e.base_url"
    assert url in outcome.found


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (b"", "connection closed before message completed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "end of file before message length reached"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", "end of file before message length reached"),
        (b"nothing of HTTP\r\n\r\n", "invalid HTTP version parsed"),
    ],
)
def test_what_breaks_on_the_way_is_counted_by_its_cause(raw: bytes, cause: str) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    good = orjson.dumps(completion(Reply("fine")))
    replies = iter([whole % (2, b"{}"), raw, whole % (len(good), good)])  # of /models, then of the question

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")]
        await reader.readexactly(sum(length))
        writer.write(next(replies))
        await writer.drain()
        writer.close()

    async def run() -> None:
        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        to = Connection(base_url=f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")
        async with Clients(Run(connections={"e": to})) as clients:
            client = clients.client("e", identity())
            body = client.body(Prompt("Answer.", Request(task="blind"), ANSWERS))
            assert (await client.send(made(body), {})).text == "fine"
            assert client.usage.errors == {cause: 1}
        listening.close()

    asyncio.run(run())


def test_no_more_are_in_flight_than_allowed(server: Server) -> None:
    server.answer = lambda n, heard: Reply("fine", delay=0.05)
    outcomes, client = sent(server, 20, concurrency=4)
    assert all(isinstance(o, Answer) for o in outcomes)
    assert server.most == 4
    assert client.usage.asked == 20


@pytest.mark.parametrize(("limit", "asked"), [({"requests": 5}, 5), ({"tokens": 330}, 3), ({"money": 0.0005}, 3)])
def test_a_budget_is_a_hard_stop_that_wastes_no_answer(server: Server, limit: dict[str, float], asked: int) -> None:
    server.answer = lambda n, heard: Reply("fine", delay=0.02)
    prices = Prices(input=1, cached_input=0.5, output=10)
    width = 8 if "requests" in limit else 1  # what a request will cost is not known before; how many there are is
    outcomes, client = sent(server, 12, budget=Budget(**limit), concurrency=width, prices=prices)
    assert len(server.heard) == asked == client.usage.asked
    assert sum(isinstance(o, Answer) for o in outcomes) == asked
    stopped = [o for o in outcomes if isinstance(o, Outage)]
    assert len(stopped) == 12 - asked
    assert f"evolve.budget.{next(iter(limit))}" in str(stopped[0])


def test_evolver_and_judge_share_a_budget(server: Server) -> None:
    async def run() -> None:
        facts = Run(connections={n: connection(server) for n in "ab"}, budget=Budget(requests=8))
        async with Clients(facts, shards=4) as clients:
            one, two = (clients.client(n, identity()) for n in "ab")
            body = one.body(Prompt("Answer.", Request(task="blind"), ANSWERS))
            await one.send(made(body), {})
            await two.send(made(body), {})
            with pytest.raises(Outage, match=r"budget\.requests of this shard is spent \(2 of 2\)"):
                await one.send(made(body), {})

    asyncio.run(run())


def test_an_answer_carries_what_the_server_says(server: Server) -> None:
    server.answer = lambda n, heard: Reply("fine", finish="length", refusal="no")
    (answer,), client = sent(server, prices=Prices(input=2, cached_input=1, output=10))
    assert answer == Answer("fine", "length", "no", "scripted-0", 100, 40, 10)
    assert client.usage.money(client.connection.prices) == pytest.approx((60 * 2 + 40 + 100) / 1e6)
    facts = client.job.facts()
    assert facts.pop("asked_per_s") > 0
    assert facts == {"asked": 1, "tokens": 110, "money": 0.0003, "errors": {"refusal": 1}}


def test_a_question_that_the_provider_filters_is_answered_by_that(server: Server) -> None:
    body = b'{"error": {"code": "content_filter", "message": "filtered"}}'
    server.answer = lambda n, heard: Reply(status=400, body=body)
    (answer,), _ = sent(server)
    assert isinstance(answer, Answer)
    assert answer.finish == "content_filter"


@given(
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.text(max_size=3),
        lambda x: (
            st.lists(x, max_size=2)
            | st.dictionaries(st.sampled_from(["choices", "message", "content", "usage"]), x, max_size=3)
        ),
    ).map(orjson.dumps)
)
def test_a_body_is_an_answer_or_a_value_error(body: bytes) -> None:
    try:
        answer = read_answer(body)
    except ValueError:
        return
    assert isinstance(answer.text, str)


def test_a_plain_completion_without_usage_is_an_answer() -> None:
    value = completion(Reply("fine", finish=None))
    del value["usage"], value["model"]
    assert read_answer(orjson.dumps(value)) == Answer("fine", "stop", "", "", 0, 0, 0)


def client_of(**more: Any) -> Client:
    facts = Run(connections={"e": Connection(base_url="http://127.0.0.1:9/v1")})
    return Clients(facts).client("e", identity(**more))


def test_a_body_asks_as_the_endpoint_wants_it() -> None:
    async def bodies() -> list[dict[str, Any]]:
        prompt = Prompt("Answer.", Request(task="blind"), ANSWERS)
        plain = client_of(temperature=0.5, top_p=0.9, seed=3)
        other = client_of(structured="json_object", max_tokens_field="max_completion_tokens", max_tokens=100)
        bare = client_of(structured="none")
        made = [
            plain.body(prompt),
            other.body(prompt, more_tokens=4),
            bare.body(prompt),
        ]
        return [orjson.loads(bytes(body)) for body in made]

    plain, other, bare = asyncio.run(bodies())
    assert (plain["temperature"], plain["top_p"], plain["seed"], plain["max_tokens"]) == (0.5, 0.9, 3, 2048)
    assert plain["response_format"]["json_schema"]["schema"] == ANSWERS
    assert plain["response_format"]["json_schema"]["strict"] is True
    assert other["max_completion_tokens"] == 400
    assert "max_tokens" not in other
    assert other["response_format"] == {"type": "json_object"}
    assert "response_format" not in bare
    assert "seed" not in bare
