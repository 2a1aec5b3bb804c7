"""The register: every key of the map has somebody who signed its status off, and an unsigned change is seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from router.governance import go_no_go
from router.governance.register import SIGNED, Entry, register

KEY = "risk_check_override"


def entry(key: str, *configured: str) -> Entry:
    return next(each for each in register(*configured) if each.key == key)


def test_every_key_of_the_map_has_an_entry_and_every_entry_a_key() -> None:
    assert SIGNED.keys() == go_no_go._FEATURE_STATUS_MAP.keys()
    assert {each.key for each in register()} == go_no_go._FEATURE_STATUS_MAP.keys()


@pytest.mark.parametrize("signed", SIGNED.values(), ids=list(SIGNED))
def test_an_entry_says_what_the_map_says_and_who_why_and_when(signed: Entry) -> None:
    assert signed.status == go_no_go._FEATURE_STATUS_MAP[signed.key]
    assert signed.status in {"locked", "approved"}
    assert signed.reason
    assert signed.signed_off_by
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])(-[0-3]\d)?", signed.date)


def test_the_map_is_a_plain_table_of_text_with_the_line_that_operators_grep() -> None:
    assert type(go_no_go._FEATURE_STATUS_MAP) is dict
    assert {type(word) for pair in go_no_go._FEATURE_STATUS_MAP.items() for word in pair} == {str}
    lines = [line.strip() for line in Path(go_no_go.__file__).read_text().splitlines()]
    assert '"live_order_execution": "locked",' in lines


def test_what_is_shown_is_what_was_signed_off() -> None:
    assert {each.key: each for each in register()} == SIGNED


@pytest.mark.parametrize("status", ["approved", "unknown"])
def test_a_status_that_nobody_signed_off_is_shown_as_that(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "live_order_execution", status)
    live = entry("live_order_execution")

    assert (live.status, live.signed_off_by, live.date) == (status, "", "")
    assert "signed off was locked by" in live.reason


def test_a_key_without_an_entry_is_shown_as_signed_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, "moon_order_execution", "approved")
    assert entry("moon_order_execution").reason == "Nobody signed this off; signed off was nothing."


@pytest.mark.parametrize("origin", ["file", "env ROUTER__GOVERNANCE__RISK_CHECK_OVERRIDE"])
def test_what_configuration_changes_is_shown_with_where_it_is_from(origin: str) -> None:
    shown = entry(KEY, "approved", origin)
    assert (shown.status, shown.signed_off_by, shown.date) == ("approved", "configuration", "")
    assert origin in shown.reason
    assert {each.key: each for each in register("locked", origin)} == SIGNED
    assert {each.key: each for each in register("approved", origin)} == SIGNED | {KEY: shown}


def test_configuration_cannot_lock_what_nobody_signed_off_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(go_no_go._FEATURE_STATUS_MAP, KEY, "approved")
    assert entry(KEY, "approved", "file").signed_off_by == ""
    assert entry(KEY, "locked", "file").signed_off_by == "configuration"
