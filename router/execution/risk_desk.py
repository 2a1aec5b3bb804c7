"""Risk joined to the rest: the limits in force, the gate that asks them, the monitor that does not wait for orders, and
the journal that remembers what they found.

This module must not know how a limit is measured, or who changes one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date
from decimal import Decimal

from router.clock import Clock
from router.domain.events import AccountMarked
from router.errors import ConfigError, JournalError
from router.execution.alarm import Alarm
from router.execution.tracker import Tracker
from router.journal.base import Journal
from router.market.quotes import MarketData
from router.risk.account import Account
from router.risk.consequences import Consequences
from router.risk.gate import RiskGate
from router.risk.limit_book import LimitBook
from router.risk.limit_keys import key_from
from router.risk.limits import LiveRiskLimits
from router.risk.monitor import RiskMonitor


class RiskDesk:
    """Everything of one run that limits what the portfolio may become.

    Args:
        symbols: of the instruments there are.
        on_closed: told when a limit has closed a session.

    Attributes:
        book: the limits in force.
        gate: the risk stage.
        monitor: runs beside it.
    """

    def __init__(
        self,
        book: LimitBook,
        accounts: Mapping[str, Account],
        tracker: Tracker,
        journal: Journal,
        market: MarketData,
        alarm: Alarm,
        clock: Clock,
        *,
        symbols: Collection[str],
        on_closed: Callable[[], None],
    ) -> None:
        self.book = book
        self._accounts = accounts
        self._symbols = symbols
        self._tracker = tracker
        self._journal = journal
        self._clock = clock
        consequences = Consequences(tracker.standing, alarm, self._today, on_closed)
        self.gate = RiskGate(self.limits, accounts, self._today, consequences)
        self.monitor = RiskMonitor(
            accounts,
            self.limits,
            consequences,
            clock,
            journaled=tracker.ledger.journaled_mark,
            journaled_peaks=tracker.ledger.journaled_peaks,
            record=self._record,
        )
        for name, account in accounts.items():
            account.limits_losses = self._limits_losses(name)
        market.listen(self.monitor.moved)

    def limits(self, environment: str) -> LiveRiskLimits:
        """Return the limits in force in an environment."""
        return self.book.current.for_environment(environment)

    def gained(self, strategy: str) -> dict[str, Decimal]:
        """Return what a strategy has gained, by environment; where it cannot be valued nothing is known."""
        parts = {name: account.strategies.get(strategy) for name, account in self._accounts.items()}
        return {name: part.equity() for name, part in parts.items() if part is not None and part.is_valued}

    async def set(self, key: str, value: str, *, operator: str, reason: str) -> tuple[str | None, str]:
        """Set one limit; returns its old and new value once that is durable.

        Raises:
            ConfigError: there is no such limit, or it cannot be that: nothing has changed.
            ExecutionPipelineError: operator or reason are not to be had.
            JournalError: the new value is in force in this process, but a restart would forget it.
        """
        symbol = next((part for part in reversed(key_from(key, "risk set")) if "/" in part), None)
        if symbol is not None and symbol not in self._symbols:
            raise ConfigError(f"risk set: {key}: there is no instrument {symbol}; there are {', '.join(self._symbols)}")
        changed = self.book.set(key, value, operator=operator, reason=reason)
        await self._settled()
        return changed

    async def reload(self) -> dict[str, tuple[str | None, str | None]]:
        """Read the files again, all or nothing; returns what has changed, by key, once that is durable.

        Raises:
            ConfigError: a file is wrong: nothing has changed.
        """
        changed = self.book.reload("configuration reload")
        await self._settled()
        return changed

    async def _settled(self) -> None:
        self.monitor.moved()
        try:
            await self._journal.reached(self._journal.next_seq - 1)
        except JournalError as error:
            raise JournalError(
                f"The limit is in force in this process, but a restart would forget it: {error}"
            ) from None

    def _limits_losses(self, environment: str) -> Callable[[str], bool]:
        def limits_losses(strategy: str) -> bool:
            own = self.limits(environment).strategies.get(strategy)
            return own is not None and (own.max_drawdown is not None or own.max_daily_loss is not None)

        return limits_losses

    def _today(self) -> date:
        return self._clock.now().date()

    def _record(self, environment: str) -> None:
        """Have the journal remember how an account stands, without any order."""
        now = self._clock.now()
        account, strategies = self._tracker.ledger.marks(environment, now.date())
        self._journal.append(
            AccountMarked(
                seq=self._journal.next_seq,
                ts_recorded=now,
                environment=environment,
                account=account,
                strategies=strategies,
            )
        )
