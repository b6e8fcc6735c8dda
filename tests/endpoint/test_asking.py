"""The walk through the content attempts, and order and bounds of many at a time."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmevol.config import Run
from mmevol.endpoint.ask import AHEAD, Asker, Rejected, in_order
from mmevol.endpoint.client import Refused
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Picture, Prompt
from mmevol.endpoint.schemas import ANSWERS
from mmevol.endpoint.usage import Usage
from mmevol.records import Reason, Request, RequestQA
from mmevol.replies import ReplyStore
from mmevol.segments import frames
from PIL import Image
from scripted import Reply, Server, connection, identity


def prompt(ids: Sequence[str], errors: tuple[str, ...], picture: Picture | None = None) -> Prompt:
    request = Request(task="blind", qas=[RequestQA(id=i, question=f"{i}?") for i in ids])
    return Prompt("Answer.", request, ANSWERS, picture, errors)


def read(reply: dict[str, Any], ids: Sequence[str]) -> tuple[dict[str, str], dict[str, Rejected]]:
    good, bad = {}, {}
    for item in reply.get("answers", []):
        if item["answer"]:
            good[item["id"]] = item["answer"]
        else:
            bad[item["id"]] = Rejected(Reason.EMPTY_ANSWER, "empty")
    return good, bad


Outcome = tuple[dict[str, str], dict[str, Reason], Usage]


def asked(
    server: Server, root: Path, ids: Sequence[str] = "abc", attempts: int = 3, draw: int = 0, **who: Any
) -> Outcome:
    """Ask about some ids; usable items, reasons of the others, and what was spent."""

    async def run() -> Outcome:
        with ReplyStore(range(256), job="test", root=root) as store:
            async with Clients(Run(connections={"e": connection(server)})) as clients:
                asker = Asker(clients.client("e", identity(**who)), store)
                found, why = await asker.items(ids, prompt, read, record="r", attempts=attempts, draw=draw)
                return found, why, asker.client.usage

    return asyncio.run(run())


def answers(block: dict[str, Any], **said: str | None) -> dict[str, Any]:
    """Each id of the block answered by itself in capitals, but for what is said of it; None leaves it out."""
    items = {qa["id"]: said.get(qa["id"], qa["id"].upper()) for qa in block["qas"]}
    return {"answers": [{"id": i, "answer": a} for i, a in items.items() if a is not None]}


ALL = {"a": "A", "b": "B", "c": "C"}


def scripted(server: Server, *replies: Callable[[dict[str, Any]], Any]) -> None:
    server.answer = lambda n, heard: replies[min(n, len(replies) - 1)](heard.block)


def test_a_request_that_is_refused_for_good_is_named(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: Reply(status=413))
    with pytest.raises(Refused, match="answered 413") as refused:
        asked(server, tmp_path)
    assert refused.value.__notes__ == ["It was asked about record r (task blind)."]


WRONG = {
    "cut": (lambda b: Reply('{"answers": [{"id": "a", "ans', finish="length"), Reason.TRUNCATED),
    "whole but cut at the limit": (lambda b: Reply(answers(b), finish="length"), Reason.TRUNCATED),
    "filtered": (lambda b: Reply(answers(b), finish="content_filter"), Reason.CONTENT_FILTER),
    "refused": (lambda b: Reply("", refusal="I will not"), Reason.REFUSAL),
    "refused in prose": (lambda b: Reply("I am sorry, I cannot help with that."), Reason.REFUSAL),
    "nothing": (lambda b: Reply(""), Reason.REFUSAL),
    "half JSON": (lambda b: Reply('{"answers": [{"id": "a", "answer": "A"}'), Reason.INVALID_JSON),
    "two objects": (lambda b: Reply('{"answers": []} {"answers": []}'), Reason.INVALID_JSON),
    "a list": (lambda b: Reply([{"id": "a"}]), Reason.SCHEMA),
    "a number": (lambda b: Reply("7"), Reason.SCHEMA),
    "other ids": (lambda b: {"answers": [{"id": "x", "answer": "A"}]}, Reason.MISSING),
    "other fields": (lambda b: {"replies": []}, Reason.MISSING),
    "empty": (lambda b: answers(b, a="", b="", c=""), Reason.EMPTY_ANSWER),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_each_wrong_reply_has_its_reason_and_is_asked_again(server: Server, tmp_path: Path, wrong: str) -> None:
    reply, reason = WRONG[wrong]
    scripted(server, reply)
    found, why, _ = asked(server, tmp_path, "a", attempts=2)
    assert (found, why) == ({}, {"a": reason})
    assert [h.headers["X-MMEvol-Content-Attempt"] for h in server.heard] == ["0", "1"]
    assert server.heard[0].headers["X-MMEvol-Request"] != server.heard[1].headers["X-MMEvol-Request"]
    assert "could not be used" not in server.heard[0].text
    assert "- a: " in server.heard[1].text
    server.heard.clear()
    scripted(server, reply, answers)
    found, why, usage = asked(server, tmp_path, draw=1)
    assert (found, why) == (ALL, {})
    assert usage.asked == (3 if reason is Reason.CONTENT_FILTER else 2)


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{}\n```",
        "```\n{}\n```",
        "Here is what you asked for:\n\n{}\n\nAnything else?",
        "Sure!\n```json\n{}\n```\nDone.",
        "\n\t {} \n",
    ],
)
def test_text_around_the_one_object_is_tolerated(server: Server, tmp_path: Path, text: str) -> None:
    whole = '{"answers": [{"id": "a", "answer": "A {with} ```braces```"}]}'
    scripted(server, lambda b: Reply(text.replace("{}", whole)))
    assert asked(server, tmp_path, "a", attempts=1)[:2] == ({"a": "A {with} ```braces```"}, {})


def test_a_cut_reply_asks_for_more_tokens_under_the_same_question(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: Reply("{", finish="length"))
    asked(server, tmp_path, "a", attempts=5, max_tokens=100)
    assert [h.body["max_tokens"] for h in server.heard] == [100, 200, 400, 800, 800]


def sizes(server: Server) -> list[str]:
    """The ids of each request, in an order that arrival does not change."""
    return sorted(("".join(qa["id"] for qa in h.block["qas"]) for h in server.heard), key=lambda x: (-len(x), x))


def test_what_is_cut_twice_is_asked_in_halves_with_room_for_each(server: Server, tmp_path: Path) -> None:
    """A server whose replies never have room for more than two items."""
    scripted(server, lambda b: Reply("{", finish="length") if len(b["qas"]) > 2 else answers(b))
    found, why, usage = asked(server, tmp_path, "abcd", attempts=3)
    assert (found, why) == ({i: i.upper() for i in "abcd"}, {})
    assert sizes(server) == ["abcd", "abcd", "ab", "cd"]
    assert [h.body["max_tokens"] for h in server.heard] == [2048, 4096, 8192, 8192]
    again = asked(server, tmp_path, "abcd", attempts=3)
    assert again[:2] == (found, why)
    assert (again[2].asked, again[2].from_store) == (0, usage.asked)


@pytest.mark.parametrize(
    "reply",
    [Reply("", finish="content_filter"), Reply("", refusal="no"), Reply('{"answers": [', finish="stop")],
    ids=["filtered", "refused", "broken"],
)
def test_an_item_that_loses_the_whole_reply_costs_its_neighbours_nothing(
    server: Server, tmp_path: Path, reply: Reply
) -> None:
    """The requests that hold it are halved until it stands alone."""
    scripted(server, lambda b: reply if any(qa["id"] == "b" for qa in b["qas"]) else answers(b))
    found, why, usage = asked(server, tmp_path, "abcd", attempts=6)
    assert found == {i: i.upper() for i in "acd"}
    assert list(why) == ["b"]
    assert {"cd", "a", "b"} <= set(sizes(server))
    again = asked(server, tmp_path, "abcd", attempts=6)
    assert again[:2] == (found, why)
    assert (again[2].asked, again[2].from_store) == (0, usage.asked)


def test_a_question_is_asked_no_more_often_than_it_has_attempts(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: Reply("", finish="content_filter"))
    _, why, _ = asked(server, tmp_path, "abcdefgh", attempts=3)
    assert why == dict.fromkeys("abcdefgh", Reason.CONTENT_FILTER)
    assert sizes(server) == ["abcdefgh", "abcd", "efgh", "ab", "cd", "ef", "gh"]


def test_one_bad_item_costs_its_neighbours_nothing(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: answers(b, a="", c=None), lambda b: answers(b, c=""), lambda b: answers(b))
    found, why, _ = asked(server, tmp_path)
    assert (found, why) == (ALL, {})
    assert [[qa["id"] for qa in h.block["qas"]] for h in server.heard] == [["a", "b", "c"], ["a", "c"], ["c"]]
    assert "- a: empty\n- c: no item with this id" in server.heard[1].text


def test_items_are_matched_by_id_and_never_by_place(server: Server, tmp_path: Path) -> None:
    def shuffled(block: dict[str, Any]) -> dict[str, Any]:
        items = answers(block)["answers"]
        return {"answers": [{"id": "surplus", "answer": "X"}, *reversed(items)]}

    scripted(server, shuffled)
    assert asked(server, tmp_path)[:2] == (ALL, {})


def test_an_item_that_was_good_is_not_taken_from_a_later_reply(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: answers(b, b=None), lambda b: {"answers": [{"id": i, "answer": "again"} for i in "abc"]})
    assert asked(server, tmp_path)[0] == {"a": "A", "b": "again", "c": "C"}


def test_what_was_answered_is_not_asked_again(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: answers(b, c=None), lambda b: answers(b))
    once = asked(server, tmp_path)
    again = asked(server, tmp_path)
    assert again[:2] == once[:2]
    assert (once[2].asked, once[2].from_store) == (2, 0)
    assert (again[2].asked, again[2].from_store) == (0, 2)
    assert len(server.heard) == 2
    assert asked(server, tmp_path, draw=1)[2].asked == 1
    assert asked(server, tmp_path, temperature=0.5)[2].asked == 1


def test_more_attempts_continue_where_fewer_ended(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: Reply("no"), lambda b: Reply("no"), answers)
    assert asked(server, tmp_path, attempts=2)[1] == dict.fromkeys("abc", Reason.REFUSAL)
    found, _, usage = asked(server, tmp_path, attempts=3)
    assert (found, usage.asked, usage.from_store) == (ALL, 2, 2)  # in halves


def test_a_mended_parser_finds_what_was_paid_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(server, lambda b: answers(b, a=""))
    assert asked(server, tmp_path)[1] == {"a": Reason.EMPTY_ANSWER}
    monkeypatch.setitem(globals(), "read", lambda reply, ids: ({i["id"]: i["answer"] for i in reply["answers"]}, {}))
    found, why, usage = asked(server, tmp_path)
    assert (found["a"], why, usage.asked) == ("", {}, 0)


def test_the_error_text_of_a_retry_is_not_in_its_key(server: Server, tmp_path: Path) -> None:
    """The second attempt was asked after one error; read with another parser, the same reply serves after another."""
    scripted(server, lambda b: answers(b, a=""), answers)
    asked(server, tmp_path)
    keys = [h.headers["X-MMEvol-Request"] for h in server.heard]

    def strict(reply: dict[str, Any], ids: Sequence[str]) -> tuple[dict[str, str], dict[str, Rejected]]:
        good, bad = read(reply, ids)
        return (
            (good, bad) if len(good) == len(ids) else ({}, dict.fromkeys(ids, Rejected(Reason.SCHEMA, "other words")))
        )

    async def run() -> Usage:
        with ReplyStore(range(256), job="test", root=tmp_path) as store:
            async with Clients(Run(connections={"e": connection(server)})) as clients:
                asker = Asker(clients.client("e", identity()), store)
                await asker.items("abc", prompt, strict, record="r", attempts=2)
                return asker.client.usage

    usage = asyncio.run(run())
    assert (usage.asked, usage.from_store) == (0, 2)
    assert len(set(keys)) == 2


def test_boxes_of_a_reply_come_home_to_fractions(server: Server, tmp_path: Path) -> None:
    scripted(server, lambda b: answers(b, a="the cup at [100, 200, 300, 400]"))
    assert asked(server, tmp_path, "a", box_dialect="permille")[0] == {"a": "the cup at [0.1, 0.2, 0.3, 0.4]"}


def test_a_transport_error_is_never_kept(server: Server, tmp_path: Path) -> None:
    server.answer = lambda n, heard: Reply(status=500) if n == 0 else answers(heard.block)
    assert asked(server, tmp_path)[0] == ALL
    payloads = [payload for path in tmp_path.rglob("*.log") for _, _, payload in frames(path)]
    assert len(payloads) == 1
    assert b"scripted-0" in payloads[0]  # what the server says it is stands beside the answer


def test_no_key_is_in_what_is_kept(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")

    async def run() -> None:
        with ReplyStore(range(256), job="test", root=tmp_path) as store:
            async with Clients(Run(connections={"e": connection(server, api_key_env="SOME_KEY")})) as clients:
                asker = Asker(clients.client("e", identity()), store)
                await asker.items("abc", prompt, read, record="r", attempts=1)

    asyncio.run(run())
    assert server.heard[0].headers["Authorization"] == "Bearer sk-very-secret"
    assert not any(b"sk-very" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_picture_is_sent_small_and_encoded_once(server: Server, tmp_path: Path) -> None:
    Image.new("RGB", (900, 300), "red").save(tmp_path / "a.png")
    picture = Picture(str(tmp_path / "a.png"), "d" * 64, (900, 300))

    async def run(**who: Any) -> None:
        with ReplyStore(range(256), job="test", root=tmp_path / "replies") as store:
            async with Clients(Run(connections={"e": connection(server)})) as clients:
                asker = Asker(clients.client("e", identity(**who)), store)
                for draw in range(2):
                    await asker.items(
                        "a", lambda ids, errors: prompt(ids, errors, picture), read, record="r", attempts=1, draw=draw
                    )

    asyncio.run(run(image_side=128))
    (tmp_path / "a.png").unlink()
    server.answer = lambda n, heard: answers(heard.block)
    asyncio.run(run(image_side=128, model="other"))
    assert [len(h.body["messages"][-1]["content"]) for h in server.heard] == [3] * 4
    assert len({str(h.body["messages"][-1]["content"][1]) for h in server.heard}) == 1
    images = [p for path in (tmp_path / "replies/images").rglob("*.log") for _, _, p in frames(path)]
    assert len(images) == 1
    asyncio.run(run(sees_images=False))
    assert len(server.heard[-1].body["messages"][-1]["content"]) == 2


def test_two_askers_that_both_find_something_missing_do_not_wait_for_each_other(server: Server, tmp_path: Path) -> None:
    """After a kill, the evolver's answer of one record and the judge's of another may be what is absent."""
    server.answer = lambda n, heard: answers(heard.block)

    async def run() -> None:
        with ReplyStore(range(256), job="test", root=tmp_path) as store:
            async with Clients(Run(connections={"e": connection(server)})) as clients:
                askers = [Asker(clients.client("e", identity()), store) for _ in range(2)]
                jobs = [
                    a.items("a", prompt, read, record=f"r{n}", attempts=1, draw=n) for n, a in enumerate(askers * 20)
                ]
                await asyncio.wait_for(asyncio.gather(*jobs), 10)

    asyncio.run(run())
    assert len(server.heard) == 40


def test_giving_up_ends_while_another_holds_the_buckets(server: Server, tmp_path: Path) -> None:
    """Ctrl-C while waiting for another job's buckets: the process must not hang until that job ends."""
    other = ReplyStore([0], job="other", root=tmp_path)
    other.own()

    async def run() -> None:
        with ReplyStore([0], job="test", root=tmp_path) as store:
            async with Clients(Run(connections={"e": connection(server)})) as clients:
                asker = Asker(clients.client("e", identity()), store)
                await asyncio.wait_for(asker.items("a", prompt, read, record="r", attempts=1), 0.3)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert time.monotonic() - began < 5
    assert threading.active_count() < 20
    assert not server.heard
    other.close()


