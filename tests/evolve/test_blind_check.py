import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config import Run
from mmevol.endpoint.ask import Asker
from mmevol.endpoint.clients import Clients
from mmevol.evolve.ask import seed_version
from mmevol.evolve.blind import answered_blind, same_answer, shuffled, words
from mmevol.records import LETTERS, QA, Verdict
from mmevol.replies import ReplyStore
from scripted import Heard, Reply, Server, connection, identity, record


@pytest.mark.parametrize(
    ("reply", "answer", "same"),
    [
        ("Red.", "red", True),
        ("It is the red cup", "a red cup", True),
        ("I think there are three of them.", "3", True),
        ("3.5 metres", "3", False),
        ("13", "3", False),
        ("redder", "red", False),
        ("blue", "red", False),
        ("", "red", False),
        ("cup red", "red cup", False),
        ("The cup stands left of the blue lamp there.", "The cup stands left of the blue lamp.", False),
        ("the cup stands left of a blue lamp", "The cup stands left of the blue lamp.", True),
        ("A", "A", True),
        ("the", "A", False),
        ("", "A", False),
        ("", "?", True),
    ],
)
def test_a_reply_says_an_answer(reply: str, answer: str, same: bool) -> None:
    assert same_answer(reply, answer) is same


@given(st.text(max_size=30))
def test_every_answer_is_the_same_as_itself(text: str) -> None:
    assert same_answer(text, text)
    assert words(" ".join(words(text))) == words(text)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=6), st.text(max_size=8), st.integers(0, 9))
def test_a_shuffle_is_drawn_and_loses_nothing(options: list[str], question: str, draw: int) -> None:
    order = shuffled(options, question, draw)
    assert sorted(order) == sorted(options)
    assert shuffled(options[::-1], question, draw) == order


def test_draws_differ() -> None:
    assert len({tuple(shuffled(["a", "b", "c", "d"], "Which?", draw)) for draw in range(8)}) > 4


def check(server: Server, root: Path, qa: QA, draws: int = 4) -> Verdict | None:
    async def run() -> Verdict | None:
        with ReplyStore(range(256), job="test", root=root) as store:
            async with Clients(Run(connections={"judge": connection(server)})) as clients:
                asker = Asker(clients.client("judge", identity()), store)
                return await answered_blind(asker, seed_version(record("r"), qa), draws=draws, attempts=2)

    return asyncio.run(run())


def says(server: Server, *answers: Any) -> None:
    """The judge's answer to each question; a function is given the options as shown."""

    def answer(n: int, heard: Heard) -> Any:
        said = answers[min(n, len(answers) - 1)]
        qa = heard.block["qas"][0]
        text = said(qa.get("options", [])) if callable(said) else said
        return text if isinstance(text, Reply) else {"answers": [{"id": qa["id"], "answer": text}]}

    server.answer = answer


OPEN = QA(question="What color is the cup?", answer="red")
YES = QA(question="Is the cup red?", answer="Yes", format="yes/no")
CHOICE = QA(question="Which color?", answer="red", options=["blue", "red", "green"])


def by_letter(right: str) -> Any:
    return lambda options: LETTERS[options.index(right)]


@pytest.mark.parametrize(
    ("qa", "answers", "value", "asked"),
    [
        (OPEN, ["Probably red."], 1.0, 1),
        (OPEN, ["I cannot know"], 0.0, 1),
        (YES, ["Yes"], 1.0, 4),
        (YES, ["Yes", "Yes, it is", "No"], 0.0, 3),
        (YES, [by_letter("Yes")], 1.0, 4),
        (YES, [by_letter("No")], 0.0, 1),
        (CHOICE, ["red"], 1.0, 4),
        (CHOICE, [by_letter("red")], 1.0, 4),
        (CHOICE, [by_letter("red"), by_letter("red"), by_letter("blue")], 0.0, 3),
        (CHOICE, ["B"], 0.0, None),  # the same letter always: wrong in one order at least
        (CHOICE, ["I cannot know"], 0.0, 1),
    ],
)
def test_what_is_answered_without_the_picture(
    server: Server, tmp_path: Path, qa: QA, answers: list[Any], value: float, asked: int | None
) -> None:
    says(server, *answers)
    verdict = check(server, tmp_path, qa)
    assert verdict
    assert (verdict.name, verdict.value) == ("answered_blind", value)
    assert asked in (None, len(server.heard))


def test_a_blind_question_carries_nothing_that_helps(server: Server, tmp_path: Path) -> None:
    says(server, "red")
    check(server, tmp_path, CHOICE)
    for heard in server.heard:
        assert set(heard.block) == {"schema", "task", "qas"}
        assert set(heard.block["qas"][0]) == {"id", "question", "options"}
        assert [part["type"] for part in heard.body["messages"][-1]["content"]] == ["text", "text"]
    assert len({tuple(h.block["qas"][0]["options"]) for h in server.heard}) > 1
    assert len({h.headers["X-MMEvol-Request"] for h in server.heard}) == 4


@pytest.mark.parametrize(
    "reply", [Reply("no"), Reply("{", finish="length"), Reply({"answers": [{"id": "x", "answer": "red"}]})]
)
def test_without_a_usable_reply_there_is_no_verdict(server: Server, tmp_path: Path, reply: Reply) -> None:
    server.answer = lambda n, heard: reply
    assert check(server, tmp_path, OPEN) is None
    assert len(server.heard) == 2
