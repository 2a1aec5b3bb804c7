"""A control that counts what leaves, on a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from router.clock import Clock
from router.middleware import Submission
from router.safety.guard import Control, Remembering
from router.settings import Safety
from tests.factories import NOW, HandClock


class Counting(Control, Remembering, Protocol):
    """A control that is told what passed."""


C = TypeVar("C", bound=Counting)


class Driven(Generic[C]):
    """Asks ``control``, and tells it of what it let pass, as the guard does."""

    def __init__(self, make: Callable[[Clock], C], limits: Safety) -> None:
        self.clock = HandClock(NOW)
        self.control = make(self.clock)
        self.limits = limits

    def send(self, submission: Submission) -> str | None:
        refused = self.control.objection(submission, self.limits)
        if refused is None:
            self.control.passed(submission, self.limits)
        return refused
