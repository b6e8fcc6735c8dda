"""The OpenAI-compatible server: ``/v1/chat/completions``, ``/v1/models``, batches (`batches`), and ``/stats`` for counting
requests.

It reads the fenced ``mmevol-request/1`` block of the last user message and nothing else; images are counted, never decoded.
"""

import asyncio
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from mmevol.config import Faults
from mmevol.records import DIRECTIONS, REQUEST_SCHEMA, CandidateReply, Request, digest
from mmevol.teacher.answer import REPLY_FIELDS
from mmevol.teacher.batches import Batches
from mmevol.teacher.benchmark import BadData
from mmevol.teacher.confirm import MISMATCHES
from mmevol.teacher.faults import REFUSAL, broken_text, spoiled, transport_fault
from mmevol.teacher.wire import Refused, answered, last_user_message

MAX_BODY = 32 * 1024 * 1024
COUNTED_KEYS = 100_000
"""Keys beyond this many are counted by task only, so that a long run does not fill the memory."""
HANG = 3600
"""Seconds that a hanging reply takes, unless the client gives up."""

_FENCE = "```json\n"


@dataclass(slots=True)
class Call:
    """One request for a completion, validated."""

    request: Request
    key: str
    content: int
    transport: int
    prompt_tokens: int
    max_tokens: int | None


@dataclass(slots=True)
class Counts:
    """What was asked since the start."""

    requests: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, call: Call, outcome: str) -> None:
        """Count one request and how it was answered."""
        self.requests += 1
        self.tasks[call.request.task] += 1
        self.statuses[outcome] += 1
        if call.key in self.keys or len(self.keys) < COUNTED_KEYS:
            self.keys[call.key] += 1


def block(text: str) -> Request:
    """The last ```` ```json ```` block of a prompt with the schema's name in it. Raises `Refused` (400) if there is none or it is
    not valid."""
    bodies = (part.partition("\n```")[0] for part in reversed(text.split(_FENCE)[1:]))
    body = next((body for body in bodies if REQUEST_SCHEMA in body), None)
    if body is None:
        raise Refused(
            400,
            f"the last user message holds no fenced {REQUEST_SCHEMA} block, the only thing that this model reads",
            param="messages",
            code="no_request_block",
        )
    try:
        return Request.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"the {REQUEST_SCHEMA} block is not valid: {where}: {first['msg']}"
        raise Refused(400, message, param="messages") from None


def check_direction(request: Request) -> None:
    """Refuses to rewrite in a direction that is none of the three, and says of none that it is like it."""
    if request.task == "evolve" and request.aim not in DIRECTIONS:
        raise Refused(
            400,
            f"unknown direction {request.aim!r}: this model knows {', '.join(DIRECTIONS)}; a direction of your own names the "
            "one that it is like as `base` in its direction.yaml",
            param="messages",
            code="unknown_direction",
        )


def check_response_format(body: dict[str, Any], task: str) -> None:
    """Refuses response formats that are unknown, or whose schema demands fields that the task's reply does not have."""
    asked = body.get("response_format") or {"type": "text"}
    match asked:
        case {"type": "text"} | {"type": "json_object"}:
            return
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": dict(schema)}}:
            missing = set(schema.get("required", ())) - {REPLY_FIELDS.get(task, "reply")}
            if REPLY_FIELDS.get(task) == "candidates":
                items = schema.get("properties", {}).get("candidates", {}).get("items", {})
                missing |= set(items.get("required", ())) - CandidateReply.model_fields.keys()
            if missing:
                raise Refused(400, f"a reply to {task} has no field {sorted(missing)}", param="response_format")
        case _:
            raise Refused(
                400,
                "response_format must be text, json_object or json_schema with name and schema",
                param="response_format",
            )


def _attempt(headers: Any, name: str) -> int:
    text = headers.get(name, "0")
    if not text.isdigit():
        raise Refused(400, f"{name} must be a whole number", param=name)
    return int(text)


