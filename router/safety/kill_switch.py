"""Controls A04 and A05: nothing new leaves where trading is halted, until a named operator resumes it.

What only takes risk away may leave under every halt: cancels, which never come here, and amendments to a smaller
quantity. No timer and no restart ends a halt. This module must not know who halted, or how a halt is remembered.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from router.domain.control import Halt, HaltScope
from router.domain.order import Order
from router.middleware import Submission
from router.settings import Safety


class KillSwitch:
    """Objects while a halt covers the order; orders that reduce pass where the halt allows them.

    Args:
        blocking: the halt that holds back orders of an environment, strategy, symbol and venue, or None.
        reduces: whether an order can only make a position of its environment smaller.
        venue_of: by environment: the name of its venue.
    """

    id = "A04_kill_switch"
    protects = "Trading on after somebody, or a control, has said stop."
    hard = True
    spares_reducing = False

    def __init__(
        self,
        blocking: Callable[[str, str | None, str, str], Halt | None],
        reduces: Callable[[str, Order], bool],
        venue_of: Mapping[str, str],
    ) -> None:
        self._blocking = blocking
        self._reduces = reduces
        self._venue_of = venue_of

    def limit(self, limits: Safety) -> str:
        return "no halt in force"

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        order, environment = submission.order, submission.environment
        assert order is not None, "validation runs before safety"
        venue = self._venue_of.get(environment, "")
        halt = self._blocking(environment, order.strategy_key, order.symbol, venue)
        if halt is None or submission.only_takes_away:
            return None
        if halt.allow_reducing and self._reduces(environment, order):
            return None
        return told(halt)


def told(halt: Halt) -> str:
    """Return what is halted, since when, by whom and why, what may still leave, and how to resume it."""
    scope = "" if halt.scope is HaltScope.ALL else f" --{halt.scope} {shlex.quote(halt.name)}"
    allowed = "Cancels and what only reduces" if halt.allow_reducing else "Only cancels and amendments to less"
    return (
        f"{halt.what[0].upper()}{halt.what[1:]} is halted since {halt.at:%Y-%m-%d %H:%M:%S} UTC by "
        f"{halt.control or halt.operator}: {halt.reason.rstrip('.')}. {allowed} may leave. "
        f"To resume: router resume{scope} --operator NAME --reason TEXT"
    )
