"""The paths by which operators stop trading and start it again.

This module must not know what a halt does, or who may order one: the pipeline decides.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from router.domain.control import HaltScope
from router.execution.pipeline import ExecutionPipeline
from router.gateway.messages import PIPELINE, ProblemError, answer, body_of, fields_of

_WHO: Final = {"operator": str, "reason": str}
_SCOPES: Final = {scope.value: str for scope in HaltScope if scope is not HaltScope.ALL}
_RESUME: Final = {**_WHO, **_SCOPES}
_HALT: Final = {**_RESUME, "allow_reducing": bool, "cancel": bool}
_ACTIONS: Final = {
    "open": {**_WHO, "action": str, "environment": str, "reset_peak": bool},
    "close": {**_WHO, "action": str, "environment": str, "cancel": bool},
}


def routes() -> list[web.RouteDef]:
    """Return the paths with their handlers."""
    return [
        web.post("/v1/halt", _halt),
        web.post("/v1/resume", _resume),
        web.post("/v1/session", _session),
        web.get("/v1/halts", _halts),
    ]


async def _halt(request: web.Request) -> web.Response:
    fields = fields_of(await body_of(request), _HALT, _WHO)
    return answer(await request.app[PIPELINE].halt(*_scope(fields), **fields))


async def _resume(request: web.Request) -> web.Response:
    fields = fields_of(await body_of(request), _RESUME, _WHO)
    return answer(await request.app[PIPELINE].resume(*_scope(fields), **fields))


async def _session(request: web.Request) -> web.Response:
    """Open or close a session; of the default environment unless another is named."""
    pipeline, body = request.app[PIPELINE], await body_of(request)
    action = body.get("action") if isinstance(body, dict) else None
    if action not in ("open", "close"):
        raise ProblemError(400, 'action must be "open" or "close".')
    fields = fields_of(body, _ACTIONS[action], _WHO)
    environment = fields.pop("environment", pipeline.env)
    del fields["action"]
    if action == "open":
        return answer(await pipeline.open_session(environment, **fields))
    return answer(await pipeline.close_session(environment, **fields))


async def _halts(request: web.Request) -> web.Response:
    return answer(stopped(request.app[PIPELINE]))


def stopped(pipeline: ExecutionPipeline) -> dict[str, Any]:
    """Return all that is halted or closed now."""
    return {"halts": pipeline.halts(), "closed_sessions": pipeline.closed_sessions()}


def _scope(fields: dict[str, Any]) -> tuple[HaltScope, str]:
    """Take the one scope that is named out of ``fields``; none is everything."""
    named = {key: fields.pop(key) for key in _SCOPES if key in fields}
    if len(named) > 1:
        raise ProblemError(400, f"Only one scope can be named, not {' and '.join(named)}.")
    for key, name in named.items():
        if not name:
            raise ProblemError(400, f"{key} must name one; leave it out to mean everything.")
        return HaltScope(key), name
    return HaltScope.ALL, ""
