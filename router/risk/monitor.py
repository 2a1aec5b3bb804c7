"""Watches every account without waiting for an order: peak, UTC day, losses, and what is nearly used up (T02, T03).

It looks when the market or an account has moved, at most once a second, and at every 00:00 UTC, so that the day's loss
is counted from there. What a restart must know is recorded: the day's begin, and a peak that rose by a thousandth.
This module must not know what a broken limit leads to, or the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

import anyio

from router.clock import Clock, within
from router.domain.control import Closure
from router.domain.events import AccountMark
from router.domain.order import ZERO
from router.domain.result import Limit
from router.risk.account import Account
from router.risk.checks import account_limits
from router.risk.consequences import CONSEQUENCES, owner_and_name
from router.risk.limits import LiveRiskLimits

EVERY_S: Final = 1.0
NEAR: Final = Decimal("0.8")
"""A limit used to this share is warned of; again only after it was below ``CLEAR``."""
CLEAR: Final = Decimal("0.75")
BLIND_S: Final = 60.0
"""Losses that could not be measured for so long are alerted."""
STEP: Final = Decimal("1.001")
"""A peak that rose by this factor is recorded: what a crash may forget of it."""


class Consequences(Protocol):
    """What comes of it."""

    def closed(self, environment: str) -> Closure | None: ...

    def broken(self, environment: str, limit: Limit) -> str: ...

    def near(self, environment: str, limit: Limit) -> None: ...

    def blind(self, environment: str) -> None: ...


class RiskMonitor:
    """Marks accounts and acts on what they lost.

    Args:
        accounts: by environment.
        limits: in force in an environment.
        journaled: what the journal remembers of an account: its last mark, and the day of it.
        journaled_peaks: the most that each strategy has gained in an account, as far as the journal remembers.
        record: has the journal remember how an account stands now.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        limits: Callable[[str], LiveRiskLimits],
        consequences: Consequences,
        clock: Clock,
        *,
        journaled: Callable[[str], tuple[date, AccountMark] | None],
        journaled_peaks: Callable[[str], Mapping[str, Decimal]],
        record: Callable[[str], None],
    ) -> None:
        self._accounts = accounts
        self._limits = limits
        self._consequences = consequences
        self._clock = clock
        self._journaled = journaled
        self._journaled_peaks = journaled_peaks
        self._record = record
        self._near: set[tuple[str, str]] = set()
        self._over: set[tuple[str, str]] = set()
        self._blind: dict[str, float] = {}
        self._moved = anyio.Event()

    def moved(self, *_: object) -> None:
        """Take in that a quote or an account has changed; cheap, for it is called at every one."""
        self._moved.set()

    async def run(self) -> None:
        """Watch, for ever."""
        while True:
            self._moved = anyio.Event()
            self.look()
            await self._clock.sleep(EVERY_S)
            with suppress(TimeoutError):
                await within(self._clock, to_midnight(self._clock.now()), self._moved.wait)

    def look(self) -> None:
        """Mark every account, record what must not be forgotten, act on what is broken, warn of what nearly is."""
        today = self._clock.now().date()
        for environment, account in self._accounts.items():
            measured = account_limits(account, self._limits(environment), today)
            if account.is_valued and self._is_news(environment, account, today):
                self._record(environment)
            self._see(environment, account.is_valued)
            for limit in measured:
                if limit.value.is_finite():  # what cannot be valued blocks by itself, and is no episode of its own
                    self._judge(environment, limit)
            self._forget(environment, measured)

    def _see(self, environment: str, is_valued: bool) -> None:
        """Say so when losses could not be measured for some time."""
        if is_valued:
            self._blind.pop(environment, None)
        elif self._clock.monotonic() - self._blind.setdefault(environment, self._clock.monotonic()) >= BLIND_S:
            self._consequences.blind(environment)

    def _is_news(self, environment: str, account: Account, today: date) -> bool:
        known = self._journaled(environment)
        if known is None:
            return False  # nothing was ever traded: the account's beginning tells all
        risen = account.portfolio.peak_equity > known[1].peak_equity * STEP
        return known[0] < today or risen or self._has_strategy_risen(environment, account)

    def _has_strategy_risen(self, environment: str, account: Account) -> bool:
        """Whether one whose losses are limited has gained more than was recorded, by a thousandth of the account."""
        known, step = self._journaled_peaks(environment), account.portfolio.day_start_equity * (STEP - 1)
        limited = ((name, part) for name, part in account.strategies.items() if account.limits_losses(name))
        return any(part.portfolio.peak_equity > known.get(name, ZERO) + step for name, part in limited)

    def _judge(self, environment: str, limit: Limit) -> None:
        _, name = owner_and_name(limit.name)
        key, used = (environment, limit.name), limit.value / limit.limit
        closes = CONSEQUENCES[name].closes and used >= 1
        if (closes or used > 1) and (
            key not in self._over or (closes and self._consequences.closed(environment) is None)
        ):
            self._over.add(key)
            self._near.add(key)
            self._consequences.broken(environment, limit)
        elif used >= NEAR and key not in self._near:
            self._near.add(key)
            self._consequences.near(environment, limit)
        elif used < CLEAR:
            self._near.discard(key)
            self._over.discard(key)

    def _forget(self, environment: str, measured: Iterable[Limit]) -> None:
        """Let go of warnings about what is not held or limited any more."""
        names = {limit.name for limit in measured}
        self._near = {key for key in self._near if key[0] != environment or key[1] in names}
        self._over &= self._near


def to_midnight(now: datetime) -> float:
    """Return the seconds until the next 00:00 UTC, above 0."""
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
    return max((midnight - now).total_seconds(), 0.001)
