"""The official OpenAI client talks to the embedded teacher as to any server of the protocol."""

from collections.abc import Iterator

import openai
import pytest
from mmevol.config import Connection, Faults, Identity
from mmevol.endpoint.embedded import EmbeddedTeacher
from mmevol.endpoint.schemas import CANDIDATES
from mmevol.records import Object, Request, RequestQA

REQUEST = Request(
    task="evolve",
    direction="reasoning",
    caption="A red circle and a blue star.",
    objects=[
        Object(label="circle", bbox=(0.1, 0.1, 0.3, 0.3), attributes={"color": "red"}),
        Object(label="star", bbox=(0.6, 0.6, 0.9, 0.9), attributes={"color": "blue"}),
    ],
    qas=[RequestQA(id="q1", question="What color is the circle?", answer="red")],
)
MESSAGE = f"Rewrite.\n```json\n{REQUEST.model_dump_json(by_alias=True)}\n```"
FORMAT = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": CANDIDATES}}


def started(faults: Faults) -> EmbeddedTeacher:
    teacher = EmbeddedTeacher(Identity(), Connection(launch="embedded", faults=faults))
    teacher.start()
    return teacher


@pytest.fixture(scope="module")
def teacher() -> Iterator[EmbeddedTeacher]:
    running = started(Faults())
    yield running
    running.stop()


def client(teacher: EmbeddedTeacher, token: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(base_url=teacher.base_url, api_key=token or teacher.token, max_retries=0)


def ask(teacher: EmbeddedTeacher, text: str = MESSAGE, token: str | None = None) -> openai.types.chat.ChatCompletion:
    messages = [{"role": "user", "content": text}]
    return client(teacher, token).chat.completions.create(
        model="symbolic-v1", messages=messages, response_format=FORMAT
    )  # type: ignore[call-overload,no-any-return]


def test_completion(teacher: EmbeddedTeacher) -> None:
    answer = ask(teacher)
    assert answer.choices[0].finish_reason == "stop"
    assert '"q1"' in (answer.choices[0].message.content or "")
    assert answer.usage and answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0


def test_models(teacher: EmbeddedTeacher) -> None:
    assert [model.id for model in client(teacher).models.list()] == ["symbolic-v1"]


def test_errors_are_the_protocols(teacher: EmbeddedTeacher) -> None:
    with pytest.raises(openai.AuthenticationError):
        ask(teacher, token="wrong")
    with pytest.raises(openai.BadRequestError, match="mmevol-request/1"):
        ask(teacher, text="What is in the picture?")


def test_rate_limit() -> None:
    limited = started(Faults(http_429=1))
    try:
        with pytest.raises(openai.RateLimitError) as caught:
            ask(limited)
        assert float(caught.value.response.headers["retry-after"]) > 0
    finally:
        limited.stop()
