"""A server that is never the bottleneck: answers any chat completion with a valid reply after a fixed latency.

``python benchmarks/server.py --latency 0.2`` prints ``{"port": …}`` and serves until its standard input closes. A raw asyncio
protocol: it reads the ids and the task at the end of the request, splices them into a reply that was encoded once, and never
decodes the rest. ``--capacity``: requests per second that it can answer at most, first come first served. ``--faults``: JSON,
shares by kind, drawn from the request's key and attempts, so that a retry gets through. ``GET /stats``: what it did since the
last time that it was asked.
"""

import argparse
import asyncio
import gc
import hashlib
import json
import os
import re
import sys
import time

ID = re.compile(rb'\{\\"id\\":\\"([^"\\]+)\\"')
TEXT = "The lamp stands to the left of the cup, as its box begins before the cup's does. " * 4
STEPS = [{"manipulation": f"Grounding(object {i})->box", "description": TEXT[:80]} for i in range(3)]
CANDIDATE = {
    "id": "ID",
    "question": "Which of the things in the picture is left of the cup? Think step by step and explain why.",
    "answer": TEXT,
    "format": "complex reasoning",
    "options": [],
    "objects": ["cup", "lamp"],
    "skills": ["grounding", "relationship"],
    "steps": STEPS,
}
VERDICT = {"id": "ID", "improved": True, "difficulty": 6, "faithful": True, "image_needed": True, "reason": TEXT[:160]}
ITEMS = {
    b"evolve": (b"candidates", CANDIDATE),
    b"judge": (b"verdicts", VERDICT),
    b"blind": (b"answers", {"id": "ID", "answer": "I cannot know"}),
}
FAULTS = ("http_429", "http_500", "drop", "hang", "truncated", "wrong_ids")


def escaped(value: object) -> bytes:
    """A JSON value as it stands inside a JSON string."""
    return json.dumps(json.dumps(value))[1:-1].encode()


ITEM = {task: (name, escaped(item).split(b"ID")) for task, (name, item) in ITEMS.items()}
HEAD = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"bench",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"'
)
TAIL = (
    b'","refusal":null},"finish_reason":"%s"}],'
    b'"usage":{"prompt_tokens":4000,"completion_tokens":300,"total_tokens":4300}}'
)


def reply(body: bytes, fault: str | None) -> bytes:
    """The completion that answers a request."""
    tail = body[body.rfind(b"```json") :]
    at = tail.find(b'\\"task\\":\\"') + 11
    name, around = ITEM[tail[at : tail.find(b"\\", at)]] if at > 10 else ITEM[b"evolve"]
    ids = dict.fromkeys(ID.findall(tail)) or {b"0": None}
    items = b",".join((b"x" + i if fault == "wrong_ids" else i).join(around) for i in ids)
    content = b'{\\"' + name + b'\\":[' + items + b"]}"
    if fault == "truncated":
        return HEAD + content[: len(content) // 2].rstrip(b"\\") + TAIL % b"length"
    return HEAD + content + TAIL % b"stop"


class Server:
    """What all connections share."""

    def __init__(self, latency: float, capacity: float, faults: dict[str, float], retry_after: float) -> None:
        self.latency, self.capacity, self.faults, self.retry_after = latency, capacity, faults, retry_after
        self.free = 0.0
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        self.cpu, self.served, self.inside, self.most = time.process_time(), 0, 0, 0
        self.planted: dict[str, int] = {}
        self.first = self.last = 0.0

    def stats(self) -> dict[str, object]:
        """What was done since `reset`. ``seconds``: from the first request to the last reply."""
        return {
            "cpu": time.process_time() - self.cpu,
            "served": self.served,
            "most": self.most,
            "planted": self.planted,
            "seconds": self.last - self.first,
        }

    def fault(self, head: bytes) -> str | None:
        """The fault of a request, if any: content faults by key and content attempt, transport faults also by transport attempt."""
        if not self.faults:
            return None
        known = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        content = known.get(b"x-mmevol-request", b"") + known.get(b"x-mmevol-content-attempt", b"")
        for kind in FAULTS:
            drawn = (
                content
                if kind in ("truncated", "wrong_ids")
                else content + known.get(b"x-mmevol-transport-attempt", b"")
            )
            number = int.from_bytes(hashlib.sha256(kind.encode() + drawn).digest()[:6], "big") / 2**48
            if number < self.faults.get(kind, 0):
                self.planted[kind] = self.planted.get(kind, 0) + 1
                return kind
        return None


class Connection(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = bytearray()
        self.body_at = self.end = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Collect until a request is whole."""
        self.buffer += data
        if not self.end:
            at = self.buffer.find(b"\r\n\r\n")
            if at < 0:
                return
            self.body_at = at + 4
            head = bytes(self.buffer[:at]).lower()
            length = re.search(rb"content-length: *(\d+)", head)
            self.end = self.body_at + (int(length[1]) if length else 0)
        if len(self.buffer) >= self.end:
            head, body = bytes(self.buffer[: self.body_at]), bytes(self.buffer[self.body_at : self.end])
            self.buffer, self.end = bytearray(), 0
            self.request(head, body)

    def request(self, head: bytes, body: bytes) -> None:
        """Answer a request when its time has come."""
        s = self.server
        if head.startswith(b"GET"):
            answer = s.stats() if b"/stats" in head else {"object": "list", "data": []}
            if b"/stats" in head:
                s.reset()
            return self.write(b"200 OK", json.dumps(answer).encode())
        loop = asyncio.get_running_loop()
        now = loop.time()
        s.first = s.first or now
        s.inside += 1
        s.most = max(s.most, s.inside)
        at = now + s.latency
        if s.capacity:
            s.free = max(s.free, now) + 1 / s.capacity
            at = max(at, s.free)
        loop.call_at(at, self.answer, body, s.fault(head))
        return None

    def answer(self, body: bytes, fault: str | None) -> None:
        """Write the reply, or what the fault wants."""
        s = self.server
        s.inside -= 1
        s.last = asyncio.get_running_loop().time()
        if self.transport.is_closing() or fault == "hang":
            return
        if fault == "drop":
            self.transport.abort()
        elif fault == "http_429":
            after = b"Retry-After: %g\r\n" % s.retry_after if s.retry_after else b""
            self.write(b"429 Too Many Requests", b'{"error":{"message":"slow down"}}', after)
        elif fault == "http_500":
            self.write(b"500 Internal Server Error", b'{"error":{"message":"oops"}}')
        else:
            s.served += 1
            self.write(b"200 OK", reply(body, fault))

    def write(self, status: bytes, body: bytes, more: bytes = b"") -> None:
        """One response."""
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n" % (
            status,
            more,
            len(body),
        )
        self.transport.write(head + body)


async def main() -> None:
    """Serve until standard input closes."""
    options = argparse.ArgumentParser()
    options.add_argument("--latency", type=float, default=0.2)
    options.add_argument("--capacity", type=float, default=0)
    options.add_argument("--faults", type=json.loads, default={})
    options.add_argument("--retry-after", type=float, default=0)
    options.add_argument("--core", type=int)
    given = options.parse_args()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    loop = asyncio.get_running_loop()
    server = Server(given.latency, given.capacity, given.faults, given.retry_after)
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=2048)
    print(json.dumps({"port": listening.sockets[0].getsockname()[1]}), flush=True)
    gc.freeze()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
