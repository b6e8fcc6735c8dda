"""The teacher's ``/v1/files`` and ``/v1/batches``, as OpenAI's Batch API has them.

Files lie in a temporary folder that goes with the server. A row is answered as the same request would be over
``/v1/chat/completions``: its `custom_id` says key and content attempt (`named`), and how often that id was submitted before is
its transport attempt. The transport faults mean for a row: ``http_429`` and ``http_500`` put it into the error file, ``hang``
lets it expire, ``drop`` loses it. A batch's status moves on by at most one step a look, so that whoever polls sees each.
"""

import asyncio
import base64
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import BodyPartReader, web

from mmevol.records import digest
from mmevol.teacher.faults import transport_fault
from mmevol.teacher.wire import Refused, answered, last_user_message

if TYPE_CHECKING:
    from mmevol.teacher.server import Teacher

MAX_UPLOAD = 200_000_000
"""Bytes of a batch file."""
MAX_ROWS = 50_000
ENDPOINT = "/v1/chat/completions"
STEPS = ("validating", "in_progress", "finalizing", "ended")


def named(custom_id: str) -> tuple[str, int] | None:
    """Key (hex) and content attempt in a row's id, the key's 32 bytes in base64url, ``-`` and the attempt; None in another id."""
    key, _, attempt = custom_id.rpartition("-")
    try:
        raw = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    except ValueError:
        return None
    return (raw.hex(), int(attempt)) if len(raw) == 32 and attempt.isdigit() else None


@dataclass
class Stored:
    """A file that was uploaded or made here."""

    path: Path
    filename: str
    purpose: str
    created: int = field(default_factory=lambda: int(time.time()))

    def facts(self) -> dict[str, Any]:
        """As the protocol tells it."""
        about = {"filename": self.filename, "purpose": self.purpose, "created_at": self.created, "status": "processed"}
        return {"id": self.path.name, "object": "file", "bytes": self.path.stat().st_size, **about}


@dataclass
class Batch:
    """A batch; ``reached`` is how far the work is, ``shown`` how far the client has been told, both indices of `STEPS`."""

    id: str
    input: Stored
    window: str
    metadata: dict[str, str] | None
    end: str = "completed"
    reached: int = 0
    shown: int = 0
    tokens: int = 0
    created: int = field(default_factory=lambda: int(time.time()))
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[dict[str, Any]] = field(default_factory=list)
    output: Stored | None = None
    error: Stored | None = None

    @property
    def status(self) -> str:
        """What the client is told."""
        return self.end if STEPS[self.shown] == "ended" else STEPS[self.shown]

    @property
    def waits(self) -> bool:
        """Do its tokens count against the limit?"""
        return self.reached > 0 and self.end != "failed" and STEPS[self.shown] != "ended"

    def look(self) -> dict[str, Any]:
        """What a client that polls is told."""
        facts = self.facts()
        self.shown = min(self.shown + 1, self.reached)
        return facts

    def facts(self) -> dict[str, Any]:
        """As the protocol tells it."""
        ended = STEPS[self.shown] == "ended"
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": ENDPOINT,
            "errors": {"object": "list", "data": self.errors} if ended and self.errors else None,
            "input_file_id": self.input.path.name,
            "completion_window": self.window,
            "status": self.status,
            "output_file_id": self.output.path.name if ended and self.output else None,
            "error_file_id": self.error.path.name if ended and self.error else None,
            "created_at": self.created,
            "metadata": self.metadata,
            "request_counts": {name: self.counts[name] for name in ("total", "completed", "failed")},
        }


