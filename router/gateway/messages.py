"""What every handler needs: the pipeline it asks, bodies in, JSON and problems out.

This module must not know any path.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from aiohttp import web

from router.domain.intent import json_form
from router.errors import RouterError
from router.execution.pipeline import ExecutionPipeline

PIPELINE: Final = web.AppKey("pipeline", ExecutionPipeline)
_encoder: Final = msgspec.json.Encoder(enc_hook=json_form, decimal_format="string")
_decoder: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(float_hook=Decimal)
_WORDS: Final = {str: "text", bool: "true or false"}


class ProblemError(RouterError):
    """A request that cannot be answered: HTTP status and text."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def problem(status: int, detail: str) -> web.Response:
    """Return a problem document (RFC 9457)."""
    title = web.Response(status=status).reason
    return answer({"title": title, "status": status, "detail": detail}, status, "application/problem+json")


def answer(value: Any, status: int = 200, content_type: str = "application/json") -> web.Response:
    """Return ``value`` as JSON."""
    return web.Response(body=_encoder.encode(value), status=status, content_type=content_type)


async def body_of(request: web.Request) -> Any:
    """Decode the body; numbers keep every digit."""
    try:
        return _decoder.decode(await request.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, f"The body is not JSON: {error}") from None


def fields_of(body: Any, known: Mapping[str, type], required: Collection[str] = ()) -> dict[str, Any]:
    """Return the body's fields; null is as good as absent.

    Raises:
        ProblemError: it is no object, has a key that is not ``known``, a value of another type, or lacks one that is
            ``required``; the key is named.
    """
    if not isinstance(body, dict):
        raise ProblemError(400, "The body must be a JSON object.")
    if unknown := sorted(body.keys() - known.keys()):
        raise ProblemError(400, f"Unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    fields = {key: value for key, value in body.items() if value is not None}
    for key, value in fields.items():
        if not isinstance(value, known[key]):
            raise ProblemError(400, f"{key} must be {_WORDS[known[key]]}.")
    for key in required:
        if not str(fields.get(key, "")).strip():
            raise ProblemError(400, f"{key} is missing: it is kept in the journal.")
    return fields
