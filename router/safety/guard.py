"""Stage 3: the controls in order; the first that objects answers (spec §5).

A control is a name and a function from the submission to an objection or None; it never waits. This module must
not know what any control checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from router.domain.enums import ExecutionStatus
from router.domain.result import ExecutionResult
from router.middleware import Next, Submission


class Control(Protocol):
    """One control: ``id`` as in the catalogue, and the check."""

    @property
    def id(self) -> str: ...

    def objection(self, submission: Submission) -> str | None:
        """Return why the order must not leave, or None."""
        ...


class SafetyGuard:
    """Asks every control; ``triggered`` counts the objections by control id."""

    def __init__(self, controls: Sequence[Control]) -> None:
        self._controls = tuple(controls)
        self.triggered: Counter[str] = Counter()

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult:
        for control in self._controls:
            objection = control.objection(submission)
            if objection is not None:
                self.triggered[control.id] += 1
                return submission.answer(ExecutionStatus.BLOCKED_BY_SAFETY, reason=objection, violation=control.id)
        return await call_next(submission)
