"""Commands that talk to the running router over its Unix socket.

This module must not know HTTP, nor judge an order itself: it sends what was typed and shows the answer.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from router.cli.common import (
    DEFAULTS,
    CommandError,
    Common,
    ExitCode,
    Number,
    plain_number,
    say,
    show_json,
    show_table,
)
from router.cli.operate import closure_text, halt_text
from router.domain.enums import ExecutionStatus
from router.domain.events import OrderEvent
from router.domain.intent import OrderIntent
from router.domain.order import Order, order_document
from router.domain.result import ExecutionResult
from router.gateway.client import OrderStory, Stopped
from router.operations.actions import explain

_LONGEST_WAIT_S: Final = 3600
_ACCEPTED: Final = frozenset({ExecutionStatus.SUCCESS, ExecutionStatus.SUBMITTED})


async def submit(
    symbol: str,
    side: str,
    quantity: Number,
    *,
    type_: Annotated[str, Parameter(name="--type")] = "market",
    price: Number | None = None,
    tif: str = "GTC",
    strategy: str | None = None,
    intent_id: str | None = None,
    env: str | None = None,
    reduce_only: Annotated[bool, Parameter(negative=())] = False,
    post_only: Annotated[bool, Parameter(negative=())] = False,
    confirm: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    wait: bool = False,
    timeout: float = 30.0,  # noqa: ASYNC109 - the name of the option
    common: Common = DEFAULTS,
) -> int:
    """Send one order to the running router.

    Args:
        symbol: As the venues' unified name, e.g. BTC/USD.
        side: buy or sell.
        quantity: In base units.
        type_: market or limit.
        price: In quote units; limit orders need one.
        tif: Time in force: GTC, IOC, FOK or DAY.
        strategy: Who asks; limits, logs and cancels are scoped by it.
        intent_id: Idempotency key: the same one again is the same order.
        env: paper, shadow or testnet; default is the router's.
        reduce_only: Leave only if it makes a position smaller.
        post_only: Be refused rather than take.
        confirm: The soft block that this order is to pass, e.g. P08_duplicate_content; may be given again.
        wait: Wait until the order has ended.
        timeout: Seconds that --wait waits.
    """
    intent = OrderIntent(
        symbol=symbol,
        side=side.lower(),
        quantity=quantity,
        order_type=type_.lower(),
        price=price,
        time_in_force=tif.upper(),
        strategy_key=strategy,
        intent_id=intent_id,
        environment=env,
        reduce_only=reduce_only,
        post_only=post_only,
        metadata={"confirm": list(confirm)} if confirm else {},
    )
    if not 0 <= timeout <= _LONGEST_WAIT_S:
        raise CommandError(f"--timeout must be from 0 to {_LONGEST_WAIT_S} seconds; nothing was sent", ExitCode.USAGE)
    return await _sent(intent, wait, timeout, common)


async def _sent(intent: OrderIntent, wait: bool, timeout: float, common: Common) -> int:  # noqa: ASYNC109 - see submit
    """Send the intent, show what came of it, and return how the command ends."""
    async with common.client() as client:
        result = await client.submit_order(intent)
        if result.status not in _ACCEPTED or not wait or result.client_order_id is None:
            _show_result(result, common)
            return exit_code(result)
        try:
            story = await client.wait_for(result.client_order_id, timeout=timeout)
        except TimeoutError:
            _show_result(result, common)
            raise CommandError(
                f"order {result.client_order_id} has not ended within {timeout:g} s; it goes on. "
                f"Look again: router order {result.client_order_id}",
                ExitCode.TIMEOUT,
            ) from None
    _show_story(story, common)
    return exit_code(result)


def exit_code(result: ExecutionResult) -> int:
    """Return how ``submit`` ends with this answer."""
    if result.status in _ACCEPTED:
        return ExitCode.DONE
    return ExitCode.ERROR if result.status is ExecutionStatus.ERROR else ExitCode.NOT_ACCEPTED


async def orders(
    *, open_: Annotated[bool, Parameter(name="--open", negative=())] = False, common: Common = DEFAULTS
) -> None:
    """List open and recently ended orders.

    Args:
        open_: Only those that can still trade.
    """
    async with common.client() as client:
        found = await client.orders(open_only=open_)
    if common.json:
        return show_json({"orders": [order_document(order) for order in found]})
    if not found:
        return say("No orders.")
    return show_table(_ORDER_TITLES, map(_order_row, found), right=_ORDER_NUMBERS)


_ORDER_NUMBERS: Final = ("Quantity", "Filled", "Price", "Average")
_ORDER_TITLES: Final = ("Order", "Status", "Symbol", "Side", "Type", "TIF", *_ORDER_NUMBERS, "Strategy", "Env")


def _order_row(order: Order) -> tuple[object, ...]:
    return (
        order.client_order_id,
        f"{explain(order.status).icon} {order.status}{_sub_states(order)}",
        order.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        plain_number(order.quantity),
        plain_number(order.filled_quantity),
        plain_number(order.price),
        _rounded(order.average_price),
        order.strategy_key,
        order.environment,
    )


def _sub_states(order: Order) -> str:
    """Return what is not settled about an order, behind its status."""
    unsettled = {
        " ? outcome unknown": order.outcome_unknown,
        " · cancel pending": order.pending_cancel,
        " · replace pending": order.pending_replaces,
    }
    return "".join(text for text, holds in unsettled.items() if holds)


async def order(client_order_id: str, *, common: Common = DEFAULTS) -> None:
    """Tell one order's story.

    Args:
        client_order_id: As printed by submit and orders.
    """
    async with common.client() as client:
        _show_story(await client.order(client_order_id), common)


async def amend(
    client_order_id: str,
    *,
    quantity: Number | None = None,
    price: Number | None = None,
    common: Common = DEFAULTS,
) -> int:
    """Ask for another quantity or price of a working limit order.

    Args:
        client_order_id: As printed by submit and orders.
        quantity: The new total in base units, what has traded included.
        price: The new limit in quote units.
    """
    if quantity is None and price is None:
        raise CommandError("give --quantity, --price or both; nothing was sent", ExitCode.USAGE)
    async with common.client() as client:
        result = await client.amend_order(client_order_id, quantity=quantity, price=price)
    _show_result(result, common)
    return exit_code(result)


async def cancel(
    client_order_id: str | None = None,
    *,
    all_: Annotated[bool, Parameter(name="--all", negative=())] = False,
    symbol: str | None = None,
    strategy: str | None = None,
    environment: str | None = None,
    reason: str = "operator",
    common: Common = DEFAULTS,
) -> None:
    """Cancel one order, or all that match.

    Args:
        client_order_id: The order to cancel.
        all_: Cancel every open order that --symbol, --strategy and --environment leave.
        symbol: Only this symbol's.
        strategy: Only this strategy's.
        environment: Only this environment's.
        reason: Kept in the journal.
    """
    if all_ == (client_order_id is not None):
        raise CommandError("name one order, or say --all", ExitCode.USAGE)
    if client_order_id is not None and (symbol or strategy or environment):
        raise CommandError("--symbol, --strategy and --environment go with --all", ExitCode.USAGE)
    async with common.client() as client:
        if client_order_id is None:
            ids = await client.cancel_all(symbol=symbol, strategy_key=strategy, environment=environment, reason=reason)
            if common.json:
                return show_json({"client_order_ids": ids})
            return say("\n".join([f"{len(ids)} asked to end", *ids]))
        cancelled = await client.cancel_order(client_order_id, reason=reason)
    if common.json:
        return show_json({"order": order_document(cancelled)})
    return say(
        f"{explain(cancelled.status).icon} {cancelled.client_order_id} is {cancelled.status}{_sub_states(cancelled)}"
    )


async def status(*, common: Common = DEFAULTS) -> int:
    """Tell how the running router is; exit code 1 when a health check is red."""
    async with common.client() as client:
        document = await client.status()
    red = [name for name, check in document["health"].items() if not check["ok"]]
    if common.json:
        show_json(document)
    else:
        _show_status(document, red)
    return ExitCode.ERROR if red else ExitCode.DONE


def _show_status(document: dict[str, Any], red: list[str]) -> None:
    risk = document["risk"]
    say(f"{'🚨 ' + ', '.join(red) if red else '✅ OK'} · {document['env']} · {document['session_id']}")
    stopped = msgspec.convert(document, Stopped)
    for text in (*map(halt_text, stopped.halts), *map(closure_text, stopped.closed_sessions)):
        say(f"🚨 {text}")
    say(f"pid {document['pid']} · journal {document['journal']}")
    say(f"{document['open_orders']} open orders, {document['outcome_unknown']} with unknown outcome")
    if risk is not None:
        say(f"equity {_rounded(risk['equity'])} · drawdown {_rounded(risk['drawdown'])}")
    for name, check in document["health"].items():
        say(f"  {'✅' if check['ok'] else '🚨'} {name}: {check['detail']}")
    for symbol, position in document["positions"].items():
        say(f"  {symbol}: {position['quantity']} at {_rounded(position['average_price'])}")


def _show_result(result: ExecutionResult, common: Common) -> None:
    if common.json:
        return show_json(result)
    action = explain(result.status)
    state = "" if result.order_status is None else f" · order {result.order_status}"
    say(f"{action.icon} {result.status}{state} · {result.client_order_id or '–'} · {result.run_id}")
    if result.filled_quantity:
        say(f"   filled {plain_number(result.filled_quantity)} at {_rounded(result.average_price)}")
    refusal = result.validation_error or result.violation
    if refusal:
        say(f"   {refusal}{f' ({result.invalid_field})' if result.invalid_field else ''}")
    if result.reason and result.reason != refusal:
        say(f"   {result.reason}")
    if result.status not in _ACCEPTED:
        say(f"   {action.action}")
    return None


def _show_story(story: OrderStory, common: Common) -> None:
    if common.json:
        order = None if story.order is None else order_document(story.order)
        return show_json({"order": order, "result": story.result, "events": story.events})
    if story.order is not None:
        show_table(_ORDER_TITLES, [_order_row(story.order)], right=_ORDER_NUMBERS)
    if story.result is not None:
        _show_result(story.result, common)
    rows = (_event_row(event) for event in story.events if isinstance(event, OrderEvent))
    return show_table(("Seq", "Time", "Event", "Status", "Last", "At", "Filled", "Left", "Reason"), rows)


def _event_row(event: OrderEvent) -> tuple[object, ...]:
    return (
        event.seq,
        f"{event.ts_recorded:%H:%M:%S.%f}"[:-3],
        event.event,
        event.status,
        plain_number(event.last_quantity),
        plain_number(event.last_price),
        plain_number(event.filled_quantity),
        plain_number(event.leaves_quantity),
        event.reason,
    )


def _rounded(number: Decimal | str | None) -> str:
    """Return a derived number with at most 8 decimals; the exact one is in --json."""
    if number is None:
        return "–"
    return plain_number(Decimal(number).quantize(Decimal("1e-8")))
