"""Each picture is encoded once, and a request that is spliced is the request that would have been encoded whole."""

import asyncio
import base64
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mmevol.config import Connection, Identity, Run
from mmevol.endpoint import pictures as module
from mmevol.endpoint.client import Client
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.images import encode
from mmevol.endpoint.pictures import Pictures
from mmevol.endpoint.prompt import SHOWN, TAIL, Picture, Prompt
from mmevol.endpoint.schemas import CANDIDATES
from mmevol.records import QA, Object, Request, RequestQA, canonical, digest, qa_id
from mmevol.replies import ReplyStore
from PIL import Image

WHO = Identity(provider="p", model="m")


def photographs(folder: Path, n: int) -> list[Picture]:
    found = []
    for i in range(n):
        path = folder / f"{i}.png"
        Image.effect_noise((90, 60), 40 + i).save(path)
        found.append(Picture(str(path), digest(path.read_bytes()), (90, 60)))
    return found


def encoded_of(store: ReplyStore, pictures: Pictures, *asked: Picture) -> list[bytes]:
    async def run() -> list[bytes]:
        store.own()
        return list(await asyncio.gather(*(pictures.base64(p, 64, 3) for p in asked)))

    return asyncio.run(run())


def test_requests_in_flight_at_once_encode_a_picture_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    threads: set[str] = set()

    def counted(path: Path, side: int) -> bytes:
        encoded.append(path.name)
        threads.add(threading.current_thread().name)
        return encode(path, side)

    monkeypatch.setattr(module, "encode", counted)
    one, two = photographs(tmp_path, 2)
    with ReplyStore([3], job="test", root=tmp_path / "replies") as store:
        said = encoded_of(store, Pictures(store), one, one, two, one, two)
        assert sorted(encoded) == ["0.png", "1.png"]
        assert threading.main_thread().name not in threads
        assert said[0] == said[1] == said[3] != said[2] == said[4]
        assert base64.b64decode(said[0]) == encode(Path(one.path), 64)
        assert encoded_of(store, Pictures(store), one) == said[:1]  # the next job finds it in the store
        assert len(encoded) == 2


def test_what_is_held_ready_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", 10)
    with ReplyStore([3], job="test", root=tmp_path / "replies") as store:
        pictures = Pictures(store)
        asked = photographs(tmp_path, 3)
        assert len(set(encoded_of(store, pictures, *asked))) == 3
        assert not pictures._held
        assert pictures._size == 0


def test_a_picture_that_cannot_be_read_is_an_error_for_each_that_wants_it(tmp_path: Path) -> None:
    missing = Picture(str(tmp_path / "gone.jpg"), "d" * 64)
    with ReplyStore([3], job="test", root=tmp_path / "replies") as store:
        for _ in range(2):
            with pytest.raises(OSError, match=r"gone\.jpg"):
                encoded_of(store, Pictures(store), missing, missing)


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
side = st.floats(0, 0.4)
things = st.builds(
    Object,
    label=text,
    bbox=st.tuples(side, side, st.floats(0.5, 1), st.floats(0.5, 1)),
    attributes=st.dictionaries(text, text, max_size=2),
)
qas = st.builds(RequestQA, id=text, question=text, answer=st.text(max_size=5), options=st.lists(text, max_size=2))
requests = st.builds(
    Request,
    task=st.just("evolve"),
    direction=st.just("reasoning"),
    caption=st.just("") | text,
    objects=st.lists(things, max_size=2),
    qas=st.lists(qas, max_size=2),
)


@given(requests, st.binary(max_size=50))
@example(Request(task="evolve", caption=SHOWN, qas=[RequestQA(id=TAIL, question=f'"{SHOWN}"', answer=TAIL)]), b"")
def test_a_body_is_what_encoding_it_whole_gives(request: Request, jpeg: bytes) -> None:
    client = Client("e", WHO, Connection(base_url="http://x/v1"), Clients(Run()))
    prompt = Prompt("Rewrite “these”.\n", request, CANDIDATES, Picture("/a.jpg", "d" * 64))
    said: dict[str, Any] = request.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert prompt.asked == orjson.dumps({"schema": "mmevol-request/1", **said})
    url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    for body, whole in (
        (client.body(prompt, base64.b64encode(jpeg)), prompt.messages(WHO, url)),
        (client.body(prompt, url), prompt.messages(WHO, url)),
        (client.body(prompt), prompt.messages(WHO, None)),
    ):
        said = orjson.loads(bytes(body))
        assert said["messages"] == whole
        assert orjson.dumps(said) == bytes(body)


@given(text, text, st.lists(text, max_size=3))
def test_an_id_rests_on_the_canonical_content(question: str, answer: str, objects: list[str]) -> None:
    qa = QA(question=question, answer=answer, objects=objects)
    assert qa_id("r", "p", 1, "d", qa) == digest("r", "p", 1, "d", canonical(qa.model_dump(mode="json")))[:24]
