"""Stage 1: a raw intent becomes a strict Order, or INVALID naming the field (spec §4, runbook §8.1).

Refuse, never round silently. The messages are the contract's, to the letter; ``reason`` says more.
This module must not know environments, limits of the portfolio or executors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from router.domain.enums import ExecutionStatus, OrderSide, OrderType, TimeInForce
from router.domain.intent import OrderIntent, safe_repr
from router.domain.market import Instrument, Quote
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.market.instruments import likely_symbol
from router.middleware import Fault, Next, Submission

Word = TypeVar("Word", OrderSide, OrderType, TimeInForce)
_MAX_DIGITS = 15  # before the decimal point; more is no price, and slow to calculate with
_TEXT_LIMIT = 128  # characters


class InvalidIntentError(Exception):
    """An intent that is no order; ``fault`` says why."""

    def __init__(self, field: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.fault = Fault(field, message, reason or f"{message} ({field})")


class Validation:
    """Turns ``submission.intent`` into ``submission.order``.

    Args:
        instruments: what may be traded.
        quote: the last quote of a symbol, for the notional of a market order; None: not checked here.
        venues: by environment: an instrument of ours -> the venue's own rules for it, None: it does not list it.
    """

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        quote: Callable[[str], Quote | None],
        venues: Mapping[str, Callable[[Instrument], Instrument | None]] = MappingProxyType({}),
    ) -> None:
        self._instruments = instruments
        self._quote = quote
        self._venues = venues

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        fault = submission.fault
        if fault is None:
            try:
                submission.order = self.order(submission)
            except InvalidIntentError as invalid:
                fault = invalid.fault
        if fault is not None:
            return submission.answer(
                ExecutionStatus.INVALID,
                validation_error=fault.message,
                invalid_field=fault.field,
                reason=f"{fault.reason}. Fix the strategy; do not retry unchanged.",
            )
        return await call_next(submission)

    def order(self, submission: Submission) -> Order:
        """Return the order that the intent asks for, checked against its instrument; raises InvalidIntentError."""
        intent = submission.intent
        _whole(intent)
        instrument = self._instrument(intent.symbol)
        order = order_from(submission)
        self._check_steps(order, instrument)
        if submission.environment in self._venues:
            self._check_steps(order, self._listed(instrument, submission.environment))
        if submission.amends is not None:
            return _amended(submission.amends, order)
        if order.expire_at is not None and order.expire_at <= submission.received_at:
            raise InvalidIntentError("expire_at", "GTD orders require expire_at", "expire_at must lie in the future")
        return order

    def _instrument(self, symbol: Any) -> Instrument:
        if symbol is None or symbol == "":
            raise InvalidIntentError("symbol", "Symbol required")
        instrument = self._instruments.get(symbol) if isinstance(symbol, str) else None
        if instrument is None:
            likely = likely_symbol(symbol, self._instruments) if isinstance(symbol, str) else None
            hint = f"; likely {likely} is meant" if likely else "; see config/instruments.toml for the known ones"
            raise InvalidIntentError("symbol", "Unknown symbol", f"Unknown symbol {safe_repr(symbol)}{hint}")
        if not instrument.tradable:
            raise InvalidIntentError("symbol", "Symbol not tradable", f"{symbol} is marked tradable = false")
        return instrument

    def _listed(self, instrument: Instrument, environment: str) -> Instrument:
        """Return the venue's own rules for the instrument (runbook §5.2: a delisted symbol is INVALID)."""
        listed = self._venues[environment](instrument)
        if listed is None:
            raise InvalidIntentError(
                "symbol",
                "Symbol not tradable",
                f"the {environment} venue does not list {instrument.symbol}: remove it from the strategy and from "
                "instruments.toml",
            )
        return listed

    def _check_steps(self, order: Order, instrument: Instrument) -> None:
        _check_quantity(order.quantity, instrument)
        if order.order_type is OrderType.LIMIT and order.price is not None and order.price % instrument.tick_size:
            raise InvalidIntentError("price", f"Price is not a multiple of tick size {instrument.tick_size}")
        self._check_notional(order, instrument)

    def _check_notional(self, order: Order, instrument: Instrument) -> None:
        price = order.price
        if price is None:
            quote = self._quote(instrument.symbol)
            if quote is None:
                return  # without a reference price the safety stage blocks
            price = quote.touch(order.side)
        notional = order.quantity * price
        if notional < instrument.min_notional:
            raise InvalidIntentError(
                "quantity",
                f"Notional below minimum {instrument.min_notional}",
                f"{order.quantity} at {price} is {notional} {instrument.quote}, below {instrument.min_notional}",
            )


