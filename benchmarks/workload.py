"""What the clients of the benchmarks do: records, requests of 80 KB, and the client processes that send them.

``python benchmarks/workload.py CLIENT --settings JSON`` is one client process; it prints what it cost as JSON. CPU is that of
the whole process, all threads, from after the imports to the end of the work.
"""

import argparse
import asyncio
import io
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peak import peak_mb
from pydantic import BaseModel

if TYPE_CHECKING:
    from mmevol.config import AskSettings, Run

IN_FLIGHT = 256
SHARDS = 32
"""Of the study whose first shard is worked on: 163 thousand records give one of 5,000, in 8 buckets."""
IMAGE_BYTES = 50_000
"""Of an encoded image: 67 KB as base64."""


class Work(BaseModel):
    """One run of one client."""

    base_url: str
    folder: Path
    requests: int
    in_flight: int = IN_FLIGHT
    timeout: float = 60.0
    image: bool = True
    qas: int = 1
    long: bool = True


# ------------------------------------------------------------------------------------------------------------ records


def image(seed: int, side: int = 512) -> bytes:
    """A JPEG of `IMAGE_BYTES` or a little more: noise over a gradient, as detailed as a photograph."""
    from PIL import Image

    noise = random.Random(seed).randbytes(64 * 64 * 3)
    picture = Image.frombytes("RGB", (64, 64), noise).resize((side, side * 5 // 8), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    data = out.getvalue()
    return data + random.Random(seed).randbytes(max(0, IMAGE_BYTES - len(data)))  # what follows the end mark is ignored


def keys(n: int) -> list[str]:
    """The keys of the shard's first so many records, in its order."""
    from mmevol.store import order_of, shard_of

    found = (key for i in count() if shard_of(key := f"record-{i:07d}", SHARDS) == 0)
    return sorted(islice(found, n), key=order_of)


def records(keys: list[str], *, qas: int = 1, pictures: bool = True, long: bool = True) -> Iterator[Any]:
    """The seed records of these keys: with a dense caption and 20 boxes, or with little of both."""
    from mmevol.records import QA, Object, Objects, SeedRecord, digest

    caption = "A red cup stands on a wooden table beside a lamp, a window behind it shows a street in the rain. "
    boxes = [(0.01 * i, 0.2, 0.01 * i + 0.5, 0.9) for i in range(20 if long else 2)]
    attributes = {"color": "red", "size": "small"}
    things = [Object(label=f"cup {i}", bbox=b, attributes=attributes) for i, b in enumerate(boxes)]
    for key in keys:
        yield SeedRecord(
            key=key,
            id=key,
            image=f"{key}.jpg" if pictures else None,
            image_digest=digest(key) if pictures else None,
            width=512 if pictures else None,
            height=384 if pictures else None,
            caption=caption * (12 if long else 1),
            objects=Objects(things),  # a list of its own, which no other record's requests find encoded
            qas=[QA(question=f"What color is cup {i} of {key}?", answer="red") for i in range(qas)],
        )


def prepare(work: Work) -> None:
    """The shard's seed records, and their images already encoded in the reply store, as from an earlier round."""
    from mmevol.endpoint.images import ENCODER
    from mmevol.records import digest
    from mmevol.replies import ReplyStore
    from mmevol.store import bucket_of, buckets_of, write_rows

    mine = keys(work.requests // 2)

    def rows() -> Iterator[Any]:
        return records(mine, qas=work.qas, pictures=work.image, long=work.long)

    write_rows(work.folder / "seeds.parquet", "seed", rows())
    if work.image:
        data = image(0)
        with ReplyStore(buckets_of(0, SHARDS), job="prepare", root=work.folder / "replies") as store:
            store.own()
            for row in rows():
                store.put_image(bucket_of(row.key), bytes.fromhex(digest(row.image_digest, 512, ENCODER)), data)


# ------------------------------------------------------------------------------------------------------------ clients


def bodies() -> Iterator[bytes]:
    """Request bodies of 80 KB, encoded once, as the engine sends them."""
    from mmevol.config import Connection, Identity, Run
    from mmevol.endpoint.client import Client
    from mmevol.endpoint.clients import Clients
    from mmevol.endpoint.prompt import picture_of
    from mmevol.evolve import prompts
    from mmevol.evolve.ask import seed_versions
    from mmevol.evolve.direction import direction
    from pybase64 import b64encode

    client = Client("e", Identity(provider="bench"), Connection(base_url="http://x/v1"), Clients(Run()))
    data, toward = image(0), direction("reasoning")
    for record in records(keys(IN_FLIGHT)):  # as many as are in flight: no two of those are one
        prompt = prompts.evolve(
            record, picture_of(record, "."), seed_versions(record), toward, toward.data(7, record.key, 1), ()
        )
        yield bytes(client.body(prompt, b64encode(data)))


async def spread(work: Work, send: Callable[[int], Any]) -> None:
    """Send requests 0 to n, so many at a time."""
    numbers = iter(range(work.requests))

    async def worker() -> None:
        for number in numbers:
            await send(number)

    await asyncio.gather(*(worker() for _ in range(work.in_flight)))


async def floor(work: Work) -> None:
    """A bare aiohttp loop: bodies encoded beforehand, replies read and thrown away."""
    import aiohttp

    ready = list(bodies())
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    begin()
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send(number: int) -> None:
            async with session.post(work.base_url + "/chat/completions", data=ready[number % len(ready)]) as response:
                assert response.status == 200
                await response.read()

        await spread(work, send)


async def sdk(work: Work) -> None:
    """The `openai` SDK with its aiohttp backend: no store, no limits; the image is base64 already."""
    import openai

    ready = [json.loads(body) for body in bodies()]
    begin()
    backend = openai.DefaultAioHttpClient()
    async with openai.AsyncOpenAI(base_url=work.base_url, api_key="none", http_client=backend) as client:

        async def send(number: int) -> None:
            completion = await client.chat.completions.create(**ready[number % len(ready)])
            json.loads(completion.choices[0].message.content)

        await spread(work, send)


def production(work: Work) -> "tuple[Run, AskSettings]":
    """A run and a round's settings as a rule passes them: evolver and judge are one server with `in_flight` places."""
    from mmevol.config import AskSettings, Connection, Identity, Judge, Run

    shutil.rmtree(work.folder / "replies/requests", ignore_errors=True)
    os.environ["MMEVOL_REPLIES"] = str(work.folder / "replies")
    connection = Connection(base_url=work.base_url, timeout=work.timeout, concurrency=work.in_flight)
    run = Run(status=str(work.folder / "status"), connections={"evolver": connection, "judge": connection})
    settings = AskSettings(
        seed=7,
        round=1,
        directions={"reasoning": 1},
        shards=SHARDS,
        evolver="evolver",
        evolver_identity=Identity(provider="bench", model="bench"),
        judge=Judge(endpoint="judge", blind=None),
        judge_identity=Identity(provider="bench", model="bench", temperature=0),
        images_root=str(work.folder) if work.image else None,
    )
    return run, settings


def stage(work: Work) -> None:
    """`mmevol evolve ask` whole: records from Parquet, prompts, all that `engine` does, candidates to Parquet."""
    import pyarrow.parquet  # noqa: F401
    import pyreqwest.client  # noqa: F401  # imports do not count, of no client
    from mmevol.evolve.ask import ask

    run, settings = production(work)
    begin()
    ask(
        settings,
        run,
        shard=0,
        seeds=work.folder / "seeds.parquet",
        frontier=None,
        out=work.folder / "evolve/full/round_1/candidates/0.parquet",
        usage=work.folder / "usage.json",
    )


def engine(work: Work) -> None:
    """The endpoint package as the stage uses it: each record's two questions, its picture in both, answers read by the stage's own
    readers and kept."""
    import uvloop
    from mmevol.endpoint.ask import Asker, in_order
    from mmevol.endpoint.clients import Clients
    from mmevol.endpoint.pictures import Pictures
    from mmevol.endpoint.prompt import Prompt, picture_of
    from mmevol.evolve import judge, prompts
    from mmevol.evolve.ask import seed_versions
    from mmevol.evolve.checks import read_candidates
    from mmevol.evolve.direction import direction
    from mmevol.progress import Heartbeat
    from mmevol.replies import ReplyStore
    from mmevol.store import buckets_of

    run, settings = production(work)
    toward = direction("reasoning")
    Question = tuple[str, list[str], Prompt, Any]

    def questions(record: Any) -> tuple[Question, Question]:
        """What the evolver and the judge are asked about a record, ready to be sent."""
        versions, picture = seed_versions(record), picture_of(record, settings.images_root)
        ids, pairs = [v.id for v in versions], [(v.id, v.qa, v.qa) for v in versions]
        data, size = toward.data(7, record.key, 1), picture.sent(settings.evolver_identity) if picture else None
        read = partial(read_candidates, record=record, direction=toward, checks=settings.checks, size=size)
        return (
            (record.key, ids, prompts.evolve(record, picture, versions, toward, data, ()), read),
            (record.key, ids, prompts.judge(record, picture, "reasoning", "", pairs, ()), judge.read),
        )

    async def main() -> None:
        with (
            ReplyStore(buckets_of(0, SHARDS), job="bench") as store,
            Heartbeat(run, job="bench", total=len(mine)) as beat,
        ):
            async with Clients(run, usage=work.folder / "usage.json", beat=beat) as clients:
                pictures = Pictures(store)
                askers = [Asker(clients.client(name, who), store, pictures) for name, who in settings.asked()]

                async def one(asked: tuple[Question, Question]) -> None:
                    for asker, (key, ids, prompt, read) in zip(askers, asked, strict=True):
                        found, _ = await asker.items(
                            ids, lambda *_, p=prompt: p, read, record=key, attempts=settings.content_attempts
                        )
                        assert len(found) == len(ids)

                async for _ in in_order(prepared(), one, clients.width()):
                    beat.advance()

    def prepared() -> Iterator[tuple[Question, Question]]:
        """The questions about one record after the other; what making them costs is the stage's, and does not count here."""
        some = records(mine, qas=work.qas, pictures=work.image, long=work.long)
        while True:
            began = time.thread_time()
            record = next(some, None)
            asked = questions(record) if record else None
            leave_out(time.thread_time() - began)
            if asked is None:
                return
            yield asked

    mine = keys(work.requests // 2)
    next(records(mine))  # what is imported there does not count either
    begin()
    uvloop.run(main())


_began = (0.0, 0.0)


def begin() -> None:
    """What follows counts."""
    global _began
    _began = (time.process_time(), time.perf_counter())


def leave_out(cpu: float) -> None:
    """So many seconds of CPU do not count."""
    global _began
    _began = (_began[0] + cpu, _began[1])


def main() -> None:
    """One client process."""
    options = argparse.ArgumentParser()
    options.add_argument("client", choices=["prepare", "floor", "openai", "engine", "stage"])
    options.add_argument("--work", type=Work.model_validate_json, required=True)
    options.add_argument("--core", type=int)
    given = options.parse_args()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    work: Work = given.work
    if given.client in ("floor", "openai"):
        asyncio.run({"floor": floor, "openai": sdk}[given.client](work))
    else:
        {"prepare": prepare, "engine": engine, "stage": stage}[given.client](work)
    cpu, seconds = (now - then for now, then in zip((time.process_time(), time.perf_counter()), _began, strict=True))
    peak = peak_mb()
    print(json.dumps({"cpu": cpu, "seconds": seconds, "peak_mb": peak, "requests": work.requests}))


if __name__ == "__main__":
    main()
