"""The register: live is locked, and what is not listed counts as locked."""

from __future__ import annotations

import pytest

from router.governance import go_no_go
from router.governance.go_no_go import get_governance_status, governance_status


def test_live_order_execution_is_locked() -> None:
    assert get_governance_status("live_order_execution") == "locked"


def test_skipping_the_risk_check_is_locked() -> None:
    assert get_governance_status("risk_check_override") == "locked"


@pytest.mark.parametrize("key", ["", "live", "Live_Order_Execution", "live_order_execution ", "moon_order_execution"])
def test_a_key_that_is_not_listed_is_unknown(key: str) -> None:
    assert get_governance_status(key) == "unknown"


def test_the_register_holds_two_words_only() -> None:
    assert set(governance_status().values()) <= {"locked", "approved"}


def test_configuration_may_set_its_key_but_never_live() -> None:
    register = governance_status({"risk_check_override": "approved", "live_order_execution": "approved"})
    assert register["risk_check_override"] == "approved"
    assert register["live_order_execution"] == "locked"


def test_what_is_handed_out_is_a_copy() -> None:
    governance_status()["live_order_execution"] = "approved"
    assert governance_status()["live_order_execution"] == "locked"


def test_the_whole_map_is_handed_out() -> None:
    assert governance_status() == go_no_go._FEATURE_STATUS_MAP
