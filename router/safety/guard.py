"""Stage 3: the controls in order; the first that objects answers (spec §5).

From the first question to the hold in risk nothing is awaited, so concurrent intents cannot pass a limit together.
A hard block stands; a soft one can be confirmed by the sender, order by order, and both are counted (``controls.md``
P23). This module must not know what any control checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from router.domain.enums import ExecutionStatus
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.middleware import Next, Submission
from router.settings import Safety

LimitsFor: TypeAlias = Callable[[str, str | None], Safety]
"""The limits in force for an environment and a strategy."""
Reduces: TypeAlias = Callable[[str, Order], bool]
"""Whether an order can only make a position of its environment smaller."""
OnBlock: TypeAlias = Callable[[Submission, str, str], str | None]
"""Told of a block, with the control's id and the reason; returns the id of the alert it raised, if any."""


class Control(Protocol):
    """One control, a small file each; it never waits."""

    @property
    def id(self) -> str:
        """Its id as in the catalogue: what an answer names as ``violation``, and what is counted."""
        ...

    @property
    def protects(self) -> str:
        """What it protects from, in one sentence."""
        ...

    @property
    def spares_reducing(self) -> bool:
        """Whether an order flagged ``reduce_only`` that strictly reduces passes: true for what limits how much and how
        often, false for what makes sure that a price, a market or a permission is there at all."""
        ...

    @property
    def hard(self) -> bool:
        """Whether nobody can confirm an order past it: False for a soft one (P23)."""
        ...

    def limit(self, limits: Safety) -> str:
        """Return the limit in force, for people; "off" when it is switched off."""
        ...

    def objection(self, submission: Submission, limits: Safety) -> str | None:
        """Return why the order must not leave and what to do, or None."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A control that counts what leaves."""

    def passed(self, submission: Submission, limits: Safety) -> None:
        """Count a submission that no control objects to."""
        ...

    def undone(self, submission: Submission, limits: Safety) -> None:
        """Forget it again, as far as it was counted: no executor was called."""
        ...


class SafetyGuard:
    """Asks every control; ``triggered`` counts objections by control id, ``confirmed`` those that senders confirmed.

    Args:
        controls: in the order in which they are asked.
        limits: where the limits in force come from.
        on_block: told of every block.
        reduces: asked of orders flagged ``reduce_only``.
    """

    def __init__(self, controls: Sequence[Control], limits: LimitsFor, on_block: OnBlock, reduces: Reduces) -> None:
        self._controls = tuple(controls)
        self._remembering = tuple(control for control in controls if isinstance(control, Remembering))
        self._limits = limits
        self._on_block = on_block
        self._reduces = reduces
        self.triggered: Counter[str] = Counter()
        self.confirmed: Counter[str] = Counter()

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        order = submission.order
        assert order is not None, "validation runs before safety"
        limits = self._limits(submission.environment, order.strategy_key)
        reduces = order.reduce_only and self._reduces(submission.environment, order)
        for control in self._controls:
            if reduces and control.spares_reducing:
                continue
            objection = control.objection(submission, limits)
            if objection is None:
                continue
            self.triggered[control.id] += 1
            if control.hard or not _is_confirmed(submission, control.id):
                return self._blocked(submission, control.id, objection)
            self.confirmed[control.id] += 1
        executor_called = False
        try:
            for remembering in self._remembering:
                remembering.passed(submission, limits)
            result = await call_next(submission)
            executor_called = result.executor_called
            return result
        finally:
            if not executor_called:
                for remembering in self._remembering:
                    remembering.undone(submission, limits)

    def _blocked(self, submission: Submission, control_id: str, reason: str) -> ExecutionResult:
        alert_id = self._on_block(submission, control_id, reason)
        return submission.answer(
            ExecutionStatus.BLOCKED_BY_SAFETY,
            reason=reason,
            violation=control_id,
            alert_ids=[] if alert_id is None else [alert_id],
        )


def _is_confirmed(submission: Submission, control_id: str) -> bool:
    """Whether the sender named this control in the order's metadata, ``{"confirm": ["P08_…"]}``."""
    confirmed = submission.intent.metadata.get("confirm")
    return isinstance(confirmed, list | tuple) and control_id in confirmed
