"""What limits the portfolio is shown by account; a limit is set by name, and a restart remembers it."""

from __future__ import annotations

from typing import Any

import pytest

from router.settings import Settings
from tests.gateway.test_operate import WHO, post, running

pytestmark = pytest.mark.asyncio
SMALLER = {"key": "max_exposure", "value": "0.5", **WHO}


async def get(client: Any, path: str, status: int = 200) -> Any:
    response = await client.get(f"/v1/{path}")
    document = await response.json()
    assert response.status == status, document
    return document


async def test_an_account_is_shown_the_default_one_unless_another_is_named(settings: Settings) -> None:
    async with running(settings) as client:
        await post(client, "orders", symbol="BTC/USD", side="buy", quantity="0.01")
        paper, shadow = await get(client, "risk"), await get(client, "risk?environment=shadow")
        assert float(paper["exposure"]) > 0 == float(shadow["exposure"])
        assert await get(client, "risk?environment=paper") == paper
        assert {"equity", "peak_equity", "drawdown", "daily_pnl", "exposure", "limits"} == paper.keys()
        refused = await get(client, "risk?environment=moon", 409)
        assert "moon has no account" in refused["detail"]


async def test_the_report_holds_every_account_and_every_limit(settings: Settings) -> None:
    async with running(settings) as client:
        closure = (await post(client, "session", **WHO, action="close", environment="shadow"))["closure"]
        await post(client, "risk", **SMALLER)
        report = await get(client, "risk/report")
        assert report["environments"] == {
            "paper": await get(client, "risk"),
            "shadow": await get(client, "risk?environment=shadow"),
        }
        assert (report["limits"]["max_exposure"], report["limits"]["base_currency"]) == ("0.5", "USD")
        assert report["overrides"] == {"max_exposure": "0.5"}
        assert report["closed_sessions"] == [closure]


async def test_a_limit_that_is_set_counts_for_the_next_order_and_after_a_restart(settings: Settings) -> None:
    async with running(settings) as client:
        done = await post(client, "risk", key="max_order_quantity.BTC/USD", value="0.01", **WHO)
        assert done == {"key": "max_order_quantity.BTC/USD", "old": "2", "new": "0.01"}
    async with running(settings) as client:
        result = await post(client, "orders", symbol="BTC/USD", side="buy", quantity="0.02")
        assert (result["status"], result["limit_value"]) == ("BLOCKED_BY_RISK", "0.01")
        assert (await post(client, "risk", key="max_order_quantity.BTC/USD", value="0.02", **WHO))["old"] == "0.01"
        again = await post(client, "orders", symbol="BTC/USD", side="buy", quantity="0.02")
        assert again["status"] == "SUCCESS"


@pytest.mark.parametrize("value", [3, "3", 3.0])
async def test_a_value_may_be_a_number(settings: Settings, value: object) -> None:
    async with running(settings) as client:
        done = await post(client, "risk", key="environments.paper.max_position_size.default", value=value, **WHO)
        assert (done["old"], done["new"]) == (None, "3")


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"key": "max_exposur"}, 400, "did you mean max_exposure?"),
        ({"key": "strategies.nobody.max_exposure"}, 400, "strategies.nobody is no registered strategy"),
        ({"value": "-1"}, 400, "max_exposure must be a number above 0"),
        ({"value": "NaN"}, 400, "max_exposure must be a number above 0"),
        ({"value": 0}, 400, "max_exposure must be a number above 0"),
        ({"value": 100000}, 400, "max_exposure must be at most"),
        ({"value": True}, 400, "value must be text"),
        ({"value": ["1"]}, 400, "value must be text"),
        ({"value": None}, 400, "value is missing"),
        ({"key": None}, 400, "key is missing"),
        ({"key": 1}, 400, "key must be text"),
        ({"operator": None}, 400, "operator is missing"),
        ({"reason": " "}, 400, "reason is missing"),
        ({"resaon": "x"}, 400, "resaon"),
        ({"operator": "a" * 65}, 409, "operator"),
    ],
)
async def test_what_cannot_be_is_a_problem_and_changes_nothing(
    settings: Settings, change: dict[str, object], status: int, says: str
) -> None:
    async with running(settings) as client:
        assert says in await post(client, "risk", status, **{**SMALLER, **change})
        report = await get(client, "risk/report")
        assert (report["limits"]["max_exposure"], report["overrides"]) == ("1", {})


async def test_a_body_that_is_no_object_is_a_problem(settings: Settings) -> None:
    async with running(settings) as client:
        for body in (b"", b"[]", b"nope", b"null", b'"set"'):
            response = await client.post("/v1/risk", data=body)
            assert (response.status, response.content_type) == (400, "application/problem+json")
