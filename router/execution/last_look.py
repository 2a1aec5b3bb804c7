"""The last look at the halts, between the commit and the hand-over: what was halted meanwhile must not leave.

This module must not know what happens to an order that is stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from router.domain.control import Halt
from router.domain.order import ZERO, Order
from router.middleware import Submission
from router.risk.account import Account
from router.risk.checks import reduces

Blocking: TypeAlias = Callable[[str, str | None, str, str], Halt | None]
"""Environment, strategy, symbol, venue -> the halt that holds orders of them back, or None."""
Reduces: TypeAlias = Callable[[str, Order], bool]


class LastLook:
    """Says which halt stops a submission that has passed every gate, or None.

    Args:
        blocking: the standing halts.
        reduces: whether an order can only make a position of its environment smaller.
        venue_of: by environment: the name of its venue.
    """

    def __init__(self, blocking: Blocking, reduces: Reduces, venue_of: Mapping[str, str]) -> None:
        self._blocking = blocking
        self._reduces = reduces
        self._venue_of = venue_of

    def __call__(self, submission: Submission) -> Halt | None:
        assert submission.order is not None, "only an order is handed over"
        return None if submission.only_takes_away else self.at(submission.order)

    def at(self, order: Order) -> Halt | None:
        """Return which halt stops an order now, or None."""
        environment = order.environment
        halt = self._blocking(environment, order.strategy_key, order.symbol, self._venue_of.get(environment, ""))
        if halt is None or (halt.allow_reducing and self._reduces(environment, order)):
            return None
        return halt


def reducing(accounts: Mapping[str, Account], current: Callable[[str], Order | None]) -> Reduces:
    """Return what says whether an order reduces, measured without what is held for that same order already.

    ``current`` returns an order as it is decided now, or None before it is tracked.
    """

    def reduces_position(environment: str, order: Order) -> bool:
        account, held = accounts[environment], current(order.client_order_id)
        if held is None:
            return reduces(order, account)
        account.holds.set(held, ZERO)
        try:
            return reduces(order, account)
        finally:
            account.holds.set(held, held.worst_leaves)

    return reduces_position
