"""The HTTP face of one pipeline: JSON in, the pipeline's own answers out.

An answer that refuses (INVALID, BLOCKED_*) is an answer: 200. What cannot be answered is problem+json
(RFC 9457) with text for people; traces go to the log only. This module must not know sockets, signals or who
may connect.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from router.domain.enums import ExecutionStatus
from router.domain.events import Answered, OrderEvent, encode_event
from router.domain.intent import intent_from
from router.domain.order import order_document
from router.errors import ExecutionPipelineError, JournalError, RouterError
from router.execution.pipeline import ExecutionPipeline
from router.gateway import operate, risk
from router.gateway.messages import PIPELINE, ProblemError, answer, body_of, fields_of, problem
from router.governance.go_no_go import RISK_OVERRIDE, governance_status
from router.governance.register import register
from router.logs import get_logger, log_health
from router.operations.actions import status_table

_MAX_BODY: Final = 256 * 1024
_MAX_WAIT_S: Final = 3600.0
_log: Final = get_logger(stage="gateway")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(pipeline: ExecutionPipeline) -> web.Application:
    """Return the application that serves ``pipeline``."""
    app = web.Application(middlewares=[_problems], client_max_size=_MAX_BODY)
    app[PIPELINE] = pipeline
    app.add_routes(
        [
            web.post("/v1/orders", _submit),
            web.get("/v1/orders", _orders),
            web.get("/v1/orders/{client_order_id}", _order),
            web.patch("/v1/orders/{client_order_id}", _amend),
            web.delete("/v1/orders/{client_order_id}", _cancel),
            web.post("/v1/cancel_all", _cancel_all),
            web.get("/v1/governance", _governance),
            web.get("/v1/governance/register", _register),
            web.get("/v1/statuses", _statuses),
            web.get("/v1/status", _status),
            web.get("/health", _health),
            *operate.routes(),
            *risk.routes(),
        ]
    )
    return app


_STATUS_OF: Final = (
    (JournalError, 503),
    (ExecutionPipelineError, 409),
    (TimeoutError, 504),
    (RouterError, 400),
)
"""HTTP status of an expected failure; first match counts."""


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as error:
        return problem(error.status, str(error))
    except web.HTTPException as error:
        return problem(error.status, f"{request.method} {request.path}: {error.reason}.")
    except Exception as error:  # noqa: BLE001 - no trace reaches a client
        for kind, status in _STATUS_OF:
            if isinstance(error, kind):
                return problem(status, str(error) or "No answer in time.")
        _log.error("request failed", method=request.method, path=request.path, exc_info=error)
        return problem(500, "The router failed to answer; the trace is in its log.")


async def _submit(request: web.Request) -> web.Response:
    intent = intent_from(await body_of(request))
    return answer(await request.app[PIPELINE].submit_order(intent, raise_on_governance_violation=False))


async def _orders(request: web.Request) -> web.Response:
    pipeline = request.app[PIPELINE]
    wanted = {key: value for key, value in request.query.items() if key in {"symbol", "strategy_key", "environment"}}
    orders = pipeline.open_orders() if "open" in request.query else pipeline.recent_orders()
    return answer(
        {
            "orders": [
                order_document(order)
                for order in orders
                if all(getattr(order, key) == value for key, value in wanted.items())
            ]
        }
    )


async def _order(request: web.Request) -> web.Response:
    """Tell the order's story; with ``?wait=SECONDS`` once it has ended, or 504 if it has not by then."""
    client_order_id = request.match_info["client_order_id"]
    pipeline = request.app[PIPELINE]
    if "wait" in request.query and pipeline.order(client_order_id) is not None:
        try:
            await pipeline.wait_for(client_order_id, timeout=_seconds(request.query["wait"]))
        except TimeoutError:
            raise ProblemError(504, f"Order {client_order_id} has not ended yet.") from None
    return answer(await _story(pipeline, client_order_id))