# ------------------------------------------------------------------------------------------------------------- in_order


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), max_size=20), st.integers(1, 8))
def test_results_come_in_order_and_so_many_at_a_time(delays: list[int], width: int) -> None:
    running = most = taken = given_back = ahead = 0

    async def work(item: tuple[int, int]) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(item[1] / 2000)
        running -= 1
        return item[0]

    def items() -> Any:
        nonlocal taken, ahead
        for item in enumerate(delays):
            taken += 1
            ahead = max(ahead, taken - given_back)
            yield item

    async def run() -> list[int]:
        nonlocal given_back
        out = []
        async for result in in_order(items(), work, width):
            given_back += 1
            out.append(result)
        return out

    assert asyncio.run(run()) == list(range(len(delays)))
    assert most <= width
    assert ahead <= AHEAD * width + 1  # nothing is read further ahead: memory stays flat


def test_one_that_hangs_does_not_hold_up_those_after_it() -> None:
    async def run() -> list[int]:
        done, others = asyncio.Event(), 0

        async def work(n: int) -> int:
            nonlocal others
            if n == 0:
                await done.wait()
            others += 1
            if others == AHEAD * 2 - 1:
                done.set()
            return n

        return [n async for n in in_order(range(AHEAD * 3), work, 2)]

    assert asyncio.run(asyncio.wait_for(run(), 10)) == list(range(AHEAD * 3))


def test_the_first_error_cancels_the_rest() -> None:
    ended: list[str] = []

    async def work(n: int) -> int:
        if n == 1:
            raise ValueError("one")
        try:
            await asyncio.sleep(0 if n == 0 else 60)
        except asyncio.CancelledError:
            ended.append(f"cancelled {n}")
            raise
        return n

    async def run() -> None:
        got = []
        with pytest.raises(ValueError, match="one"):
            async for result in in_order(range(100), work, 4):
                got.append(result)
        assert got == [0]
        assert len(asyncio.all_tasks()) == 1

    began = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - began < 5
    assert ended == ["cancelled 2", "cancelled 3", "cancelled 4"][: len(ended)]
    assert len(ended) >= 2
