"""The paths by which operators see what limits the portfolio, and set a limit.

This module must not know how a limit is measured or kept: the pipeline decides.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from aiohttp import web

from router.gateway.messages import PIPELINE, answer, body_of, fields_of

_SET: Final = {"key": str, "value": str, "operator": str, "reason": str}


def routes() -> list[web.RouteDef]:
    """Return the paths with their handlers."""
    return [
        web.get("/v1/risk", _risk),
        web.get("/v1/risk/report", _report),
        web.post("/v1/risk", _set),
    ]


async def _risk(request: web.Request) -> web.Response:
    """Measure one environment's account, the default one's unless another is named."""
    return answer(request.app[PIPELINE].risk_snapshot(request.query.get("environment")))


async def _report(request: web.Request) -> web.Response:
    return answer(request.app[PIPELINE].risk_report())


async def _set(request: web.Request) -> web.Response:
    body = await body_of(request)
    if isinstance(body, dict) and type(body.get("value")) in (int, Decimal):
        body = {**body, "value": f"{body['value']}"}
    fields = fields_of(body, _SET, _SET)
    old, new = await request.app[PIPELINE].set_limit(**fields)
    return answer({"key": fields["key"], "old": old, "new": new})
