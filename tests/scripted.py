"""A chat-completions server on loopback whose every answer the test decides, requests to it, and seed records to ask about."""

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from mmevol.config import Budget, Connection, Identity, Run
from mmevol.endpoint.client import Client
from mmevol.endpoint.clients import Clients
from mmevol.endpoint.prompt import Prompt
from mmevol.endpoint.response import Answer
from mmevol.endpoint.schemas import ANSWERS
from mmevol.records import QA, Object, Request, SeedRecord

Block = dict[str, Any]


@dataclass
class Reply:
    """How the server answers. ``content``: a text, or a value sent as JSON; ``body``: raw bytes instead of a completion."""

    content: Any = None
    status: int = 200
    finish: str | None = "stop"
    refusal: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    act: Literal["answer", "drop", "hang"] = "answer"
    delay: float = 0.0


@dataclass
class Heard:
    """One request as it came in; ``block`` is empty where a benchmark's question was asked as it is."""

    block: Block
    body: dict[str, Any]
    headers: Mapping[str, str]
    text: str
    path: str = ""
    query: dict[str, str] = field(default_factory=dict)


Script = Callable[[int, Heard], Reply | Any]


class Server:
    """``answer(n, heard)`` is called for the n-th request and returns a `Reply` or the content of a good one."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answer: Script = lambda n, heard: good(heard.block)
        self.models_status = 200
        self.models: list[str] = []
        self.running = self.most = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.base_url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> str:
        app = web.Application(client_max_size=2**25)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/openai/deployments/{name}/chat/completions", self._complete)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _models(self, _: web.Request) -> web.Response:
        data = [{"id": name, "object": "model"} for name in self.models]
        return web.json_response({"object": "list", "data": data}, status=self.models_status)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = body["messages"][-1]["content"][-1]["text"]
        blocks = re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)
        block = json.loads(blocks[-1]) if blocks else {}
        heard = Heard(block, body, request.headers, text, request.path, dict(request.query))
        self.heard.append(heard)
        said = self.answer(len(self.heard) - 1, heard)
        reply = said if isinstance(said, Reply) else Reply(said)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(60 if reply.act == "hang" else reply.delay)
        finally:
            self.running -= 1
        if reply.act == "drop":
            assert request.transport
            request.transport.abort()
            return web.Response()
        if reply.body is not None:
            return web.Response(body=reply.body, status=reply.status, headers=reply.headers)
        if reply.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=reply.status, headers=reply.headers)
        return web.json_response(completion(reply), headers=reply.headers)

    def asked(self, *tasks: str) -> list[Block]:
        """The request blocks heard, of these tasks or of all."""
        return [h.block for h in self.heard if not tasks or h.block["task"] in tasks]

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def completion(reply: Reply) -> dict[str, Any]:
    content = reply.content if isinstance(reply.content, str | None) else json.dumps(reply.content)
    message = {"role": "assistant", "content": content, "refusal": reply.refusal}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}
    return {
        "model": "scripted-0",
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
        "usage": usage,
    }


def candidate(id_: str, **changes: Any) -> dict[str, Any]:
    """A rewritten Q&A that passes every structural check in every direction."""
    question = f"Which thing named {id_} is left of the cup in the picture? Think step by step and explain why."
    item = {"id": id_, "question": question, "answer": f"the lamp {id_}", "format": "complex reasoning", "options": []}
    steps = [{"manipulation": "Grounding(cup)->box", "description": "find the cup"}]
    return item | {"objects": ["cup"], "skills": ["grounding"], "steps": steps} | changes


def verdict(id_: str, **changes: Any) -> dict[str, Any]:
    """A judge's good word."""
    return {
        "id": id_,
        "improved": True,
        "difficulty": 6,
        "faithful": True,
        "image_needed": True,
        "reason": "harder",
        **changes,
    }


def good(block: Block) -> dict[str, Any]:
    """A usable answer to any task of the evolution."""
    ids = [qa["id"] for qa in block.get("qas", [])]
    if block["task"] in ("evolve", "fresh"):
        return {"candidates": [candidate(i) for i in ids]}
    if block["task"] == "judge":
        return {"verdicts": [verdict(i) for i in ids]}
    if block["task"] == "blind":
        return {"answers": [{"id": i, "answer": "I cannot know"} for i in ids]}
    return {"qas": [{"question": "What is there?", "answer": "a cup"}]}


def made(body: bytes) -> Callable[[], Awaitable[bytes]]:
    """A body as `Client.send` takes it."""

    async def ready() -> bytes:
        return body

    return ready


def connection(server: Server, **more: Any) -> Connection:
    return Connection(**{"base_url": server.base_url, "timeout": 5, "patience": 5, "concurrency": 8} | more)


def identity(**more: Any) -> Identity:
    return Identity(**{"provider": "test", "model": "scripted"} | more)


def record(key: str, qas: int = 1, **more: Any) -> SeedRecord:
    """A record with a cup and a lamp, and so many simple Q&A."""
    things = [
        Object(label="cup", bbox=(0.1, 0.2, 0.3, 0.4), attributes={"color": "red", "size": "small"}),
        Object(label="lamp", bbox=(0.5, 0.5, 0.9, 0.8), attributes={"color": "blue", "size": "large"}),
    ]
    pairs = [QA(question=f"What color is the cup, asked for the {i}th time?", answer="red") for i in range(qas)]
    fields = {"key": key, "id": key, "image": None, "image_digest": None, "caption": "a red cup and a blue lamp"}
    return SeedRecord(**fields | {"objects": things, "qas": pairs, "licence": "CC0-1.0"} | more)


def sent(
    server: Server, n: int = 1, *, budget: Budget | None = None, who: Identity | None = None, **more: Any
) -> tuple[list[Answer | BaseException], Client]:
    """Send n requests at once; what came of each, and the client."""

    async def run() -> tuple[list[Answer | BaseException], Client]:
        facts = Run(connections={"e": connection(server, **more)}, budget=budget or Budget())
        async with Clients(facts) as clients:
            client = clients.client("e", who or identity())
            prompt = Prompt("Answer.", Request(task="blind"), ANSWERS)
            body = client.body(prompt)
            return await asyncio.gather(
                *(client.send(made(body), {"X-N": str(i)}) for i in range(n)), return_exceptions=True
            ), client

    return asyncio.run(run())
