"""Control P11: a strategy that fills and re-enters over and over is disabled until a named operator resumes it.

A cycle is an order that passes after an earlier one of the same environment, strategy, symbol and side has traded
since the last cycle. Amendments re-enter nothing. This module must not know what disables, or how orders trade.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeAlias

from router.clock import Clock
from router.domain.control import Halt
from router.domain.enums import OrderSide
from router.domain.order import Order
from router.middleware import Submission
from router.safety.kill_switch import told
from router.safety.windows import SlidingWindow
from router.settings import Safety

_ONE: Final = Decimal(1)
_KEYS_MAX: Final = 10_000  # strategies' names come from outside; only one that trades has a place here
_Key: TypeAlias = tuple[str, str | None, str, OrderSide]


class _Cycles:
    """The cycles of one key; ``counted_by`` is the submission that made the newest."""

    __slots__ = ("counted_by", "has_traded", "window")

    def __init__(self) -> None:
        self.window = SlidingWindow(0)  # as long as the limits say when it is looked at
        self.has_traded = False
        self.counted_by = ""


class RepeatedExecution:
    """Objects to every order of a key that has made all its cycles, and disables its strategy.

    Args:
        clock: the cycles of the last seconds of it count.
        disable: halts the strategy of an order, for a reason, and returns the halt.
        reduces: whether an order can only make a position of its environment smaller.
    """

    id = "P11_repeated_execution"
    protects = "A strategy that buys and sells in a loop until somebody looks."
    hard = True
    spares_reducing = True

    def __init__(
        self, clock: Clock, disable: Callable[[Order, str], Halt], reduces: Callable[[str, Order], bool]
    ) -> None:
        self._reduces = reduces
        self._clock = clock
        self._disable = disable
        self._cycles: OrderedDict[_Key, _Cycles] = OrderedDict()

    def limit(self, limits: Safety) -> str:
        most = limits.max_repeated_executions
        return "off" if most is None else f"{most} within {limits.repeated_executions_window_s:g} s"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        cycles, most = self._of(submission), limits.max_repeated_executions
        if cycles is None or most is None:
            return None
        cycles.window.seconds = limits.repeated_executions_window_s
        if cycles.window.prune(self._clock.monotonic()) < most:
            return None
        order = submission.order
        assert order is not None, "validation runs before safety"
        reason = (
            f"{order.symbol} {order.side} orders filled and came again {most} times within "
            f"{limits.repeated_executions_window_s:g} s (safety.max_repeated_executions)"
        )
        halt = self._disable(order, reason)
        return None if halt.allow_reducing and self._reduces(submission.environment, order) else told(halt)

    def passed(self, submission: Submission, limits: Safety) -> None:
        cycles = self._of(submission)
        if cycles is None or not cycles.has_traded:
            return
        cycles.has_traded, cycles.counted_by = False, submission.run_id
        cycles.window.add(self._clock.monotonic(), _ONE, submission.run_id)

    def undone(self, submission: Submission, limits: Safety) -> None:
        cycles = self._of(submission)
        if cycles is not None and cycles.counted_by == submission.run_id:
            cycles.has_traded, cycles.counted_by = True, ""
            cycles.window.take_back(submission.run_id)

    def traded(self, environment: str, strategy: str | None, symbol: str, side: OrderSide) -> None:
        """Note that an order has traded: the next one that passes makes a cycle."""
        key = environment, strategy, symbol, side
        cycles = self._cycles.get(key)
        if cycles is None:
            if len(self._cycles) >= _KEYS_MAX:
                self._cycles.popitem(last=False)
            cycles = self._cycles[key] = _Cycles()
        else:
            self._cycles.move_to_end(key)
        cycles.has_traded = True

    def enabled(self, strategy: str | None) -> None:
        """Forget what the strategy has done: an operator has resumed it."""
        for key in [key for key in self._cycles if key[1] == strategy]:
            del self._cycles[key]

    def _of(self, submission: Submission) -> _Cycles | None:
        order = submission.order
        assert order is not None, "validation runs before safety"
        if submission.amends is not None:
            return None
        return self._cycles.get((submission.environment, order.strategy_key, order.symbol, order.side))
