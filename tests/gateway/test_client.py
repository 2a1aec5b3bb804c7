"""RouterClient over a real Unix socket: typed answers, and clear errors when there is nobody to ask."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from router.domain.control import HaltScope
from router.domain.enums import ExecutionStatus
from router.domain.intent import OrderIntent
from router.errors import ExecutionPipelineError
from router.execution.pipeline import ExecutionPipeline
from router.gateway import RouterNotRunningError
from router.gateway.client import RouterClient
from router.gateway.http import make_app
from router.settings import Settings

pytestmark = pytest.mark.asyncio
GOOD = OrderIntent(symbol="BTC/USD", side="buy", quantity="0.01", intent_id="good")
RESTING = OrderIntent(symbol="BTC/USD", side="buy", quantity="0.01", order_type="limit", price="40000")


@asynccontextmanager
async def connected(settings: Settings, path: Path) -> AsyncIterator[RouterClient]:
    async with ExecutionPipeline("paper", settings) as pipeline:
        runner = web.AppRunner(make_app(pipeline))
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        try:
            async with RouterClient(path) as client:
                yield client
        finally:
            await runner.cleanup()


async def test_answers_are_typed(settings: Settings, tmp_path: Path) -> None:
    async with connected(settings, tmp_path / "s") as client:
        result = await client.submit_order(GOOD)
        assert result.status is ExecutionStatus.SUCCESS
        assert result.average_price == Decimal("50000.5")
        assert result.order_intent == GOOD
        assert (await client.submit_order(GOOD)).run_id == result.run_id, "the same intent_id, the same answer"
        assert result.client_order_id is not None

        story = await client.order(result.client_order_id)
        assert story.order is not None
        assert story.result == result
        assert story.order.status is ExecutionStatus.FILLED
        assert [event.event for event in story.events][-1] == "answered"
        assert story == await client.wait_for(result.client_order_id, timeout=5)

        resting = await client.submit_order(RESTING)
        assert [order.client_order_id for order in await client.orders(open_only=True)] == [resting.client_order_id]
        assert len(await client.orders()) == 2
        assert await client.cancel_all(symbol="ETH/USD", reason="tidy") == []
        assert resting.client_order_id is not None
        cancelled = await client.cancel_order(resting.client_order_id, reason="tidy")
        assert cancelled.status is ExecutionStatus.CANCELLED

        assert (await client.status())["open_orders"] == 0
        assert (await client.health())["status"] == "OK"
        assert (await client.governance())["live_order_execution"] == "locked"
        assert "equity" in await client.risk()


async def test_what_operators_order_is_typed_too(settings: Settings, tmp_path: Path) -> None:
    who: dict[str, Any] = {"operator": "anna", "reason": "a test"}
    async with connected(settings, tmp_path / "s") as client:
        resting = await client.submit_order(RESTING)
        done = await client.halt(HaltScope.SYMBOL, "BTC/USD", **who, cancel=True)
        assert done.cancelled == [resting.client_order_id]
        kill = (await client.halt(**who, allow_reducing=True)).halt
        assert kill is not None
        assert (await client.halts()).halts == [kill, done.halt]
        assert (await client.resume(HaltScope.SYMBOL, "BTC/USD", **who)).still_halted == [kill]
        assert (await client.resume(**who)).halt == kill
        closed = await client.session_close("shadow", **who, cancel=True)
        assert (await client.halts()).closed_sessions == [closed.closure]
        assert (await client.session_open("shadow", **who, reset_peak=True)).closure == closed.closure
        with pytest.raises(ExecutionPipelineError, match="no halt of everything"):
            await client.resume(**who)


async def test_garbage_is_answered_not_raised(settings: Settings, tmp_path: Path) -> None:
    async with connected(settings, tmp_path / "s") as client:
        result = await client.submit_order(OrderIntent(symbol=object(), quantity=float("nan"), metadata={1: {2}}))

        assert result.status is ExecutionStatus.INVALID


async def test_the_routers_problems_are_raised_with_its_words(settings: Settings, tmp_path: Path) -> None:
    async with connected(settings, tmp_path / "s") as client:
        with pytest.raises(ExecutionPipelineError, match="client_order_id a/b"):
            await client.order("a/b")
        resting = await client.submit_order(RESTING)
        assert resting.client_order_id is not None
        with pytest.raises(TimeoutError, match=resting.client_order_id):
            await client.wait_for(resting.client_order_id, timeout=0.01)


async def test_health_is_an_answer_even_when_red(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExecutionPipeline, "health", lambda _: {"journal": {"ok": False, "detail": "full"}})
    async with connected(settings, tmp_path / "s") as client:
        assert (await client.health())["red"] == ["journal"]


async def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    for name in ("absent", "dead"):
        async with RouterClient(tmp_path / name) as client:
            with pytest.raises(RouterNotRunningError, match=f"{name}.*router serve"):
                await client.status()


async def test_a_router_that_goes_away_in_mid_answer_says_what_to_do(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(hang_up, tmp_path / "s"), RouterClient(tmp_path / "s") as client:
        with pytest.raises(RouterNotRunningError, match="same intent_id"):
            await client.submit_order(GOOD)


async def test_something_else_on_the_socket_is_named(tmp_path: Path) -> None:
    async def teapot(_: web.Request) -> web.Response:
        return web.Response(status=418, text="short and stout")

    app = web.Application()
    app.router.add_get("/v1/status", teapot)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    async with RouterClient(tmp_path / "s") as client:
        with pytest.raises(ExecutionPipelineError, match="short and stout"):
            await client.status()
    await runner.cleanup()


async def test_a_client_that_was_not_entered_says_so(tmp_path: Path) -> None:
    with pytest.raises(ExecutionPipelineError, match="async with"):
        await RouterClient(tmp_path / "s").status()


async def test_limits_are_shown_and_set(settings: Settings, tmp_path: Path) -> None:
    async with connected(settings, tmp_path / "s") as client:
        await client.submit_order(GOOD)
        done = await client.set_limit("max_exposure", "0.5", operator="anna", reason="a test")
        assert done == {"key": "max_exposure", "old": "1", "new": "0.5"}
        report = await client.risk_report()
        assert report["overrides"] == {"max_exposure": "0.5"}
        assert await client.risk() == await client.risk("paper") == report["environments"]["paper"]
        assert await client.risk("shadow") == report["environments"]["shadow"] != await client.risk()
        with pytest.raises(ExecutionPipelineError, match="did you mean max_exposure"):
            await client.set_limit("max_exposur", "0.5", operator="anna", reason="a test")
