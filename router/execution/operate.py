"""What operators order, carried out: in force at once, cancels sent in the same breath, answered once durable.

What stops is never held up by the journal, what starts again waits for it. This module must not know what a halt
keeps from leaving, how a limit is measured, or who asks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from router.clock import Clock
from router.domain.control import Closure, Halt, HaltScope, Ordered
from router.domain.enums import OrderSide
from router.domain.order import ZERO, Order
from router.errors import ExecutionPipelineError, JournalError
from router.execution.cancels import CancelLane
from router.execution.orders import Orders
from router.execution.standing import Standing
from router.journal.base import Journal
from router.logs import RouterLogger
from router.risk.consequences import STRATEGY_LOSS


class AccountView(msgspec.Struct, frozen=True):
    """What halts and sessions must know of the accounts.

    Args:
        still_closed_by: why a limit would close an environment's session again at once, also if its peak is reset, or
            None.
        equity: what an environment's drawdown would be counted from.
        gained: by environment, what a strategy has gained.
        position: what an environment holds of a symbol.
    """

    still_closed_by: Callable[[str, bool], str | None]
    equity: Callable[[str], Decimal]
    gained: Callable[[str], Mapping[str, Decimal]]
    position: Callable[[str, str], Decimal]


class Operations:
    """Carries out halts, resumes, and the closing and opening of sessions.

    Args:
        venues: the venue of each enabled environment.
        symbols: of the instruments there are.
        strategies: that are registered; others may trade too, or not: this does not decide it.
        account: asked before a session opens.
        resumed: told of every halt that has ended.
    """

    def __init__(
        self,
        standing: Standing,
        orders: Orders,
        cancels: CancelLane,
        journal: Journal,
        clock: Clock,
        log: RouterLogger,
        *,
        venues: Mapping[str, str],
        symbols: Collection[str],
        strategies: Collection[str],
        account: AccountView,
        resumed: Callable[[HaltScope, str], None],
    ) -> None:
        self._standing = standing
        self._orders = orders
        self._cancels = cancels
        self._journal = journal
        self._clock = clock
        self._log = log
        self._venues = venues
        self._strategies = strategies
        self._account = account
        self._resumed = resumed
        self._known: Mapping[HaltScope, Collection[str]] = {
            HaltScope.ENVIRONMENT: venues.keys(),
            HaltScope.VENUE: venues.values(),
            HaltScope.SYMBOL: symbols,
        }

    # -- what stops ----------------------------------------------------------------------------------------

    async def halt(
        self,
        scope: HaltScope | str = HaltScope.ALL,
        name: str = "",
        *,
        operator: str,
        reason: str,
        allow_reducing: bool = False,
        cancel: bool = False,
    ) -> Ordered:
        """Refuse new orders and amendments inside ``scope``, queued ones too; returns once that is durable.

        Args:
            scope: ``all`` is the kill switch.
            name: of the environment, strategy, symbol or venue; "" for all.
            operator: who orders it.
            reason: kept in the journal.
            allow_reducing: orders that strictly reduce a position may leave.
            cancel: ask for the end of what works inside the scope, but not of reduce-only orders that may still leave.

        Raises:
            ExecutionPipelineError: a name or the reason is not to be had, and nothing was halted; or it says that
                the halt is in force and which orders could not be cancelled.
            JournalError: the halt is in force in this process, but a restart would forget it.
        """
        scope = _scope(scope)
        self._check(scope, name)
        halt = self._standing.halt(
            scope, name, operator=operator, reason=reason, allow_reducing=allow_reducing, cancel=cancel
        )
        what = f"The halt of {halt.what}"
        orders = self._inside(halt) if cancel else []
        await self._stop(what, orders, f"halted: {reason}")
        await self.enforce()
        return Ordered(halt=halt, cancelled=orders, still_halted=self._standing.in_force(), note=self._doubt(halt))

    async def close_session(self, environment: str, *, operator: str, reason: str, cancel: bool = False) -> Ordered:
        """Take no orders in ``environment`` but reduce-only ones that reduce; returns once that is durable.

        Args:
            environment: whose session.
            operator: who orders it.
            reason: kept in the journal.
            cancel: ask for the end of what works there and is not reduce-only.

        Raises:
            ExecutionPipelineError: as for ``halt``.
            JournalError: as for ``halt``.
        """
        self._check(HaltScope.ENVIRONMENT, environment)
        closure = self._standing.close_session(environment, operator=operator, reason=reason, cancel=cancel)
        orders = self._adding(environment) if cancel else []
        await self._stop(f"The closing of {environment}'s session", orders, f"session closed: {reason}")
        await self.enforce()
        return Ordered(closure=closure, cancelled=orders, still_halted=self._standing.in_force())

    async def enforce(self) -> None:
        """Ask for the end of what works in spite of a halt that cancels, or of a limit that closed a session.

        For a start, as a crash may have come between the order and the cancels, for a limit that has just closed a
        session, and for a trade: a reduce-only order that has become larger than the position ends in any of them.
        """
        wanted: dict[str, str] = {}
        for closure in self.closures():
            adding = self._adding(closure.environment)
            ends_all = closure.violation is not None or closure.cancel
            ending = adding if ends_all else [key for key in adding if self._is_flagged(key)]
            wanted.update(dict.fromkeys(ending, f"session closed: {closure.reason}"))
        for halt in self._standing.in_force():
            inside = self._inside(halt)
            ending = inside if halt.cancel else [key for key in inside if self._is_flagged(key)]
            if halt.cancel or halt.allow_reducing:
                wanted.update(dict.fromkeys(ending, f"halted: {halt.reason}"))
        for reason in dict.fromkeys(wanted.values()):
            orders = [key for key, why in wanted.items() if why == reason and not self._is_ending(key)]
            if orders:
                self._log.warning("working_orders_ended", reason=reason, orders=len(orders))
                try:
                    await self._cancels.cancel(orders, reason)
                except ExecutionPipelineError as error:  # of an environment that is not enabled in this run
                    self._log.error("not_cancelled", reason=str(error))

    # -- what starts again ---------------------------------------------------------------------------------

    async def resume(
        self, scope: HaltScope | str = HaltScope.ALL, name: str = "", *, operator: str, reason: str
    ) -> Ordered:
        """End the halt of exactly this scope once that is durable; ``still_halted`` says which others stay.

        The losses of a strategy that was halted for them are accepted: they are counted from now on.

        Args:
            scope: as it was halted.
            name: as it was halted.
            operator: who orders it.
            reason: kept in the journal.

        Raises:
            ExecutionPipelineError: operator or reason are not to be had, or there is no such halt.
            JournalError: it stays halted until the journal can be written again.
        """
        scope = _scope(scope)
        before = self._standing.halts.get((scope, name))
        losses = before is not None and before.control == STRATEGY_LOSS
        gained = self._account.gained(name) if losses else {}
        halt = self._standing.resume(scope, name, operator=operator, reason=reason, gained=gained)
        await self._durable(f"The end of the halt of {halt.what}", _NOT_YET)
        self._resumed(halt.scope, halt.name)
        return Ordered(halt=halt, still_halted=self._standing.in_force())

    async def open_session(self, environment: str, *, operator: str, reason: str, reset_peak: bool = False) -> Ordered:
        """Open a closed session once that is durable.

        Args:
            environment: whose session.
            operator: who orders it.
            reason: kept in the journal.
            reset_peak: accept what was lost: the drawdown is counted from the present equity on.

        Raises:
            ExecutionPipelineError: operator or reason are not to be had, the session is not closed, or the limit that
                closed it would close it again at once.
            JournalError: it stays closed until the journal can be written again.
        """
        self._standing.require(operator, reason)
        self._closed(environment)
        why = self._account.still_closed_by(environment, reset_peak)
        if why is not None:
            raise ExecutionPipelineError(
                f"The session of {environment} stays closed: {why}. Raise the limit (router risk set). A drawdown can "
                "be accepted: with --reset-peak it is counted from the present equity on."
            )
        peak = self._account.equity(environment) if reset_peak else None
        closure = self._standing.open_session(environment, operator=operator, reason=reason, peak_equity=peak)
        await self._durable(f"The opening of {environment}'s session", _NOT_YET)
        return Ordered(closure=closure, still_halted=self._standing.in_force())

    # -- views ---------------------------------------------------------------------------------------------

    def halts(self) -> list[Halt]:
        """Return every halt in force, the widest first."""
        return self._standing.in_force()

    def closures(self) -> list[Closure]:
        """Return what keeps sessions closed now."""
        today = self._clock.now().date()
        found = (self._standing.closed(environment, today) for environment in self._venues)
        return [closure for closure in found if closure is not None]

    # -- inside --------------------------------------------------------------------------------------------

    async def _stop(self, what: str, orders: Sequence[str], reason: str) -> None:
        """Ask for the end of ``orders``, then wait for all of it to be durable."""
        stuck: ExecutionPipelineError | None = None
        try:
            if orders:
                await self._cancels.cancel(orders, reason)
        except ExecutionPipelineError as error:
            stuck = error
        await self._durable(what, _FORGOTTEN)
        if stuck is not None:
            raise ExecutionPipelineError(f"{what} is in force and durable, but: {stuck}")

    async def _durable(self, what: str, otherwise: str) -> None:
        try:
            await self._journal.reached(self._journal.next_seq - 1)
        except JournalError as error:
            raise JournalError(f"{what} {otherwise} {error}") from None

    def _inside(self, halt: Halt) -> list[str]:
        """Return what works inside a halt and should not."""
        covered = [order for order in self._orders.working_orders() if self._covers(halt, order)]
        if halt.allow_reducing:  # what came later was let through because it reduces
            covered = [order for order in covered if order.reduce_only or order.created_at <= halt.at]
        kept = self._reducing(covered) if halt.allow_reducing else set()
        return [order.client_order_id for order in covered if order.client_order_id not in kept]

    def _reducing(self, orders: Iterable[Order]) -> set[str]:
        """Return which of ``orders`` are reduce-only and, oldest first, can still do no more than end a position."""
        left: dict[tuple[str, str, OrderSide], Decimal] = {}
        kept: set[str] = set()
        for order in orders:
            key = order.environment, order.symbol, order.side
            if key not in left:
                position = self._account.position(order.environment, order.symbol)
                left[key] = max(position if order.side is OrderSide.SELL else -position, ZERO)
            if order.reduce_only and order.worst_leaves <= left[key]:
                left[key] -= order.worst_leaves
                kept.add(order.client_order_id)
        return kept

    def _covers(self, halt: Halt, order: Order) -> bool:
        names: Mapping[HaltScope, str | None] = {
            HaltScope.ALL: "",
            HaltScope.ENVIRONMENT: order.environment,
            HaltScope.STRATEGY: order.strategy_key,
            HaltScope.SYMBOL: order.symbol,
            HaltScope.VENUE: self._venues.get(order.environment),
        }
        return names[halt.scope] == halt.name

    def _adding(self, environment: str) -> list[str]:
        """Return what works in a closed session and should not."""
        working = [order for order in self._orders.working_orders() if order.environment == environment]
        kept = self._reducing(working)
        return [order.client_order_id for order in working if order.client_order_id not in kept]

    @property
    def restricts(self) -> bool:
        """Whether something is in force under which a reduce-only order must not outgrow its position."""
        return bool(self._standing.halts or self._standing.closures)

    def _is_flagged(self, client_order_id: str) -> bool:
        order = self._orders.current(client_order_id)
        return order is not None and order.reduce_only

    def _is_ending(self, client_order_id: str) -> bool:
        order = self._orders.current(client_order_id)
        return order is None or order.pending_cancel is not None

    def _check(self, scope: HaltScope, name: str) -> None:
        if len(name.encode(errors="ignore")) > _NAME_BYTES or not name.isprintable():
            raise ExecutionPipelineError(f"{scope} must be printable text, nothing was halted; found {name!r:.80}.")
        known = self._known.get(scope)
        if known is not None and name not in known:
            there_are = ", ".join(dict.fromkeys(known))
            raise ExecutionPipelineError(f"There is no {scope} {name!r}, nothing was halted; there are {there_are}.")

    def _closed(self, environment: str) -> None:
        if self._standing.closed(environment, self._clock.now().date()) is None:
            self._check(HaltScope.ENVIRONMENT, environment)
            raise ExecutionPipelineError(f"The session of {environment} is not closed.")

    def _doubt(self, halt: Halt) -> str | None:
        """Say so when nobody has heard of the strategy that was halted."""
        seen: Iterable[Order] = (*self._orders.working_orders(), *self._orders.ended_orders())
        if (
            halt.scope is not HaltScope.STRATEGY
            or halt.name in self._strategies
            or any(order.strategy_key == halt.name for order in seen)
        ):
            return None
        return f"No order of {halt.what} has been seen lately: it is halted all the same."


_NAME_BYTES: Final = 1024
_FORGOTTEN: Final = "is in force in this process, but a restart would forget it, as it could not be written:"
_NOT_YET: Final = "is not in force yet, but will be as soon as the journal can be written again:"


def _scope(scope: HaltScope | str) -> HaltScope:
    try:
        return HaltScope(scope)
    except ValueError:
        raise ExecutionPipelineError(f"There is no scope {scope!r}; there are {', '.join(HaltScope)}.") from None