def order_from(submission: Submission) -> Order:
    """Return the intent's fields as a strict order, without any instrument's rules; raises InvalidIntentError.

    It is also how a restart rebuilds an order from its journaled intent: same input, same order.
    """
    intent = submission.intent
    assert submission.client_order_id is not None, "an intent without a usable intent_id is refused before"
    side = _word(OrderSide, intent.side, "side", "Invalid side")
    order_type = _word(OrderType, intent.order_type, "order_type", "Invalid order_type")
    time_in_force = _word(TimeInForce, intent.time_in_force, "time_in_force", "Invalid time_in_force")
    return Order(
        client_order_id=submission.client_order_id,
        run_id=submission.run_id,
        symbol=intent.symbol,
        side=side,
        order_type=order_type,
        quantity=_quantity(intent.quantity),
        price=_price(intent.price, order_type),
        time_in_force=time_in_force,
        expire_at=_expiry(intent.expire_at, time_in_force, submission.received_at),
        environment=submission.environment,
        strategy_key=_text(intent.strategy_key, "strategy_key"),
        reduce_only=_flag(intent.reduce_only, "reduce_only"),
        post_only=_flag(intent.post_only, "post_only"),
        created_at=submission.received_at,
        updated_at=submission.received_at,
    )


def _amended(working: Order, wanted: Order) -> Order:
    """Return ``working`` with the terms of ``wanted``; raises InvalidIntentError when it cannot be amended."""
    if not working.is_open:
        raise InvalidIntentError("client_order_id", "Order has ended", f"the order is {working.status}")
    if working.order_type is not OrderType.LIMIT:
        raise InvalidIntentError("client_order_id", "Only limit orders can be amended")
    if working.outcome_unknown:
        raise InvalidIntentError("client_order_id", "Outcome unknown", "the order is being looked up; ask again then")
    if working.pending_replaces:  # FIX CxlRejReason 3; two whose answers are lost could not be told apart
        raise InvalidIntentError("client_order_id", "A replacement is pending", "wait for its answer, then ask again")
    if (wanted.quantity, wanted.price) == (working.quantity, working.price):
        raise InvalidIntentError("quantity", "Nothing to amend", "these terms are in force already")
    if wanted.quantity < working.filled_quantity:
        raise InvalidIntentError(
            "quantity",
            f"Quantity below filled quantity {working.filled_quantity}",
            f"{working.filled_quantity} have traded; cancel the order to keep the rest from trading",
        )
    return msgspec.structs.replace(working, quantity=wanted.quantity, price=wanted.price)


def intent_for(order: Order, quantity: Any = None, price: Any = None) -> OrderIntent:
    """Return the intent that asks for ``order`` with another quantity or price."""
    return OrderIntent(
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity if quantity is None else quantity,
        order_type=order.order_type,
        price=order.price if price is None else price,
        time_in_force=order.time_in_force,
        expire_at=order.expire_at if order.time_in_force is TimeInForce.GTD else None,
        strategy_key=order.strategy_key,
        environment=order.environment,
        reduce_only=order.reduce_only,
        post_only=order.post_only,
    )


