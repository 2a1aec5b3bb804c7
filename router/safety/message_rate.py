"""Control P09: no more than so many messages in any second (RTS 6 Art. 15(1)(d), FIA).

New orders, amendments and cancels count, all of an environment together and each strategy by itself; only new orders
and amendments are refused. A cancel is never asked. This module must not know who sends cancels.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from router.clock import Clock
from router.middleware import Submission
from router.safety.windows import WindowsByKey
from router.settings import Safety

_ONE: Final = Decimal(1)
_SECOND: Final = 1.0


class MessageRate:
    """Objects to an order that would be one message too many.

    Args:
        clock: our time.
    """

    id = "P09_message_rate"
    protects = "Flooding a venue, and a strategy that has lost control of itself."
    hard = True
    spares_reducing = False  # a flood of them would keep everybody else out

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_environment: WindowsByKey[str] = WindowsByKey()
        self._by_strategy: WindowsByKey[tuple[str, str | None]] = WindowsByKey()

    def limit(self, limits: Safety) -> str:
        together, each = limits.max_orders_per_second, limits.max_orders_per_second_per_strategy
        if together is None and each is None:
            return "off"
        return f"{_words(together)} messages in 1 s together, {_words(each)} for a strategy"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        assert submission.order is not None, "validation runs before safety"
        now, environment = self._clock.monotonic(), submission.environment
        most = limits.max_orders_per_second
        if most is not None and not submission.order.reduce_only:  # what others send must not keep it in
            sent = self._by_environment.find(environment, _SECOND, now)
            if sent is not None and sent.total >= most:
                return (
                    f"{sent.total} messages went out in the last second, safety.max_orders_per_second = {most}: {_WAIT}"
                )
        most = limits.max_orders_per_second_per_strategy
        if most is not None:
            sent = self._by_strategy.find((environment, submission.order.strategy_key), _SECOND, now)
            if sent is not None and sent.total >= most:
                return (
                    f"{sent.total} messages of this strategy went out in the last second, "
                    f"safety.max_orders_per_second_per_strategy = {most}: {_WAIT}"
                )
        return None

    def passed(self, submission: Submission, limits: Safety) -> None:
        assert submission.order is not None, "validation runs before safety"
        if limits.max_orders_per_second is not None or limits.max_orders_per_second_per_strategy is not None:
            self._count(submission.environment, submission.order.strategy_key, submission.run_id)

    def undone(self, submission: Submission, limits: Safety) -> None:
        assert submission.order is not None, "validation runs before safety"
        self._by_environment.take_back(submission.environment, submission.run_id)
        self._by_strategy.take_back((submission.environment, submission.order.strategy_key), submission.run_id)

    def cancelled(self, environment: str, strategy_key: str | None) -> None:
        """Count a cancel that goes out."""
        self._count(environment, strategy_key, "")

    def _count(self, environment: str, strategy_key: str | None, owner: str) -> None:
        now = self._clock.monotonic()
        self._by_environment.open(environment, _SECOND, now).add(now, _ONE, owner)
        self._by_strategy.open((environment, strategy_key), _SECOND, now).add(now, _ONE, owner)


_WAIT: Final = "send fewer, or wait a second. Cancels still go out."


def _words(most: int | None) -> str:
    return "any number of" if most is None else str(most)