async def _story(pipeline: ExecutionPipeline, client_order_id: str) -> dict[str, Any]:
    events: list[OrderEvent] = await pipeline.story(client_order_id)
    order = pipeline.order(client_order_id)
    if not events and order is None:
        raise ProblemError(404, f"No order has the client_order_id {client_order_id}.")
    answers = [event.result for event in events if isinstance(event, Answered)]
    return {
        "order": None if order is None else order_document(order),
        "result": answers[-1] if answers else None,
        "events": [msgspec.Raw(encode_event(event)) for event in events],
    }


async def _amend(request: web.Request) -> web.Response:
    client_order_id = _known_order(request)
    terms = await body_of(request)
    if not isinstance(terms, dict) or not terms or not terms.keys() <= {"quantity", "price"}:
        raise ProblemError(400, "The body must be a JSON object with quantity, price or both.")
    return answer(await request.app[PIPELINE].amend_order(client_order_id, **terms))


def _known_order(request: web.Request) -> str:
    client_order_id = request.match_info["client_order_id"]
    if request.app[PIPELINE].order(client_order_id) is None:
        raise ProblemError(404, f"No order has the client_order_id {client_order_id}.")
    return client_order_id


async def _cancel(request: web.Request) -> web.Response:
    client_order_id = _known_order(request)
    pipeline = request.app[PIPELINE]
    order = await pipeline.cancel_order(client_order_id, reason=request.query.get("reason") or "operator")
    return answer({"order": order_document(order)})


async def _cancel_all(request: web.Request) -> web.Response:
    filters = dict.fromkeys(("symbol", "strategy_key", "environment", "reason"), str)
    body = fields_of(await body_of(request) if request.can_read_body else {}, filters)
    reason = body.pop("reason", None) or "operator"
    cancelled = await request.app[PIPELINE].cancel_all(**body, reason=reason)
    return answer({"client_order_ids": cancelled})


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MAX_WAIT_S:
        raise ProblemError(400, f"wait must be a number of seconds from 0 to {_MAX_WAIT_S:.0f}, not {text!r}.")
    return seconds


async def _governance(request: web.Request) -> web.Response:
    override = request.app[PIPELINE].settings.governance.risk_check_override
    return answer(governance_status({RISK_OVERRIDE: override}))


async def _register(request: web.Request) -> web.Response:
    settings = request.app[PIPELINE].settings
    origin = settings.origins.get(f"governance.{RISK_OVERRIDE}", "default")
    return answer(register(settings.governance.risk_check_override, origin))


async def _statuses(request: web.Request) -> web.Response:
    return answer(list(status_table(request.query.get("lang", "en")).values()))


async def _health(request: web.Request) -> web.Response:
    checks = _checks(request.app[PIPELINE])
    red = [name for name, check in checks.items() if not check["ok"]]
    document = {"status": "DEGRADED" if red else "OK", "red": red, "checks": checks}
    return answer(document, 503 if red else 200)


async def _status(request: web.Request) -> web.Response:
    pipeline = request.app[PIPELINE]
    open_orders = pipeline.open_orders()
    return answer(
        {
            "pid": os.getpid(),
            "env": pipeline.env,
            "session_id": pipeline.session_id,
            "journal": str(pipeline.journal_path),
            "health": _checks(pipeline),
            "open_orders": len(open_orders),
            "outcome_unknown": sum(order.outcome_unknown for order in open_orders),
            "partially_filled": sum(order.status is ExecutionStatus.PARTIALLY_FILLED for order in open_orders),
            **operate.stopped(pipeline),
            **_account(pipeline),
        }
    )


def _account(pipeline: ExecutionPipeline) -> dict[str, Any]:
    """Return the default environment's account; one without an executor has none."""
    try:
        snapshot = pipeline.risk_snapshot()
    except ExecutionPipelineError:
        return {"positions": {}, "fees": {}, "risk": None}
    return {"positions": pipeline.positions(), "fees": pipeline.fees(), "risk": snapshot}


def _checks(pipeline: ExecutionPipeline) -> dict[str, Any]:
    return {**pipeline.health(), "log": log_health()}