class Teacher:
    """The server's state: the model's name, its token, its faults and its counts. ``enqueued_tokens``: see `Batches`."""

    def __init__(
        self,
        *,
        model: str,
        token: str,
        faults: Faults,
        log: IO[bytes] | None = None,
        enqueued_tokens: int | None = None,
    ) -> None:
        self.model, self.token, self.faults, self.log = model, token, faults, log
        self.counts = Counts()
        self.started = int(time.time())
        self.batches = Batches(self, enqueued_tokens)

    def application(self) -> web.Application:
        """The routes, behind the token."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        app.router.add_post("/v1/chat/completions", self.completions)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/v1/models/{model}", self.models)
        app.router.add_get("/stats", self.stats)
        self.batches.mount(app)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Token first; every error leaves in the OpenAI form."""
        try:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not secrets.compare_digest(given.encode(), self.token.encode()):
                raise Refused(401, "wrong or missing bearer token", code="invalid_api_key")
            answer: web.StreamResponse = await handler(request)
            return answer
        except Refused as refused:
            return refused.response()
        except web.HTTPRequestEntityTooLarge:
            return Refused(413, f"the body is larger than {MAX_BODY} bytes", code="request_too_large").response()
        except web.HTTPException as error:
            return Refused(error.status, error.reason).response()

    async def models(self, request: web.Request) -> web.Response:
        """The one model, and what it is."""
        about = "symbolic program composer over annotations; no language model"
        model = {
            "id": self.model,
            "object": "model",
            "created": self.started,
            "owned_by": "mmevol",
            "description": about,
        }
        asked = request.match_info.get("model")
        if asked is None:
            return answered({"object": "list", "data": [model]})
        if asked != self.model:
            raise Refused(404, f"there is no model {asked!r}", param="model", code="model_not_found")
        return answered(model)

    async def stats(self, request: web.Request) -> web.Response:
        """Requests since the start, by task, outcome and key, and answers that the second executor did not confirm."""
        counts = self.counts
        by = {"tasks": counts.tasks, "outcomes": counts.statuses, "keys": counts.keys, "mismatches": MISMATCHES}
        return answered({"requests": counts.requests, **by})

    def call(self, raw: bytes, headers: Any) -> Call:
        """A request's body and headers, validated."""
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Refused(400, f"the body is not JSON: {error}") from None
        if not isinstance(body, dict):
            raise Refused(400, "the body must be a JSON object")
        if body.get("model") != self.model:
            raise Refused(
                404,
                f"there is no model {body.get('model')!r}, only {self.model!r}",
                param="model",
                code="model_not_found",
            )
        if body.get("n", 1) not in (1, None):
            raise Refused(400, "n must be 1", param="n")
        if body.get("stream"):
            raise Refused(400, "replies are not streamed", param="stream")
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise Refused(400, "max_tokens must be a positive whole number", param="max_tokens")
        text, tokens = last_user_message(body.get("messages"))
        request = block(text)
        check_direction(request)
        check_response_format(body, request.task)
        key = headers.get("X-MMEvol-Request") or digest(raw)
        content, transport = (
            _attempt(headers, "X-MMEvol-Content-Attempt"),
            _attempt(headers, "X-MMEvol-Transport-Attempt"),
        )
        return Call(request, key, content, transport, tokens, limit)

    async def completions(self, http: web.Request) -> web.Response:
        """One completion, or the fault that this try is to have."""
        call = self.call(await http.read(), http.headers)
        fault = transport_fault(self.faults, call.key, call.content, call.transport)
        self.count(call, fault or "answered")
        match fault:
            case "http_429":
                raise Refused(429, "too many requests, try again after a second", code="rate_limit_exceeded")
            case "http_500":
                raise Refused(500, "the server had an error")
            case "hang":
                await asyncio.sleep(HANG)
            case "drop":
                assert http.transport is not None
                http.transport.abort()
        return answered(self.completion(call))

    def count(self, call: Call, outcome: str) -> None:
        """Count a request, and write it to the log if there is one."""
        self.counts.add(call, outcome)
        if self.log:
            line = {"key": call.key, "content_attempt": call.content, "transport_attempt": call.transport}
            self.log.write(orjson.dumps(line | {"task": call.request.task, "outcome": outcome}) + b"\n")
            self.log.flush()

    def completion(self, call: Call) -> dict[str, Any]:
        """The body of a completion, content faults included."""
        try:
            content, fault, _ = spoiled(self.faults, call.request, call.key, call.content)
        except BadData as error:
            raise Refused(400, f"the block's data: {error}", param="messages") from error
        text = orjson.dumps(content).decode()
        reason = "stop"
        if fault in ("malformed_json", "truncated_json"):
            text = broken_text(fault, text, call.key, call.content)
            reason = "length" if fault == "truncated_json" else "stop"
        if call.max_tokens is not None and len(text) > 4 * call.max_tokens:
            text, reason = text[: 4 * call.max_tokens], "length"
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if fault == "refusal":
            text = REFUSAL
            message = {"role": "assistant", "content": None, "refusal": text}
        tokens = (len(text) + 3) // 4
        return {
            "id": "chatcmpl-" + digest(call.key, call.content)[:24],
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": {
                "prompt_tokens": call.prompt_tokens,
                "completion_tokens": tokens,
                "total_tokens": call.prompt_tokens + tokens,
            },
        }
