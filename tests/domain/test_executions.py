"""A trade counts under its last name, and what was taken back is remembered."""

from __future__ import annotations

from router.domain.executions import Execution, Executions, latest, remember
from tests.factories import D, fill, order


def test_a_trade_is_found_under_the_name_that_its_last_correction_gave_it() -> None:
    one = Execution(D(1), D(100), D(0), None, None)
    executions: Executions = {"t": one, "t-corrected": one, "t-corrected-corrected": one}
    assert latest(executions, "t") == "t-corrected-corrected"
    assert (latest(executions, "u"), latest(executions, None)) == ("u", None)


def test_a_fill_is_remembered_whole() -> None:
    executions: Executions = {}
    remember(executions, fill(order(), "0.4", "200", trade_id="t", fee=D(1), fee_currency="USD"))
    assert executions == {"t": Execution(D("0.4"), D(200), D(1), "USD", None)}
