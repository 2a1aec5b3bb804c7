"""The tree of exceptions, as drawn; what a caller may catch."""

from __future__ import annotations

import re

import pytest

from router import errors
from router.errors import (
    ConfigError,
    ExecutionPipelineError,
    GovernanceViolationError,
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    LiveExecutionLockedError,
    MarketDataError,
    RouterError,
)

OURS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}


def test_the_tree_is_the_one_drawn_in_the_docstring() -> None:
    drawn, path = {}, ["Exception"]
    for line in (errors.__doc__ or "").splitlines():
        row = re.match(r"    ([│├└─ ]*)(\w+Error)", line)
        if row:
            depth = len(row[1]) // 4 + 1
            path = [*path[:depth], row[2]]
            drawn[row[2]] = path[depth - 1]
    assert drawn == {name: kind.__bases__[0].__name__ for name, kind in OURS.items()}


@pytest.mark.parametrize("kind", OURS.values())
def test_everything_we_raise_can_be_caught_as_one_and_says_why_it_exists(kind: type[Exception]) -> None:
    assert issubclass(kind, RouterError)
    assert str(kind("what happened")) == "what happened"
    assert kind.__doc__


def test_locked_live_is_a_governance_violation_is_a_pipeline_error() -> None:
    assert issubclass(LiveExecutionLockedError, GovernanceViolationError)
    assert issubclass(GovernanceViolationError, ExecutionPipelineError)


def test_other_troubles_are_not_the_pipelines() -> None:
    for kind in (ConfigError, MarketDataError, JournalError, JournalLockedError, JournalCorruptError):
        assert not issubclass(kind, ExecutionPipelineError)


def test_a_governance_violation_brings_the_journaled_answer() -> None:
    answer = object()
    assert LiveExecutionLockedError("locked", answer).result is answer
    assert GovernanceViolationError("locked").result is None
