"""The forms of the protocol: answers, errors, messages."""

from typing import Any

import orjson
from aiohttp import web

IMAGE_TOKENS = {"low": 85, "auto": 765, "high": 765}
"""Usage of an image by its detail; a constant, since no image is decoded."""


class Refused(Exception):
    """A request that is answered with an error of the OpenAI form."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, Any]:
        """The error object."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        kind = "rate_limit_error" if self.status == 429 else kind
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self) -> web.Response:
        """The HTTP answer."""
        headers = {"Retry-After": "1"} if self.status == 429 else None
        return answered(self.body(), self.status, headers)


def answered(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(value), status=status, headers=headers, content_type="application/json")


def last_user_message(messages: Any) -> tuple[str, int]:
    """Text of the last user message, and the usage of all messages in tokens (4 characters each, images by detail)."""
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages must be a list that is not empty", param="messages")
    last, tokens = None, 0
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in (
            "system",
            "developer",
            "user",
            "assistant",
            "tool",
        ):
            raise Refused(400, "each message needs a known role", param="messages")
        text, images = _parts(message.get("content"))
        tokens += (len(text) + 3) // 4 + images
        if message["role"] == "user":
            last = text
    if last is None:
        raise Refused(400, "there is no user message", param="messages")
    return last, tokens


def _parts(content: Any) -> tuple[str, int]:
    """Text and image tokens of a message's content."""
    if isinstance(content, str):
        return content, 0
    if content is None:
        return "", 0
    texts, images = [], 0
    for part in content if isinstance(content, list) else [None]:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str()} as image}:
                images += IMAGE_TOKENS.get(image.get("detail", "auto"), IMAGE_TOKENS["auto"])
            case _:
                raise Refused(400, "content parts must be text or image_url", param="messages")
    return "\n".join(texts), images
