"""Every executor is one: the types say so, and the dispatcher relies on it."""

from __future__ import annotations

import pytest

from router.executors.base import OrderExecutor
from router.executors.paper import PaperExecutor
from router.executors.shadow import ShadowExecutor
from tests.executors.venue import Venue


@pytest.mark.parametrize("kind", [PaperExecutor, ShadowExecutor])
def test_an_executor_is_one(kind: type[PaperExecutor]) -> None:
    executor: OrderExecutor = Venue(kind=kind).executor
    assert executor.environment == "paper"
    assert not executor.remote
