"""The order-level controls of one run: made once, in the order in which they are asked, and joined to what they watch.

What a control finds becomes an alert or a halt here. This module must not know what any control checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from router.domain.control import Halt, HaltScope
from router.domain.enums import OrderSide, Severity
from router.domain.events import Filled, OrderEvent, PartiallyFilled
from router.domain.order import Order
from router.execution.alarm import Alarm
from router.execution.environments import Parts, venue_names
from router.execution.last_look import LastLook, reducing
from router.execution.standing import Standing
from router.execution.tracker import Tracker
from router.execution.venues import Venues
from router.market.sanity import Sanity
from router.middleware import Submission
from router.risk.account import Account
from router.risk.consequences import ROUTER
from router.safety.deployment import DailyOrders, Permission
from router.safety.duplicates import DuplicateContent
from router.safety.guard import Control, SafetyGuard
from router.safety.kill_switch import KillSwitch, told
from router.safety.message_rate import MessageRate
from router.safety.out_versus_in import OutVersusIn
from router.safety.price_collar import PriceCollar
from router.safety.price_walk import PriceWalk
from router.safety.reference_age import ReferenceAge
from router.safety.repeated_execution import RepeatedExecution
from router.safety.self_match import SelfMatch
from router.safety.venue_standing import VenueStanding
from router.safety.volatility import Volatility
from router.safety.window_notional import WindowNotional
from router.settings import Safety


def sanity_of(limits: Safety) -> Sanity:
    """Return what a quote must be to be trusted."""

    def share(percent: Decimal | None) -> Decimal | None:
        return None if percent is None else percent / 100

    return Sanity(
        max_spread=share(limits.max_spread_pct),
        max_jump=share(limits.max_jump_pct),
        settle_quotes=limits.jump_settle_quotes,
    )


class Safeguards:
    """Every control of a run, with what each of them needs to see.

    Attributes:
        guard: the safety stage.
        out_versus_in: told of what enters and asked about what leaves.
        last_look: asked once more before the hand-over.
    """

    def __init__(
        self,
        parts: Parts,
        accounts: Mapping[str, Account],
        venues: Venues,
        tracker: Tracker,
        alarm: Alarm,
        counted: Mapping[str, int],
    ) -> None:
        settings, market, clock = parts.settings, parts.market, parts.clock
        self._standing: Standing = tracker.standing
        self._alarm = alarm
        self._register = settings.strategies
        reduces = reducing(accounts, tracker.orders.current)
        halts = self._standing.blocking, reduces, venue_names(settings)
        self.last_look = LastLook(*halts)
        self.out_versus_in = OutVersusIn(self._excess)
        self._repeated = RepeatedExecution(clock, self._disable, reduces)
        self._rate = MessageRate(clock)
        self._duplicates = DuplicateContent(clock)

        def rate(environment: str, currency: str) -> Decimal | None:
            return accounts[environment].rate(currency)

        def opposite(environment: str, symbol: str, side: OrderSide) -> Decimal | None:
            return accounts[environment].holds.best(symbol, side.opposite)

        self.controls: tuple[Control, ...] = (
            KillSwitch(*halts),
            VenueStanding(venues.halted),
            Permission(settings.strategies),
            self._repeated,
            ReferenceAge(market, settings.market_data.max_age_s),
            Volatility(market.motion, reduces),
            PriceCollar(market),
            PriceWalk(clock),
            SelfMatch(market, opposite),
            self._duplicates,
            WindowNotional(rate, clock),
            DailyOrders(settings.strategies, clock.now().date(), counted),
            self._rate,
        )
        """In the order in which they are asked: what stops everything first, what counts last."""
        market.on_suspicion = self._suspected
        venues.stop_by(self._stops)
        self.guard = SafetyGuard(self.controls, settings.safety_for, self._blocked, reduces)

    # -- what they see -------------------------------------------------------------------------------------

    def published(self, event: OrderEvent, order: Order | None) -> None:
        """Take in an order event of this run."""
        if order is not None and isinstance(event, PartiallyFilled | Filled):
            self._repeated.traded(order.environment, order.strategy_key, order.symbol, order.side)

    def cancelled(self, order: Order) -> None:
        """Take in that a cancel goes out."""
        self._rate.cancelled(order.environment, order.strategy_key)
        self._duplicates.cancelled(order)

    def resumed(self, scope: HaltScope, name: str) -> None:
        """Take in that an operator has ended a halt."""
        if scope is HaltScope.STRATEGY:
            self._repeated.enabled(name)
        elif scope is HaltScope.ENVIRONMENT:  # it may have been disabled for orders of no strategy
            self._repeated.enabled(None)
            self._repeated.enabled("")

    def _stops(self, order: Order) -> str | None:
        """Return which halt came while an order waited for its turn at its venue, in words."""
        halt = self.last_look.at(order)
        return None if halt is None else told(halt)

    # -- what comes of it ----------------------------------------------------------------------------------

    def _blocked(self, submission: Submission, control_id: str, reason: str) -> str | None:
        """Return the alert of a block: the halt's own, or one for all that the same control blocks meanwhile."""
        order = submission.order
        assert order is not None, "only an order is blocked by a control"
        halt = self.last_look(submission) if control_id in (KillSwitch.id, RepeatedExecution.id) else None
        if halt is not None:
            return halt.alert_id
        known = order.strategy_key in self._register  # names come from outside: a flood of them is one episode
        key = control_id, submission.environment, order.strategy_key or "" if known else "", order.symbol
        return self._alarm.once(key, Severity.MEDIUM, "safety", f"{control_id} has blocked an order: {reason}")

    def _suspected(self, symbol: str, reason: str | None) -> None:
        """Alert when the quotes of a symbol begin to be suspect (P19)."""
        if reason is not None:
            message = f"Quotes of {symbol} are not trusted, orders for it are blocked: {reason}."
            self._alarm.once((ReferenceAge.id, symbol), Severity.MEDIUM, "market", message)

    def _disable(self, order: Order, reason: str) -> Halt:
        """Halt the strategy of ``order``; one without a key is only told apart by its environment."""
        scope, name = (
            (HaltScope.STRATEGY, order.strategy_key)
            if order.strategy_key
            else (HaltScope.ENVIRONMENT, order.environment)
        )
        return self._standing.halt(
            scope,
            name,
            operator=ROUTER,
            reason=reason,
            allow_reducing=True,
            control=RepeatedExecution.id,
            severity=Severity.HIGH,
        )

    def _excess(self, reason: str) -> None:
        self._standing.halt(HaltScope.ALL, operator=ROUTER, reason=reason, control=OutVersusIn.id)
