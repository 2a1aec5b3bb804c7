"""The closed vocabularies of the contract: sides, types, times in force, environments, the 14 statuses.

Members are strings, so they compare, encode and print as the words operators read in the runbook (§4).
This module must not know what any status means for an order's life (``lifecycle``) or an operator (``operations``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class OrderSide(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> OrderSide:
        """The other side."""
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """How long an order may work; DAY ends at 00:00 UTC, GTD at ``expire_at`` (spec §4)."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    DAY = "DAY"
    GTD = "GTD"


class Environment(StrEnum):
    """Where an order may go. ``live`` is a name only: it is locked and has no executor (runbook §2)."""

    PAPER = "paper"
    SHADOW = "shadow"
    TESTNET = "testnet"
    LIVE = "live"


class ExecutionStatus(StrEnum):
    """The runbook's 14 statuses (§4.1). BLOCKED_BY_*: we refused; REJECTED: the executor or venue refused."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    FILLED = "FILLED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    SUCCESS = "SUCCESS"
    BLOCKED_BY_GOVERNANCE = "BLOCKED_BY_GOVERNANCE"
    BLOCKED_BY_RISK = "BLOCKED_BY_RISK"
    BLOCKED_BY_SAFETY = "BLOCKED_BY_SAFETY"
    BLOCKED_BY_ENVIRONMENT = "BLOCKED_BY_ENVIRONMENT"
    INVALID = "INVALID"
    ERROR = "ERROR"
    EXPIRED = "EXPIRED"


class Liquidity(StrEnum):
    """Whether a fill took liquidity or made it; decides the fee."""

    MAKER = "maker"
    TAKER = "taker"


class ExecType(StrEnum):
    """What an execution report says happened, in FIX's words (tag 150; 35=9 for the two refusals of a request).

    ORDER_STATUS answers a look-up with the order as the venue sees it; NOT_FOUND answers that the venue does not
    know the order, which proves nothing yet (``ccxt_facts.md`` §3). RESTATED is the venue's picture of an order that
    nobody asked for: a stream may bring it late, so no request is judged by it.
    """

    NEW = "new"
    TRADE = "trade"
    TRADE_CANCEL = "trade_cancel"
    TRADE_CORRECT = "trade_correct"
    REPLACED = "replaced"
    CANCELED = "canceled"
    EXPIRED = "expired"
    DONE_FOR_DAY = "done_for_day"
    REJECTED = "rejected"
    CANCEL_REJECTED = "cancel_rejected"
    REPLACE_REJECTED = "replace_rejected"
    ORDER_STATUS = "order_status"
    RESTATED = "restated"
    NOT_FOUND = "not_found"


class Severity(StrEnum):
    """How urgent an alert is (runbook §8.3)."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


_S = ExecutionStatus
OPEN: Final = frozenset({_S.PENDING, _S.SUBMITTED, _S.PARTIALLY_FILLED})
"""An order with one of these statuses can still trade; its exposure stays reserved."""
TERMINAL: Final = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED, _S.ERROR})
"""An order with one of these statuses has ended."""
VERDICT_ONLY: Final = frozenset(_S) - OPEN - TERMINAL
"""Answers to a submission that are never an order's state: SUCCESS, INVALID and the four BLOCKED_BY_*."""
