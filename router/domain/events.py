"""Everything the journal can hold, as one tagged union: what happened, in the past tense.

An event is written once, encoded once, and the bytes journaled are the bytes published. The ``event`` tag is
the kind. This module must not know which event may follow which (``lifecycle``).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from router.domain.control import Closure, Halt, HaltScope
from router.domain.enums import ExecutionStatus, Liquidity, Severity
from router.domain.intent import OrderIntent, json_form
from router.domain.market import Quote
from router.domain.report import ExecutionReport
from router.domain.result import ExecutionResult


class StrategyMark(msgspec.Struct, frozen=True, gc=False):
    """What a strategy has gained since it began, at most and when the UTC day began, in the base currency."""

    gained: Decimal
    peak: Decimal
    day_start: Decimal


class AccountMark(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An account at our marks just after a fill, in the base currency: what survives of peak and day start.

    ``exposure`` is a fraction of equity. ``strategy``: the same of the order's strategy, where it has limits on what
    it may lose. ``estimated``: the currencies that no quote valued: they count by their fixed rate, or as nothing,
    in all of it.
    """

    equity: Decimal
    peak_equity: Decimal
    day_start_equity: Decimal
    exposure: Decimal
    strategy: StrategyMark | None = None
    estimated: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", gc=False):
    """``seq`` is the position in the journal, from 1; ``ts_recorded`` is our clock."""

    seq: int
    ts_recorded: datetime

    @property
    def event(self) -> str:
        """The kind, as in the journal."""
        return str(self.__struct_config__.tag)


class AccountOpened(Event, frozen=True, kw_only=True, tag="account_opened"):
    """An environment's account began with these balances, by currency."""

    environment: str
    balances: dict[str, Decimal]


class AccountMarked(Event, frozen=True, kw_only=True, tag="account_marked"):
    """An account at our marks without any order: a UTC day began, or the equity rose above what the journal knew.
    ``strategies``: of those that have limits on what they may lose."""

    environment: str
    account: AccountMark
    strategies: dict[str, StrategyMark] = {}


class ReportQuarantined(Event, frozen=True, kw_only=True, tag="report_quarantined"):
    """A report that could not be applied: kept whole, applied never."""

    report: ExecutionReport
    reason: str


class AlertRaised(Event, frozen=True, kw_only=True, tag="alert_raised"):
    """Somebody must look (runbook §8.3); delivered from here, never on the order path."""

    alert_id: str
    severity: Severity
    topic: str
    message: str
    client_order_id: str | None = None
    run_id: str | None = None


class Halted(Event, frozen=True, kw_only=True, tag="halted"):
    """New orders and amendments are refused inside the halt's scope (``controls.md`` A04)."""

    halt: Halt


class Resumed(Event, frozen=True, kw_only=True, tag="resumed"):
    """A named operator ended the halt of exactly this scope (``controls.md`` A05). ``gained``: by environment, what a
    strategy that was halted for its losses had gained: they are counted from there on."""

    scope: HaltScope
    name: str
    operator: str
    reason: str
    gained: dict[str, Decimal] = {}


class SessionClosed(Event, frozen=True, kw_only=True, tag="session_closed"):
    """An environment takes nothing but what reduces, by a limit or an operator (runbook §8.3)."""

    closure: Closure


class SessionOpened(Event, frozen=True, kw_only=True, tag="session_opened"):
    """A named operator opened the session again. ``peak_equity``: the drawdown is counted from here on; None: as
    before."""

    environment: str
    operator: str
    reason: str
    peak_equity: Decimal | None = None


class LimitsRead(Event, frozen=True, kw_only=True, tag="limits_read"):
    """The files' limits, by key, when they differ from what the journal knew."""

    limits: dict[str, str]


class LimitChanged(Event, frozen=True, kw_only=True, tag="limit_changed"):
    """A limit in force has another value; ``operator`` is "configuration" for a change in the files. ``None``: there
    was, or is, no such limit. ``is_override``: the new value counts until the files' own changes."""

    key: str
    old: str | None
    new: str | None
    operator: str
    reason: str
    is_override: bool = False


class Checkpoint(Event, frozen=True, kw_only=True, tag="checkpoint"):
    """Everything up to ``at_seq`` leads to the state with this SHA-256, in the encoding ``state_version``. The state
    is stored beside the events, so that a start replays only what follows."""

    at_seq: int
    state_digest: str
    state_version: int


class OrderEvent(Event, frozen=True, kw_only=True):
    """Something about one submission. The quantities are the order's after the event (FIX CumQty, LeavesQty);
    ``last_*`` belong to a fill; ``ts_event`` is the venue's or the recording's time."""

    run_id: str
    status: ExecutionStatus
    client_order_id: str | None = None
    ts_event: datetime | None = None
    filled_quantity: Decimal | None = None
    leaves_quantity: Decimal | None = None
    last_quantity: Decimal | None = None
    last_price: Decimal | None = None
    reason: str | None = None


class Pending(OrderEvent, frozen=True, kw_only=True, tag="pending"):
    """All gates passed; durable before any executor hears of it. ``reference`` is the quote the gates saw, ``account``
    how the account stood then: what a peak without a fill is rebuilt from; ``ts_event`` is the market's time.
    ``risk_skipped``: the sender had the risk limits passed over (``risk_check_override``)."""

    intent: OrderIntent
    environment: str
    session_id: str
    reference: Quote | None = None
    account: AccountMark | None = None
    risk_skipped: bool = False


