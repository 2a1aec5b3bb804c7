"""The commands that talk to a running router, against a real process."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from router.cli.orders import exit_code
from router.domain.enums import VERDICT_ONLY
from router.domain.enums import ExecutionStatus as S
from router.domain.intent import OrderIntent
from router.domain.result import ExecutionResult
from tests.cli.processes import Run, Served


@pytest.fixture
def ask(run: Run, served: Served) -> Any:
    """Run a command against the running router, as JSON unless told otherwise; returns its answer."""

    def call(*arguments: object, code: int = 0) -> Any:
        ended = run(*arguments, "--config", served.config, "--json")
        assert ended.code == code, ended.err
        return json.loads(ended.out)

    return call


def test_submit_answers_at_once(ask: Any) -> None:
    result = ask("submit", "BTC/USD", "buy", "0.01", "--strategy", "me", "--intent-id", "once")

    assert (result["status"], result["order_status"]) == ("SUCCESS", "FILLED")
    assert result["order_intent"]["strategy_key"] == "me"
    assert ask("submit", "BTC/USD", "buy", "0.01", "--strategy", "me", "--intent-id", "once") == result


def test_submit_says_what_the_answers_tell_an_operator_to_say(ask: Any) -> None:
    flags = ["--reduce-only", "--post-only", "--confirm", "P08_duplicate_content"]
    result = ask("submit", "BTC/USD", "sell", "0.01", *flags, "--strategy", "flagged", code=10)
    wanted = result["order_intent"]
    assert (wanted["reduce_only"], wanted["post_only"]) == (True, True)
    assert wanted["metadata"] == {"confirm": ["P08_duplicate_content"]}


def test_submit_tells_people_what_came_of_it(run: Run, served: Served) -> None:
    ended = run("submit", "BTC/USD", "SELL", "0.01", "--wait", "--config", served.config)

    assert ended.code == 0
    assert "✅ SUCCESS · order FILLED" in ended.out
    assert "filled 0.01 at 49999.5" in ended.out
    assert "answered" in ended.out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["BTC/USD", "buy", "0"], "INVALID"),
        (["BTC/USD", "buy", "-0.5"], "INVALID"),
        (["BTC/USD", "buy", "NaN"], "INVALID"),
        (["BTC/USD", "hold", "1"], "INVALID"),
        (["NOPE/USD", "buy", "1"], "INVALID"),
        (["BTC/USD", "buy", "1", "--type", "limit"], "INVALID"),
        (["BTC/USD", "buy", "1", "--tif", "forever"], "INVALID"),
        (["BTC/USD", "buy", "1", "--env", "live"], "BLOCKED_BY_GOVERNANCE"),
        (["BTC/USD", "buy", "1", "--env", "moon"], "BLOCKED_BY_ENVIRONMENT"),
        (["BTC/USD", "buy", "100"], "BLOCKED_BY_RISK"),
    ],
)
def test_what_is_not_accepted_is_10_and_says_why(
    run: Run, ask: Any, served: Served, arguments: list[str], status: str
) -> None:
    assert ask("submit", *arguments, "--wait", code=10)["status"] == status

    ended = run("submit", *arguments, "--config", served.config)
    assert ended.code == 10
    assert status in ended.out
    assert len(ended.out.splitlines()) >= 3, "why, and what to do"


def test_an_order_that_does_not_end_in_time_is_5(run: Run, ask: Any, served: Served) -> None:
    ended = run(
        "submit", "BTC/USD", "buy", "0.01", "--type", "limit", "--price", "30000",
        "--wait", "--timeout", "0.01", "--intent-id", "slow", "--config", served.config,
    )  # fmt: skip

    assert ended.code == 5
    assert "SUBMITTED" in ended.out
    assert "router order " in ended.err
    client_order_id = ended.err.rpartition("router order ")[2].strip()
    assert ask("cancel", client_order_id)["order"]["status"] == "CANCELLED"


def test_orders_and_order_tell_the_story(run: Run, ask: Any, served: Served) -> None:
    resting = ask("submit", "BTC/USD", "buy", "0.02", "--type", "limit", "--price", "31000.5")["client_order_id"]

    assert resting in {order["client_order_id"] for order in ask("orders", "--open")["orders"]}
    table = run("orders", "--config", served.config).out
    assert any(resting in line and "31000.5" in line for line in table.splitlines())
    story = ask("order", resting)
    assert story["order"]["status"] == "SUBMITTED"
    assert story["result"]["status"] == "SUCCESS"
    assert [event["event"] for event in story["events"]] == ["pending", "submitted", "answered"]
    assert "submitted" in run("order", resting, "--config", served.config).out

    ended = run("cancel", resting, "--reason", "tidy", "--config", served.config)
    assert "CANCELLED" in ended.out
    assert ask("order", resting)["events"][-1]["reason"] == "tidy"


def test_an_order_is_amended_and_what_cannot_be_is_said(run: Run, ask: Any, served: Served) -> None:
    resting = ask("submit", "BTC/USD", "buy", "0.01", "--type", "limit", "--price", "40000")["client_order_id"]
    assert ask("amend", resting, "--quantity", "0.02", "--price", "41000")["status"] == "SUCCESS"
    shown = ask("order", resting)["order"]
    assert (shown["quantity"], shown["price"]) == ("0.02", "41000")
    invalid = run("amend", resting, "--quantity", "0", "--config", served.config)
    assert invalid.code == 10
    assert "Quantity must be > 0" in invalid.out
    assert run("amend", resting, "--config", served.config).code == 2
    unknown = run("amend", "nobody", "--price", "1", "--config", served.config)
    assert unknown.code == 1
    assert "No order has the client_order_id nobody" in unknown.err
    ask("cancel", resting)


def test_cancel_all_takes_filters(run: Run, ask: Any, served: Served) -> None:
    limit = ("submit", "BTC/USD", "buy", "0.02", "--type", "limit", "--price", "32000", "--strategy")
    mine, other = ask(*limit, "mine")["client_order_id"], ask(*limit, "other")["client_order_id"]

    assert ask("cancel", "--all", "--strategy", "mine")["client_order_ids"] == [mine]
    assert ask("cancel", "--all", "--symbol", "ETH/USD")["client_order_ids"] == []
    assert other in run("cancel", "--all", "--config", served.config).out
    assert "No orders" not in run("orders", "--config", served.config).out
    assert ask("orders", "--open") == {"orders": []}


@pytest.mark.parametrize("name", ["order", "cancel"])
def test_an_unknown_order_is_an_error_that_names_it(run: Run, served: Served, name: str) -> None:
    ended = run(name, "U0", "--config", served.config)

    assert ended.code == 1
    assert "U0" in ended.err


def test_status_tells_how_the_router_is(run: Run, ask: Any, served: Served) -> None:
    document = ask("status")
    assert document["pid"] == served.process.pid
    assert all(check["ok"] for check in document["health"].values())

    text = run("status", "--config", served.config).out
    assert text.startswith("✅ OK · paper")
    assert str(served.process.pid) in text


def test_every_status_has_its_exit_code() -> None:
    codes = {
        status: exit_code(
            ExecutionResult(
                status=status,
                run_id="run",
                session_id="session",
                timestamp=datetime(2025, 1, 1, tzinfo=UTC),
                environment="paper",
                order_intent=OrderIntent(),
            )
        )
        for status in (*VERDICT_ONLY, S.SUBMITTED, S.REJECTED, S.ERROR)
    }

    assert {status for status, code in codes.items() if code == 0} == {S.SUCCESS, S.SUBMITTED}
    assert {status for status, code in codes.items() if code == 1} == {S.ERROR}
    assert {status for status, code in codes.items() if code == 10} == {*VERDICT_ONLY, S.REJECTED} - {S.SUCCESS}


@pytest.mark.parametrize("timeout", ["-1", "nan", "1e9"])
def test_an_impossible_timeout_is_refused_before_anything_is_sent(
    run: Run, served: Served, ask: Any, timeout: str
) -> None:
    arguments = ("BTC/USD", "buy", "0.01", "--type", "limit", "--price", "40000", "--wait", "--timeout", timeout)
    before = ask("orders")
    ended = run("submit", *arguments, "--config", served.config)

    assert (ended.code, "nothing was sent" in ended.err) == (2, True)
    assert ask("orders") == before
