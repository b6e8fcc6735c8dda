"""What stands in the files that a batch brings back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from mmevol.endpoint.client import RETRIED, Client
from mmevol.endpoint.response import Answer, filtered, read_answer


def results(path: Path, client: Client) -> Iterator[tuple[str, Answer | str]]:
    """Each row's id with its answer, why it will not pass, or '' for what passes; what failed is counted at the client.

    Lost rows are not among them, nor is a line that cannot be read.
    """
    with open(path, "rb") as file:
        for line in file:
            try:
                value = orjson.loads(client.redacted(line))
                yield value["custom_id"], _result(value, client)
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                client.usage.errors["broken line"] += 1


def _result(value: dict[str, Any], client: Client) -> Answer | str:
    response, errors = value.get("response") or {}, client.usage.errors
    status, body = response.get("status_code"), orjson.dumps(response.get("body"))
    if status == 200:
        try:
            return read_answer(body)
        except ValueError:
            errors["broken body"] += 1
            return ""
    if status == 400 and filtered(body):
        return Answer("", "content_filter", "", "", 0, 0, 0)
    errors[str(status or (value.get("error") or {}).get("code") or "no answer")] += 1
    if status is None or status in RETRIED:
        return ""
    return client.refused(status, body)