class Submitted(OrderEvent, frozen=True, kw_only=True, tag="submitted"):
    """The executor accepted the order."""

    venue_order_id: str | None = None


class _Fill(OrderEvent, frozen=True, kw_only=True):
    """``cumulative_quantity`` is the venue's own count after the trade, where it told one."""

    trade_id: str
    cumulative_quantity: Decimal | None = None
    fee: Decimal = Decimal(0)
    fee_currency: str | None = None
    liquidity: Liquidity | None = None
    account: AccountMark | None = None


class PartiallyFilled(_Fill, frozen=True, kw_only=True, tag="partially_filled"):
    """A fill that leaves something working."""


class Filled(_Fill, frozen=True, kw_only=True, tag="filled"):
    """The fill that leaves nothing."""


class TradeBusted(OrderEvent, frozen=True, kw_only=True, tag="trade_busted"):
    """The venue took the trade ``trade_id`` back: ``last_*`` and ``fee`` are what it was."""

    trade_id: str
    fee: Decimal = Decimal(0)
    fee_currency: str | None = None
    account: AccountMark | None = None


class TradeCorrected(_Fill, frozen=True, kw_only=True, tag="trade_corrected"):
    """The venue changed the trade ``corrects``, which was ``previous_*``, into ``trade_id``, which is ``last_*``."""

    corrects: str
    previous_quantity: Decimal
    previous_price: Decimal
    previous_fee: Decimal = Decimal(0)


class PendingCancel(OrderEvent, frozen=True, kw_only=True, tag="pending_cancel"):
    """We ask the executor to end the order; ``expires``: because its time in force has passed."""

    expires: bool = False


class CancelRejected(OrderEvent, frozen=True, kw_only=True, tag="cancel_rejected"):
    """The executor refused to end the order."""


class PendingReplace(OrderEvent, frozen=True, kw_only=True, tag="pending_replace"):
    """We ask the executor for other terms; durable before it hears of it."""

    request_id: str
    quantity: Decimal
    price: Decimal | None = None


class Replaced(OrderEvent, frozen=True, kw_only=True, tag="replaced"):
    """Other terms are in force; without ``request_id`` nobody had asked for them (FIX restatement)."""

    quantity: Decimal
    price: Decimal | None = None
    request_id: str | None = None


class ReplaceRejected(OrderEvent, frozen=True, kw_only=True, tag="replace_rejected"):
    """The terms asked for are refused, or proved never to have come into force."""

    request_id: str


class Overdue(OrderEvent, frozen=True, kw_only=True, tag="overdue"):
    """The executor gave no evidence of the order inside its window (spec §7); the look-up is repeated."""


class Cancelled(OrderEvent, frozen=True, kw_only=True, tag="cancelled"):
    """The executor confirmed the end of the order; what was filled stays filled. Not ``handed_over``: it was stopped
    on its way, no executor ever heard of it."""

    handed_over: bool = True


class Expired(OrderEvent, frozen=True, kw_only=True, tag="expired"):
    """The order's time was over, or IOC/FOK/market left a rest."""


class Rejected(OrderEvent, frozen=True, kw_only=True, tag="rejected"):
    """The executor or venue refused the order, or is proved never to have had it."""


class Errored(OrderEvent, frozen=True, kw_only=True, tag="errored"):
    """Our own failure ended the order before any executor heard of it."""


class OutcomeUnknown(OrderEvent, frozen=True, kw_only=True, tag="outcome_unknown"):
    """Handed over, no proof of what became of it; only venue evidence ends this (spec §4)."""


class Answered(OrderEvent, frozen=True, kw_only=True, tag="answered"):
    """The one verdict on a submission, verbatim: a repeated intent_id is answered from here."""

    result: ExecutionResult


class AmendmentAnswered(OrderEvent, frozen=True, kw_only=True, tag="amendment_answered"):
    """The verdict on a request for other terms; the order's own answer stays what it was."""

    result: ExecutionResult


Fill: TypeAlias = PartiallyFilled | Filled
TRADES: Final = (PartiallyFilled, Filled, TradeBusted, TradeCorrected)
"""The events that change what an order has traded."""
AnyEvent: TypeAlias = (
    AccountOpened
    | AccountMarked
    | ReportQuarantined
    | AlertRaised
    | Halted
    | Resumed
    | SessionClosed
    | SessionOpened
    | LimitsRead
    | LimitChanged
    | Checkpoint
    | Pending
    | Submitted
    | PartiallyFilled
    | Filled
    | TradeBusted
    | TradeCorrected
    | PendingCancel
    | CancelRejected
    | PendingReplace
    | Replaced
    | ReplaceRejected
    | Overdue
    | Cancelled
    | Expired
    | Rejected
    | Errored
    | OutcomeUnknown
    | Answered
    | AmendmentAnswered
)

_encoder = msgspec.json.Encoder(enc_hook=json_form, decimal_format="string")
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode_event(event: Event) -> bytes:
    """Return the event as one JSON object without line breaks."""
    return _encoder.encode(event)


def decode_event(payload: bytes | str) -> AnyEvent:
    """Return the event that ``encode_event`` wrote; raises ``msgspec.DecodeError`` for anything else."""
    return _decoder.decode(payload)