class Batches:
    """The routes and what they remember. ``enqueued_tokens``: prompt tokens that may wait in batches at a time."""

    def __init__(self, teacher: "Teacher", enqueued_tokens: int | None = None) -> None:
        self.teacher, self.enqueued_tokens = teacher, enqueued_tokens
        self.files: dict[str, Stored] = {}
        self.batches: dict[str, Batch] = {}
        self.submitted: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._work: set[asyncio.Task[None]] = set()
        self._made = 0

    def mount(self, app: web.Application) -> None:
        """Add the routes to the server."""
        app.cleanup_ctx.append(self._folder)
        for method, path, handler in (
            ("POST", "/v1/files", self.upload),
            ("GET", "/v1/files/{file}", self.file),
            ("GET", "/v1/files/{file}/content", self.content),
            ("DELETE", "/v1/files/{file}", self.delete),
            ("POST", "/v1/batches", self.create),
            ("GET", "/v1/batches", self.page),
            ("GET", "/v1/batches/{batch}", self.retrieve),
            ("POST", "/v1/batches/{batch}/cancel", self.cancel),
        ):
            app.router.add_route(method, path, self._faulty(f"{method} {path}", handler))

    async def _folder(self, _: web.Application) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="mmevol-batches-") as folder:
            self._root = Path(folder)
            yield
            for task in self._work:
                task.cancel()

    def _faulty(
        self, route: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A route under transport faults: refused before anything is done, or done and the answer lost."""

        async def handle(http: web.Request) -> web.StreamResponse:
            fault = transport_fault(self.teacher.faults, route, 0, self._calls[route])
            self._calls[route] += 1
            self.teacher.counts.statuses[f"{route} {fault or 'answered'}"] += 1
            if fault == "http_429":
                raise Refused(429, "too many requests, try again after a second", code="rate_limit_exceeded")
            if fault == "http_500":
                raise Refused(500, "the server had an error")
            response = await handler(http)
            if fault:
                assert http.transport is not None
                http.transport.abort()
            return response

        return handle

    def _new(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{digest(kind, self.teacher.started, self._made)[:24]}"

    async def upload(self, http: web.Request) -> web.Response:
        """Store a file of purpose ``batch``, streamed to disk."""
        if not http.content_type.startswith("multipart/"):
            raise Refused(400, "a file comes as multipart/form-data", param="file")
        path, purpose, filename = self._root / self._new("file"), None, None
        async for part in await http.multipart():
            if not isinstance(part, BodyPartReader):
                raise Refused(400, "parts must not be nested", param="file")
            if part.name == "purpose":
                purpose = await part.text()
            elif part.name == "file":
                filename = part.filename or "file"
                await _received(part, path)
        if purpose != "batch" or filename is None:
            path.unlink(missing_ok=True)
            raise Refused(400, "a file and the purpose batch are needed", param="purpose")
        stored = self.files[path.name] = Stored(path, filename, purpose)
        return answered(stored.facts())

    def _file(self, id_: object) -> Stored:
        if id_ not in self.files:
            raise Refused(404, f"there is no file {id_!r}", param="file", code="not_found")
        return self.files[str(id_)]

    async def file(self, http: web.Request) -> web.Response:
        """What is known of a file."""
        return answered(self._file(http.match_info["file"]).facts())

    async def content(self, http: web.Request) -> web.FileResponse:
        """A file's bytes."""
        return web.FileResponse(self._file(http.match_info["file"]).path)

    async def delete(self, http: web.Request) -> web.Response:
        """Forget a file."""
        stored = self._file(http.match_info["file"])
        del self.files[stored.path.name]
        stored.path.unlink()
        return answered({"id": stored.path.name, "object": "file", "deleted": True})

    async def create(self, http: web.Request) -> web.Response:
        """Begin a batch."""
        match await http.json(loads=orjson.loads):
            case {"endpoint": "/v1/chat/completions", "input_file_id": str(id_), "completion_window": "24h", **rest}:
                metadata = rest.get("metadata")
                if not isinstance(metadata, dict | None):
                    raise Refused(400, "metadata must be an object of texts", param="metadata")
                batch = Batch(self._new("batch"), self._file(id_), "24h", metadata)
            case _:
                wanted = f"endpoint {ENDPOINT}, completion_window 24h and an input_file_id"
                raise Refused(400, f"a batch needs {wanted}", param="endpoint")
        self.batches[batch.id] = batch
        task = asyncio.ensure_future(self._run(batch))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return answered(batch.facts())

    def _batch(self, http: web.Request) -> Batch:
        batch = self.batches.get(http.match_info["batch"])
        if batch is None:
            raise Refused(404, f"there is no batch {http.match_info['batch']!r}", param="batch", code="not_found")
        return batch

    async def retrieve(self, http: web.Request) -> web.Response:
        """How a batch stands."""
        return answered(self._batch(http).look())

    async def page(self, http: web.Request) -> web.Response:
        """Batches, the newest first, a page at a time."""
        try:
            limit = min(100, max(1, int(http.query.get("limit", "20"))))
        except ValueError:
            raise Refused(400, "limit must be a whole number", param="limit") from None
        ids = [*self.batches][::-1]
        start = ids.index(http.query["after"]) + 1 if http.query.get("after") in ids else 0
        shown = ids[start : start + limit]
        ends = {"first_id": shown[0], "last_id": shown[-1]} if shown else {"first_id": None, "last_id": None}
        more = {"has_more": start + limit < len(ids)}
        return answered({"object": "list", "data": [self.batches[i].facts() for i in shown], **ends, **more})

    async def cancel(self, http: web.Request) -> web.Response:
        """End a batch early; rows that are not answered go to the error file."""
        batch = self._batch(http)
        if STEPS[batch.shown] != "ended":
            batch.end = "cancelled"
        return answered(batch.facts())

    async def _run(self, batch: Batch) -> None:
        """Validate a batch and answer its rows, letting other requests in between."""
        batch.errors = await self._validated(batch)
        if batch.errors:
            batch.end, batch.reached = "failed", STEPS.index("ended")
            return
        batch.reached = STEPS.index("in_progress")
        output, error = self._root / self._new("file"), self._root / self._new("file")
        with output.open("wb") as good, error.open("wb") as bad:
            for line in _lines(batch.input.path):
                row = self._row(batch, orjson.loads(line))
                if row is not None:
                    completed = row["error"] is None and row["response"]["status_code"] == 200
                    batch.counts["completed" if completed else "failed"] += 1
                    (good if completed else bad).write(orjson.dumps(row) + b"\n")
                await asyncio.sleep(0)
        for path, kind in ((output, "output"), (error, "error")):
            if path.stat().st_size:
                self.files[path.name] = made = Stored(path, f"{batch.id}_{kind}.jsonl", "batch_output")
                setattr(batch, kind, made)
        batch.reached = STEPS.index("ended")

    async def _validated(self, batch: Batch) -> list[dict[str, Any]]:
        """Why the whole batch cannot be taken; else none, and its rows and tokens are counted."""
        seen: set[str] = set()
        for number, line in enumerate(_lines(batch.input.path), 1):
            await asyncio.sleep(0)
            try:
                match orjson.loads(line):
                    case {"custom_id": str(id_), "method": "POST", "url": "/v1/chat/completions", "body": dict(body)}:
                        pass
                    case _:
                        return [_fault("invalid_request", "a row needs custom_id, method, url and body", number)]
            except orjson.JSONDecodeError:
                return [_fault("invalid_json_line", "this line is not JSON", number)]
            if id_ in seen:
                return [_fault("duplicate_custom_id", f"{id_} stands twice in the file", number)]
            if body.get("model") != self.teacher.model:
                return [_fault("model_not_found", f"there is no model {body.get('model')!r}", number)]
            seen.add(id_)
            batch.tokens += last_user_message(body.get("messages"))[1]
        if not 0 < len(seen) <= MAX_ROWS:
            return [_fault("invalid_row_count", f"{len(seen)} rows, 1 to {MAX_ROWS} are allowed")]
        waiting = batch.tokens + sum(b.tokens for b in self.batches.values() if b.waits)
        if self.enqueued_tokens is not None and waiting > self.enqueued_tokens:
            said = f"Enqueued token limit reached: {waiting} of {self.enqueued_tokens}; wait for batches to complete"
            return [_fault("token_limit_exceeded", said)]
        batch.counts["total"] = len(seen)
        return []

    def _row(self, batch: Batch, row: dict[str, Any]) -> dict[str, Any] | None:
        """One row's line of the output or error file; None for a row that is lost."""
        id_ = row["custom_id"]
        key, attempt = named(id_) or (digest(id_), 0)
        if batch.end == "cancelled":
            return _line(id_, error=_fault("batch_cancelled", "the batch was cancelled"))
        headers = {"X-MMEvol-Request": key, "X-MMEvol-Content-Attempt": str(attempt)}
        headers["X-MMEvol-Transport-Attempt"] = str(self.submitted[id_])
        self.submitted[id_] += 1
        try:
            call = self.teacher.call(orjson.dumps(row["body"]), headers)
            fault = transport_fault(self.teacher.faults, call.key, call.content, call.transport)
            self.teacher.count(call, fault or "answered")
            if fault == "hang":
                batch.end = "expired"
                return _line(id_, error=_fault("batch_expired", "this row was not done within the window"))
            if fault == "drop":
                return None
            if fault:
                raise Refused(int(fault.removeprefix("http_")), "the row could not be answered")
            return _line(id_, 200, self.teacher.completion(call))
        except Refused as refused:
            return _line(id_, refused.status, refused.body())


async def _received(part: BodyPartReader, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        while chunk := await part.read_chunk(1 << 18):
            size += len(chunk)
            if size > MAX_UPLOAD:
                path.unlink()
                raise Refused(413, f"the file is larger than {MAX_UPLOAD} bytes", code="file_too_large")
            file.write(chunk)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield line


def _fault(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "line": line, "param": None}


def _line(id_: str, status: int = 0, body: Any = None, error: dict[str, Any] | None = None) -> dict[str, Any]:
    request = "batch_req_" + digest(id_, status)[:24]
    response = {"status_code": status, "request_id": request, "body": body} if status else None
    return {"id": request, "custom_id": id_, "response": response, "error": error}
