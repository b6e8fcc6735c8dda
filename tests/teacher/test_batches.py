"""Files and batches of the embedded teacher, by the official client."""

import base64
import io
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import openai
import pytest
from mmevol.config import Faults
from mmevol.records import digest
from mmevol.teacher.batches import named
from mmevol.teacher.faults import transport_fault
from openai.types import Batch

from .test_official_client import FORMAT, MESSAGE
from .test_server import TOKEN, serving

T = TypeVar("T")
BODY = {"model": "symbolic-v1", "messages": [{"role": "user", "content": MESSAGE}], "response_format": FORMAT}


def key(name: str) -> str:
    return digest(name)


def row(id_: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": id_, "method": "POST", "url": "/v1/chat/completions", "body": BODY | body}


def id_of(name: str, attempt: int = 0) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(key(name))).decode().rstrip("=") + f"-{attempt}"


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=TOKEN, max_retries=0)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    with serving(tmp_path_factory.mktemp("teacher")) as running:
        yield client(running.url)


def upload(to: openai.OpenAI, rows: list[Any]) -> str:
    text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows)
    return to.files.create(file=("rows.jsonl", io.BytesIO(text.encode())), purpose="batch").id


def create(to: openai.OpenAI, rows: list[Any], **more: Any) -> Batch:
    return to.batches.create(
        input_file_id=upload(to, rows), endpoint="/v1/chat/completions", completion_window="24h", **more
    )


def sure(look: Callable[[], T]) -> T:
    """Look again until a fault lets it through."""
    while True:
        with suppress(openai.APIConnectionError, openai.InternalServerError):
            return look()


def ended(to: openai.OpenAI, batch: Batch) -> tuple[Batch, list[str]]:
    """The batch once it has ended, and every status on the way."""
    seen = []
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        batch = sure(lambda: to.batches.retrieve(batch.id))  # noqa: B023
        if not seen or seen[-1] != batch.status:
            seen.append(batch.status)
    return batch, seen


def lines(to: openai.OpenAI, file: str | None) -> dict[str, Any]:
    if file is None:
        return {}
    text = sure(lambda: to.files.content(file).text)
    return {line["custom_id"]: line for line in map(json.loads, text.splitlines())}


def test_an_id_says_key_and_attempt_in_64_characters() -> None:
    assert named(id_of("a", 3)) == (key("a"), 3)
    assert len(id_of("a", 9)) <= 64
    assert named("row-1") is None
    assert named("no id at all") is None
    assert named("-") is None


def test_a_batch_answers_each_row_as_the_same_request_online(teacher: openai.OpenAI) -> None:
    batch = create(teacher, [row(id_of("a")), row(id_of("b", 1)), row("free")], metadata={"job": "j"})
    batch, seen = ended(teacher, batch)
    assert seen == ["validating", "in_progress", "finalizing", "completed"]
    assert batch.metadata == {"job": "j"}
    assert batch.request_counts
    assert batch.request_counts.model_dump() == {"total": 3, "completed": 3, "failed": 0}
    assert batch.error_file_id is None
    out = lines(teacher, batch.output_file_id)
    assert out.keys() == {id_of("a"), id_of("b", 1), "free"}
    headers = {"X-MMEvol-Request": key("b"), "X-MMEvol-Content-Attempt": "1"}
    online = teacher.chat.completions.create(**BODY, extra_headers=headers)  # type: ignore[call-overload]
    body = out[id_of("b", 1)]["response"]["body"]
    assert body["choices"][0]["message"]["content"] == online.choices[0].message.content
    assert body["id"] == online.id


def test_a_row_that_is_refused_stands_in_the_error_file_alone(teacher: openai.OpenAI) -> None:
    batch, _ = ended(teacher, create(teacher, [row("good"), row("bad", n=2)]))
    assert batch.status == "completed"
    assert lines(teacher, batch.output_file_id).keys() == {"good"}
    refused = lines(teacher, batch.error_file_id)["bad"]
    assert refused["response"]["status_code"] == 400
    assert refused["response"]["body"]["error"]["message"] == "n must be 1"


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "invalid_row_count"),
        (["{"], "invalid_json_line"),
        ([{"custom_id": "a"}], "invalid_request"),
        ([row("a"), row("a")], "duplicate_custom_id"),
        ([row("a", model="gpt-4o")], "model_not_found"),
    ],
)
def test_a_file_that_is_not_a_batch_fails(teacher: openai.OpenAI, rows: list[Any], code: str) -> None:
    batch, _ = ended(teacher, create(teacher, rows))
    assert batch.status == "failed"
    assert batch.errors and batch.errors.data
    assert batch.errors.data[0].code == code
    assert batch.output_file_id is None