def _whole(intent: OrderIntent) -> None:
    """Refuse what was no intent at all, and fields that nobody knows."""
    metadata = intent.metadata
    if not isinstance(metadata, dict):
        raise InvalidIntentError("metadata", "metadata must be a mapping", f"metadata is {safe_repr(metadata)}")
    if "unknown_fields" in metadata:
        raise InvalidIntentError(
            "metadata", "Unknown field", f"unknown fields: {safe_repr(metadata['unknown_fields'])}"
        )
    if intent.symbol is None and "received" in metadata:
        raise InvalidIntentError(
            "symbol", "Symbol required", f"received {metadata['received']}, which is not an OrderIntent"
        )


def _word(words: type[Word], value: Any, field: str, message: str) -> Word:
    """Return the member of ``words`` that ``value`` names in any case."""
    if isinstance(value, words):
        return value
    if isinstance(value, str):
        for word in words.__members__.values():
            if value == word or value.lower() == word.lower():
                return word
    raise InvalidIntentError(field, message, f"{message} {safe_repr(value)}: use one of {', '.join(words)}")


def _quantity(value: Any) -> Decimal:
    if not isinstance(value, Decimal):
        raise InvalidIntentError("quantity", "Quantity must be a number", f"quantity is {safe_repr(value)}")
    if not value.is_finite():
        raise InvalidIntentError("quantity", "Quantity must be a finite number", f"quantity is {value}")
    if value == 0:
        raise InvalidIntentError("quantity", "Quantity must be > 0", f"quantity is {value}")
    if value < 0:
        raise InvalidIntentError("quantity", "Quantity must be positive", f"quantity is {value}; side says buy or sell")
    return value


def _check_quantity(quantity: Decimal, instrument: Instrument) -> None:
    if quantity > instrument.max_quantity:
        raise InvalidIntentError(
            "quantity", f"Quantity above maximum {instrument.max_quantity}", f"quantity is {quantity:.12g}"
        )
    if quantity % instrument.lot_size:
        raise InvalidIntentError(
            "quantity",
            f"Quantity is not a multiple of lot size {instrument.lot_size}",
            f"quantity is {quantity:.28g}; the router never rounds",
        )
    if quantity < instrument.min_quantity:
        raise InvalidIntentError(
            "quantity", f"Quantity below minimum {instrument.min_quantity}", f"quantity is {quantity}"
        )


def _price(value: Any, order_type: OrderType) -> Decimal | None:
    if value is None:
        if order_type is OrderType.LIMIT:
            raise InvalidIntentError("price", "Limit orders require price")
        return None
    if not isinstance(value, Decimal) or not value.is_finite() or value <= 0 or value.adjusted() > _MAX_DIGITS:
        raise InvalidIntentError("price", "Price must be positive", f"price is {safe_repr(value)}")
    return value


def _expiry(value: Any, time_in_force: TimeInForce, received_at: datetime) -> datetime | None:
    """Return when the order ends: ``expire_at`` for GTD, the next 00:00 UTC for DAY, else None."""
    if time_in_force is TimeInForce.GTD:
        moment = _moment(value)
        if moment is None:
            raise InvalidIntentError(
                "expire_at",
                "GTD orders require expire_at",
                f"expire_at is {safe_repr(value)}; give a datetime with a time zone, or ISO text",
            )
        return moment
    if value is not None:
        raise InvalidIntentError(
            "time_in_force", "Invalid time_in_force", f"expire_at goes with GTD only, not {time_in_force}"
        )
    if time_in_force is TimeInForce.DAY:
        midnight = received_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=1)
    return None


def _moment(value: Any) -> datetime | None:
    """Return an aware datetime in UTC from one, or from ISO text; None for anything else."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return None


def _text(value: Any, field: str) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= _TEXT_LIMIT):
        return value
    raise InvalidIntentError(field, f"{field} must be text", f"{field} is {safe_repr(value)}")


def _flag(value: Any, field: str) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidIntentError(field, f"{field} must be true or false", f"{field} is {safe_repr(value)}")
