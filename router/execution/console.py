"""What a pipeline shows and takes from operators: halts and sessions, and everything there is to look at.

This module must not know how the pipeline is put together, started or stopped, or how intents get in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from router.domain.control import Closure, Halt, HaltScope, Ordered
from router.domain.events import OrderEvent
from router.domain.market import Instrument
from router.domain.order import Order
from router.domain.portfolio import Position
from router.errors import ExecutionPipelineError
from router.execution.engine import Engine
from router.execution.health import health
from router.execution.operate import Operations
from router.execution.orders import Orders
from router.execution.risk_desk import RiskDesk
from router.execution.safeguards import Safeguards
from router.execution.venues import Venues
from router.journal.base import Journal
from router.market.quotes import MarketData
from router.risk.account import Account
from router.risk.gate import RiskSnapshot
from router.risk.limits import LiveRiskLimits
from router.safety.guard import Control
from router.settings import Settings

NOT_RUNNING: Final = "The pipeline is not running: use it inside `async with ExecutionPipeline(…)`."


class Console:
    """The part of ``ExecutionPipeline`` that sends no orders; the pipeline sets what it looks at."""

    env: str
    settings: Settings
    instruments: Mapping[str, Instrument]
    market: MarketData
    _accounts: Mapping[str, Account]
    _engine: Engine
    _journal: Journal
    _operations: Operations
    _orders: Orders
    _risk: RiskDesk
    _safeguards: Safeguards
    _venues: Venues

    # -- halts and sessions --------------------------------------------------------------------------------

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
        """Refuse new orders and amendments inside ``scope``, queued ones too; see ``Operations.halt``.

        Raises:
            ExecutionPipelineError: not running, or what the halt says of itself.
            JournalError: the halt is in force in this process, but a restart would forget it.
        """
        self._require_running()
        return await self._operations.halt(
            scope, name, operator=operator, reason=reason, allow_reducing=allow_reducing, cancel=cancel
        )

    async def resume(
        self, scope: HaltScope | str = HaltScope.ALL, name: str = "", *, operator: str, reason: str
    ) -> Ordered:
        """End the halt of exactly this scope; see ``Operations.resume``.

        Raises:
            ExecutionPipelineError: not running, or there is no such halt.
            JournalError: it stays halted until the journal can be written again.
        """
        self._require_running()
        return await self._operations.resume(scope, name, operator=operator, reason=reason)

    async def close_session(self, environment: str, *, operator: str, reason: str, cancel: bool = False) -> Ordered:
        """Take only what reduces in ``environment`` from now on; see ``Operations.close_session``.

        Raises:
            ExecutionPipelineError: not running, or there is no such environment.
            JournalError: the session is closed in this process, but a restart would forget it.
        """
        self._require_running()
        return await self._operations.close_session(environment, operator=operator, reason=reason, cancel=cancel)

    async def open_session(self, environment: str, *, operator: str, reason: str, reset_peak: bool = False) -> Ordered:
        """Open a closed session; see ``Operations.open_session``.

        Raises:
            ExecutionPipelineError: not running, not closed, or a limit would close it again at once.
            JournalError: it stays closed until the journal can be written again.
        """
        self._require_running()
        return await self._operations.open_session(environment, operator=operator, reason=reason, reset_peak=reset_peak)

    def halts(self) -> list[Halt]:
        """Return every halt in force, the widest first."""
        return self._operations.halts()

    def closed_sessions(self) -> list[Closure]:
        """Return what keeps sessions closed now."""
        return self._operations.closures()

    # -- views ---------------------------------------------------------------------------------------------

    def order(self, client_order_id: str) -> Order | None:
        """Return the order, or None when no intent with this id passed the gates."""
        return self._orders.order(client_order_id)

    def open_orders(self) -> list[Order]:
        """Return every order that can still trade, oldest first."""
        return self._orders.open_orders()

    def recent_orders(self) -> list[Order]:
        """Return the open orders and those that ended lately, newest first."""
        return self._orders.open_orders()[::-1] + self._orders.ended_orders()

    async def story(self, client_order_id: str) -> list[OrderEvent]:
        """Return all that the journal holds about one submission, oldest first."""
        return [event for event in await self._journal.events_of(client_order_id) if isinstance(event, OrderEvent)]

    def positions(self) -> dict[str, Position]:
        """Return the default environment's positions by symbol."""
        return dict(self._account_of(self.env).portfolio.positions)

    def fees(self) -> dict[str, Decimal]:
        """Return what was paid in fees, by currency."""
        return dict(self._account_of(self.env).portfolio.fees)

    def risk_snapshot(self, environment: str | None = None) -> RiskSnapshot:
        """Measure an environment's account, by default the pipeline's, at current marks."""
        environment = self.env if environment is None else environment
        self._account_of(environment)
        return self._risk.gate.snapshot(environment)

    @property
    def controls(self) -> Sequence[Control]:
        """The order-level controls, in the order in which they are asked."""
        return self._safeguards.controls

    # -- limits --------------------------------------------------------------------------------------------

    @property
    def limits(self) -> LiveRiskLimits:
        """The limits in force; what they hold cannot be changed through it (``controls.md`` A11)."""
        return self._risk.book.current

    def risk_report(self) -> dict[str, Any]:
        """Return how every account stands, every limit in force by its key, and which of them operators have set."""
        return {
            "environments": {name: self.risk_snapshot(name) for name in self._accounts},
            "limits": self._risk.book.flat(),
            "overrides": self._risk.book.overrides,
            "closed_sessions": self.closed_sessions(),
        }

    async def set_limit(self, key: str, value: str, *, operator: str, reason: str) -> tuple[str | None, str]:
        """Set one limit until the files' own value changes; see ``RiskDesk.set``."""
        self._require_running()
        return await self._risk.set(key, value, operator=operator, reason=reason)

    async def reload_limits(self) -> dict[str, tuple[str | None, str | None]]:
        """Read the limits' files again, all or nothing; see ``RiskDesk.reload``."""
        self._require_running()
        return await self._risk.reload()

    # -- health --------------------------------------------------------------------------------------------

    def health(self) -> dict[str, dict[str, object]]:
        """Return each check as ``{"ok": …, "detail": …}``."""
        capacity, max_age_s = self.settings.execution.intake_capacity, self.settings.market_data.max_age_s
        return health(
            self._engine,
            self._journal,
            self.market,
            self.instruments,
            self._venues,
            capacity=capacity,
            max_age_s=max_age_s,
        )

    def _account_of(self, environment: str) -> Account:
        account = self._accounts.get(environment)
        if account is None:
            raise ExecutionPipelineError(f"Environment {environment} has no account: it has no executor here.")
        return account

    def _require_running(self) -> None:
        if not self._engine.running:
            raise ExecutionPipelineError(NOT_RUNNING)
