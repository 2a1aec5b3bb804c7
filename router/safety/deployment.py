"""Controls P13 and P21: who may trade what and where, and how much of it a day (``[strategies."name"]``).

As long as nobody is registered anybody may trade; from the first entry on only who is (P17). This module must not
know the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from router.middleware import Submission
from router.settings import Safety, Strategy


class Permission:
    """Objects to strategies that are not registered, and to symbols and environments that are not theirs.

    Args:
        register: by strategy; empty: nobody has to be registered.
    """

    id = "P13_permission"
    protects = "A strategy that nobody approved, or that trades where it was not meant to."
    hard = True
    spares_reducing = False

    def __init__(self, register: Mapping[str, Strategy]) -> None:
        self._register = register

    def limit(self, limits: Safety) -> str:
        return f"registered strategies only: {', '.join(self._register)}" if self._register else "off"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        if not self._register or submission.only_takes_away:
            return None
        order = submission.order
        assert order is not None, "validation runs before safety"
        key = order.strategy_key
        strategy = None if key is None else self._register.get(key)
        if strategy is None:
            who = "An order without strategy_key" if key is None else f"Strategy {key}"
            return f"{who} may not trade: only strategies registered under [strategies] may."
        if strategy.symbols and order.symbol not in strategy.symbols:
            return f'Strategy {key} may not trade {order.symbol}: see [strategies."{key}"] symbols.'
        if strategy.environments and submission.environment not in strategy.environments:
            return f'Strategy {key} may not trade in {submission.environment}: see [strategies."{key}"] environments.'
        return None


class DailyOrders:
    """Objects to the orders that a registered strategy may not send any more on this UTC day; amendments are none.

    Args:
        register: by strategy.
        today: the UTC day that ``counted`` is of.
        counted: orders of ``today`` by strategy that passed already: a restart is no second budget.
    """

    id = "P21_orders_per_day"
    protects = "A new strategy that trades far more than it was deployed for."
    hard = True
    spares_reducing = True

    def __init__(self, register: Mapping[str, Strategy], today: date, counted: Mapping[str, int]) -> None:
        self._register = register
        self._today = today
        self._counted = Counter(counted)

    def limit(self, limits: Safety) -> str:
        limited = {key: each.max_orders_per_day for key, each in self._register.items() if each.max_orders_per_day}
        return ", ".join(f"{key}: {most} a day" for key, most in limited.items()) or "off"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        key = self._limited(submission)
        if key is None:
            return None
        most, day = self._register[key].max_orders_per_day, self._day(submission)
        if most is None or self._counted[key] < most:
            return None
        return (
            f'Strategy {key} has sent its {most} orders of {day} (UTC), see [strategies."{key}"] max_orders_per_day: '
            "it may trade again tomorrow."
        )

    def passed(self, submission: Submission, limits: Safety) -> None:
        key = self._limited(submission)
        if key is not None:
            self._day(submission)
            self._counted[key] += 1

    def undone(self, submission: Submission, limits: Safety) -> None:
        key = self._limited(submission)
        if key is not None and submission.received_at.date() == self._today:  # else it counts in no day, or a later one
            self._counted[key] -= 1

    def _limited(self, submission: Submission) -> str | None:
        """Return the strategy of a new order if it is one with a limit."""
        order = submission.order
        assert order is not None, "validation runs before safety"
        strategy = None if order.strategy_key is None else self._register.get(order.strategy_key)
        if submission.amends is not None or strategy is None or strategy.max_orders_per_day is None:
            return None
        return order.strategy_key

    def _day(self, submission: Submission) -> date:
        """Return the day that counts now; a clock that was set back begins no day again."""
        day = submission.received_at.date()
        if day > self._today:
            self._today = day
            self._counted.clear()
        return self._today
