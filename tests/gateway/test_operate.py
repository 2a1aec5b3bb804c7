"""Operators' paths: bodies are checked key by key, answers say what was done and what is still halted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from router.execution.pipeline import ExecutionPipeline
from router.gateway.http import make_app
from router.settings import Settings

pytestmark = pytest.mark.asyncio
WHO = {"operator": "anna", "reason": "a test"}
RESTING = {"symbol": "BTC/USD", "side": "buy", "quantity": "0.01", "order_type": "limit", "price": "40000"}


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[TestClient[Any, Any]]:
    async with (
        ExecutionPipeline("paper", settings) as pipeline,
        TestClient(TestServer(make_app(pipeline))) as client,
    ):
        yield client


async def post(client: TestClient[Any, Any], path: str, status: int = 200, /, **body: object) -> Any:
    response = await client.post(f"/v1/{path}", json=body)
    document = await response.json()
    assert response.status == status, document
    if status != 200:
        assert response.content_type == "application/problem+json"
        return document["detail"]
    return document


@pytest.mark.parametrize(
    ("named", "scope", "name"),
    [
        ({}, "all", ""),
        ({"environment": "paper"}, "environment", "paper"),
        ({"strategy": "maker", "symbol": None}, "strategy", "maker"),
        ({"symbol": "BTC/USD"}, "symbol", "BTC/USD"),
        ({"venue": "paper"}, "venue", "paper"),
    ],
)
async def test_a_halt_is_answered_shown_and_ended(
    settings: Settings, named: dict[str, str], scope: str, name: str
) -> None:
    async with running(settings) as client:
        done = await post(client, "halt", **WHO, **named, allow_reducing=True)
        halt = done["halt"]
        assert (halt["scope"], halt["name"], halt["operator"], halt["reason"]) == (scope, name, "anna", "a test")
        assert (halt["allow_reducing"], halt["alert_id"].startswith("alert_")) == (True, True)
        assert done["still_halted"] == [halt]
        result = await post(client, "orders", **{**RESTING, "strategy_key": "maker"})
        assert (result["status"], result["violation"]) == ("BLOCKED_BY_SAFETY", "A04_kill_switch")
        shown = await (await client.get("/v1/halts")).json()
        assert shown == {"halts": [halt], "closed_sessions": []}
        status = await (await client.get("/v1/status")).json()
        assert status["halts"] == [halt]
        ended = await post(client, "resume", **WHO, **named)
        assert (ended["halt"], ended["still_halted"]) == (halt, [])
        assert (await post(client, "orders", **{**RESTING, "strategy_key": "maker"}))["status"] == "SUCCESS"


async def test_working_orders_are_asked_to_end_only_when_that_is_said(settings: Settings) -> None:
    async with running(settings) as client:
        first = (await post(client, "orders", **RESTING))["client_order_id"]
        assert (await post(client, "halt", **WHO))["cancelled"] == []
        assert (await post(client, "halt", **WHO, cancel=True))["cancelled"] == [first]
        await post(client, "resume", **WHO)
        second = (await post(client, "orders", **RESTING))["client_order_id"]
        closed = await post(client, "session", **WHO, action="close", cancel=True)
        assert (closed["cancelled"], closed["closure"]["environment"]) == ([second], "paper")


async def test_a_session_is_closed_shown_and_opened(settings: Settings) -> None:
    async with running(settings) as client:
        closure = (await post(client, "session", **WHO, action="close", environment="shadow"))["closure"]
        assert (closure["environment"], closure["operator"]) == ("shadow", "anna")
        assert (await (await client.get("/v1/status")).json())["closed_sessions"] == [closure]
        opened = await post(client, "session", **WHO, action="open", environment="shadow", reset_peak=True)
        assert opened["closure"] == closure
        assert (await (await client.get("/v1/halts")).json())["closed_sessions"] == []


@pytest.mark.parametrize("path", ["halt", "resume", "session"])
@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"operator": None}, "operator"),
        ({"operator": ""}, "operator"),
        ({"operator": 7}, "operator"),
        ({"reason": None}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": ["a"]}, "reason"),
        ({"opertor": "anna"}, "opertor"),
        ({"environment": 1}, "environment"),
    ],
)
async def test_a_wrong_body_is_a_problem_that_names_the_key(
    settings: Settings, path: str, change: dict[str, object], key: str
) -> None:
    async with running(settings) as client:
        action = {"action": "close"} if path == "session" else {}
        assert key in await post(client, path, 400, **{**WHO, **action, **change})
        assert await (await client.get("/v1/halts")).json() == {"halts": [], "closed_sessions": []}


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("halt", {"cancel": "yes"}, 400, "cancel must be true or false"),
        ("halt", {"strategy": "a", "symbol": "b"}, 400, "Only one scope"),
        ("halt", {"symbol": ""}, 400, "symbol"),
        ("halt", {"symbol": "NOPE/USD"}, 409, "BTC/USD"),
        ("halt", {"operator": "a" * 65}, 409, "operator"),
        ("resume", {"cancel": True}, 400, "cancel"),
        ("resume", {}, 409, "no halt of everything"),
        ("resume", {"strategy": "maker"}, 409, "no halt of strategy maker"),
        ("session", {}, 400, "action"),
        ("session", {"action": "pause"}, 400, "action"),
        ("session", {"action": ["open"]}, 400, "action"),
        ("session", {"action": "close", "reset_peak": True}, 400, "reset_peak"),
        ("session", {"action": "open", "cancel": True}, 400, "cancel"),
        ("session", {"action": "open"}, 409, "not closed"),
        ("session", {"action": "close", "environment": "moon"}, 409, "moon"),
    ],
)
async def test_what_cannot_be_is_a_problem(
    settings: Settings, path: str, body: dict[str, object], status: int, says: str
) -> None:
    async with running(settings) as client:
        assert says in await post(client, path, status, **{**WHO, **body})


@pytest.mark.parametrize("path", ["halt", "resume", "session"])
async def test_a_body_that_is_no_object_is_a_problem(settings: Settings, path: str) -> None:
    async with running(settings) as client:
        for body in (b"", b"[]", b"nope", b"null", b'"halt"'):
            response = await client.post(f"/v1/{path}", data=body)
            assert (response.status, response.content_type) == (400, "application/problem+json")