def test_files_come_back_and_go(teacher: openai.OpenAI) -> None:
    id_ = upload(teacher, ["abc"])
    assert teacher.files.retrieve(id_).bytes == 3
    assert teacher.files.content(id_).text == "abc"
    assert teacher.files.delete(id_).deleted
    with pytest.raises(openai.NotFoundError):
        teacher.files.retrieve(id_)
    with pytest.raises(openai.NotFoundError):
        teacher.batches.retrieve("batch-0")
    with pytest.raises(openai.NotFoundError):
        teacher.batches.create(input_file_id=id_, endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.BadRequestError):
        teacher.files.create(file=("x", b"x"), purpose="vision")


def test_batches_are_listed_a_page_at_a_time_the_newest_first(teacher: openai.OpenAI) -> None:
    made = [create(teacher, [row("a")]).id for _ in range(3)]
    page = teacher.batches.list(limit=2)
    assert [b.id for b in page.data] == made[:0:-1]
    assert page.has_more
    assert [b.id for b in teacher.batches.list(limit=2)][:3] == made[::-1]


def test_a_cancelled_batch_keeps_what_was_answered(teacher: openai.OpenAI) -> None:
    batch = create(teacher, [row(f"r{i}") for i in range(400)])
    teacher.batches.retrieve(batch.id)
    assert teacher.batches.cancel(batch.id).id == batch.id
    batch, _ = ended(teacher, batch)
    assert batch.status == "cancelled"
    out, bad = lines(teacher, batch.output_file_id), lines(teacher, batch.error_file_id)
    assert len(out) + len(bad) == 400
    assert {line["error"]["code"] for line in bad.values()} <= {"batch_cancelled"}


def test_transport_faults_of_rows_are_those_of_the_key_and_get_through(tmp_path: Path) -> None:
    once = ("POST /v1/files", "POST /v1/batches")
    rates = (Faults(http_500=0.2, hang=0.2, drop=0.1, seed=seed) for seed in itertools.count())
    faults = next(f for f in rates if not any(transport_fault(f, r, 0, 0) for r in once))
    names = [f"k{i}" for i in range(40)]
    fate = {n: transport_fault(faults, key(n), 0, 0) for n in names}
    with serving(tmp_path, "--faults", faults.dump()) as running:
        to = client(running.url)
        batch, _ = ended(to, create(to, [row(id_of(n)) for n in names]))
        assert batch.status == "expired"
        out, bad = lines(to, batch.output_file_id), lines(to, batch.error_file_id)
    assert {n for n in names if id_of(n) in out} == {n for n in names if fate[n] is None}
    assert {n for n in names if id_of(n) in bad} == {n for n in names if fate[n] in ("http_500", "hang")}
    for n in names:
        if fate[n] == "hang":
            assert bad[id_of(n)]["error"]["code"] == "batch_expired"
        elif fate[n] == "http_500":
            assert bad[id_of(n)]["response"]["status_code"] == 500


def test_an_answer_that_is_lost_was_still_acted_upon(tmp_path: Path) -> None:
    """What makes a blind second try of a batch's creation pay twice."""
    with serving(tmp_path, "--faults", Faults(drop=1).dump()) as running:
        to = client(running.url)
        with pytest.raises(openai.APIConnectionError):
            upload(to, [row("a")])
        with pytest.raises(openai.APIConnectionError):
            to.batches.list()
        calls = running.send("GET", "/stats")[1]["outcomes"]
    assert calls == {"POST /v1/files drop": 1, "GET /v1/batches drop": 1}


def test_tokens_that_wait_are_limited(tmp_path: Path) -> None:
    tokens = (len(MESSAGE) + 3) // 4
    with serving(tmp_path, "--enqueued-tokens", str(5 * tokens // 2)) as running:
        to = client(running.url)
        first = create(to, [row("a")])
        to.batches.retrieve(first.id)
        second, _ = ended(to, create(to, [row("b"), row("c")]))
        assert second.status == "failed"
        assert second.errors and second.errors.data
        assert second.errors.data[0].code == "token_limit_exceeded"
        ended(to, first)
        third, _ = ended(to, create(to, [row("b"), row("c")]))
        assert third.status == "completed"
