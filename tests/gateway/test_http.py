"""The HTTP face: answers verbatim, problems as problem+json, never a trace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from router.execution.pipeline import ExecutionPipeline
from router.gateway.http import make_app
from router.settings import Settings

pytestmark = pytest.mark.asyncio
GOOD = {"symbol": "BTC/USD", "side": "buy", "quantity": "0.01"}
RESTING = {**GOOD, "order_type": "limit", "price": "40000", "strategy_key": "maker"}


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[ExecutionPipeline, TestClient[Any, Any]]]:
    async with (
        ExecutionPipeline("paper", settings) as pipeline,
        TestClient(TestServer(make_app(pipeline))) as client,
    ):
        yield pipeline, client


async def submit(client: TestClient[Any, Any], intent: object) -> dict[str, Any]:
    response = await client.post("/v1/orders", data=msgspec.json.encode(intent))
    assert response.status == 200, await response.text()
    return dict(await response.json())


async def problem(response: Any, status: int) -> str:
    assert response.status == status
    assert response.content_type == "application/problem+json"
    document = await response.json()
    assert document["status"] == status
    return str(document["detail"])


async def test_an_intent_gets_the_pipelines_own_answer(settings: Settings) -> None:
    async with running(settings) as (pipeline, client):
        result = await submit(client, GOOD)

        assert result["status"] == "SUCCESS"
        assert result["order_status"] == "FILLED"
        assert result["average_price"] == "50000.5"
        assert pipeline.positions()["BTC/USD"].quantity == pipeline.order(result["client_order_id"]).quantity  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"environment": "live"}, "BLOCKED_BY_GOVERNANCE"),
        ({"environment": "moon"}, "BLOCKED_BY_ENVIRONMENT"),
        ({"quantity": "NaN"}, "INVALID"),
        ({"quantity": "100"}, "BLOCKED_BY_RISK"),
        ({"colour": "red"}, "INVALID"),
    ],
)
async def test_a_refusal_is_an_answer(settings: Settings, change: dict[str, str], status: str) -> None:
    async with running(settings) as (pipeline, client):
        result = await submit(client, {**GOOD, **change})

        assert result["status"] == status
        assert result.get("executor_called", False) is False
        assert not pipeline.positions()


@pytest.mark.parametrize("thing", [[], 42, "buy", None, {"order_type": {"deep": [1]}}])
async def test_any_json_is_answered(settings: Settings, thing: object) -> None:
    async with running(settings) as (_, client):
        assert (await submit(client, thing))["status"] == "INVALID"


async def test_a_number_keeps_every_digit(settings: Settings) -> None:
    async with running(settings) as (_, client):
        response = await client.post(
            "/v1/orders", data=b'{"symbol":"BTC/USD","side":"buy","quantity":0.010000000000000000001}'
        )
        result = await response.json()

        assert result["order_intent"]["quantity"] == "0.010000000000000000001"
        assert result["validation_error"].startswith("Quantity is not a multiple of lot size")


@pytest.mark.parametrize("body", [b"{bad", b"", b"\xff\xfe", b'{"quantity": NaN}', b"[" * 100_000])
async def test_what_is_not_json_is_a_problem(settings: Settings, body: bytes) -> None:
    async with running(settings) as (_, client):
        assert "not JSON" in await problem(await client.post("/v1/orders", data=body), 400)


async def test_a_body_that_is_too_large_is_refused(settings: Settings) -> None:
    async with running(settings) as (_, client):
        await problem(await client.post("/v1/orders", data=b'"' + b"x" * 300_000 + b'"'), 413)


async def test_an_order_tells_its_story(settings: Settings) -> None:
    async with running(settings) as (_, client):
        result = await submit(client, {**GOOD, "intent_id": "one"})
        story = await (await client.get(f"/v1/orders/{result['client_order_id']}")).json()

        assert story["order"]["status"] == "FILLED"
        assert story["order"]["leaves_quantity"] == "0"
        assert story["result"] == result
        assert [event["event"] for event in story["events"]] == ["pending", "submitted", "filled", "answered"]


async def test_a_refused_intent_has_a_story_without_an_order(settings: Settings) -> None:
    async with running(settings) as (_, client):
        result = await submit(client, {**GOOD, "quantity": 0})
        story = await (await client.get(f"/v1/orders/{result['client_order_id']}")).json()

        assert story["order"] is None
        assert story["result"]["validation_error"] == "Quantity must be > 0"


async def test_orders_are_listed_and_filtered(settings: Settings) -> None:
    async with running(settings) as (_, client):
        filled = (await submit(client, GOOD))["client_order_id"]
        resting = (await submit(client, RESTING))["client_order_id"]

        async def ids(query: str) -> list[str]:
            orders = (await (await client.get(f"/v1/orders{query}")).json())["orders"]
            return [order["client_order_id"] for order in orders]

        assert set(await ids("")) == {filled, resting}
        assert await ids("?open") == [resting]
        assert await ids("?strategy_key=maker") == [resting]
        assert await ids("?symbol=ETH/USD") == []


async def test_an_order_is_cancelled(settings: Settings) -> None:
    async with running(settings) as (_, client):
        resting = (await submit(client, RESTING))["client_order_id"]
        response = await client.delete(f"/v1/orders/{resting}?reason=tidy")

        assert (await response.json())["order"]["status"] == "CANCELLED"
        story = await (await client.get(f"/v1/orders/{resting}")).json()
        assert story["events"][-1]["reason"] == "tidy"


async def test_an_order_is_amended(settings: Settings) -> None:
    async with running(settings) as (_, client):
        resting = (await submit(client, RESTING))["client_order_id"]
        answer = await (await client.patch(f"/v1/orders/{resting}", json={"price": "41000.5"})).json()
        assert (answer["status"], answer["order_status"]) == ("SUCCESS", "SUBMITTED")
        bodies: list[object] = [[], {}, {"side": "sell"}, {"quantity": 1, "x": 1}]
        for body in bodies:
            await problem(await client.patch(f"/v1/orders/{resting}", json=body), 400)
        invalid = await (await client.patch(f"/v1/orders/{resting}", json={"quantity": {"a": 1}})).json()
        assert invalid["validation_error"] == "Quantity must be a number"
        await problem(await client.patch("/v1/orders/nobody", json={"price": 1}), 404)


async def test_all_matching_orders_are_cancelled(settings: Settings) -> None:
    async with running(settings) as (pipeline, client):
        first = (await submit(client, RESTING))["client_order_id"]
        second = (await submit(client, {**RESTING, "strategy_key": "other", "price": "40001"}))["client_order_id"]

        response = await client.post("/v1/cancel_all", json={"strategy_key": "maker", "reason": "tidy"})
        assert await response.json() == {"client_order_ids": [first]}
        assert [order.client_order_id for order in pipeline.open_orders()] == [second]
        assert await (await client.post("/v1/cancel_all")).json() == {"client_order_ids": [second]}


async def test_cancel_all_refuses_a_filter_it_does_not_know(settings: Settings) -> None:
    async with running(settings) as (pipeline, client):
        await submit(client, RESTING)

        assert "'strategy'" in await problem(await client.post("/v1/cancel_all", json={"strategy": "x"}), 400)
        await problem(await client.post("/v1/cancel_all", json=[1]), 400)
        assert len(pipeline.open_orders()) == 1


async def test_an_unknown_order_is_not_found(settings: Settings) -> None:
    async with running(settings) as (_, client):
        for response in (await client.get("/v1/orders/U0"), await client.delete("/v1/orders/U0")):
            assert "U0" in await problem(response, 404)


async def test_waiting_ends_with_the_order_or_the_time(settings: Settings) -> None:
    async with running(settings) as (_, client):
        filled = (await submit(client, GOOD))["client_order_id"]
        resting = (await submit(client, RESTING))["client_order_id"]

        assert (await client.get(f"/v1/orders/{filled}?wait=5")).status == 200
        await problem(await client.get(f"/v1/orders/{resting}?wait=0.01"), 504)
        await problem(await client.get(f"/v1/orders/{resting}?wait=soon"), 400)
        await problem(await client.get(f"/v1/orders/{resting}?wait=nan"), 400)


async def test_the_router_describes_itself(settings: Settings) -> None:
    async with running(settings) as (pipeline, client):
        await submit(client, RESTING)

        async def get(path: str) -> Any:
            response = await client.get(path)
            assert response.status == 200
            return await response.json()

        assert (await get("/v1/governance"))["live_order_execution"] == "locked"
        signed = {entry["key"]: entry for entry in await get("/v1/governance/register")}
        assert signed.keys() == (await get("/v1/governance")).keys()
        assert signed["live_order_execution"]["status"] == "locked"
        assert signed["live_order_execution"]["signed_off_by"]
        assert {limit["name"] for limit in (await get("/v1/risk"))["limits"]} >= {"max_exposure"}
        assert len(await get("/v1/statuses")) == 14
        assert (await get("/v1/statuses?lang=de"))[0]["meaning"].startswith("Order wurde erstellt")
        status = await get("/v1/status")
        assert (status["env"], status["open_orders"]) == ("paper", 1)
        assert status["session_id"] == pipeline.session_id


async def test_a_router_whose_environment_has_no_executor_still_tells_its_status(settings: Settings) -> None:
    async with ExecutionPipeline("live", settings) as pipeline, TestClient(TestServer(make_app(pipeline))) as client:
        status = await (await client.get("/v1/status")).json()

        assert (status["env"], status["risk"]) == ("live", None)
        await problem(await client.get("/v1/risk"), 409)


async def test_health_names_the_red_check(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(settings) as (pipeline, client):
        healthy = await client.get("/health")
        assert (healthy.status, (await healthy.json())["status"]) == (200, "OK")

        red = {"journal": {"ok": False, "detail": "disk full"}}
        monkeypatch.setattr(pipeline, "health", lambda: red)
        sick = await client.get("/health")
        assert sick.status == 503
        assert (await sick.json())["red"] == ["journal"]


async def test_an_unexpected_failure_shows_no_trace_and_is_logged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(settings) as (pipeline, client):

        def broken() -> None:
            raise ZeroDivisionError("inside")

        monkeypatch.setattr(pipeline, "recent_orders", broken)
        detail = await problem(await client.get("/v1/orders"), 500)

        assert "inside" not in detail
        assert "Traceback" not in detail
        assert "ZeroDivisionError" in caplog.text


async def test_unknown_paths_and_methods_are_problems(settings: Settings) -> None:
    async with running(settings) as (_, client):
        assert "/nope" in await problem(await client.get("/nope"), 404)
        await problem(await client.put("/v1/orders"), 405)
        assert "language" in await problem(await client.get("/v1/statuses?lang=fr"), 400)
