"""Ids: the runbook's formats, unique under load, and client_order_ids that follow from the intent_id alone."""

from __future__ import annotations

import re
import string
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.ids import INTENT_ID, IdFactory, client_order_id, session_id
from tests.factories import NOW, PROPERTY

intent_ids = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(PROPERTY, max_examples=50)
@given(moments)
def test_a_run_id_has_the_runbooks_format(now: datetime) -> None:
    found = re.fullmatch(r"run_(\d{8}_\d{6})_[0-9a-f]{6}", IdFactory().run_id(now))
    assert found
    assert found[1] == f"{now:%Y%m%d_%H%M%S}"


def test_200_000_run_ids_of_one_second_are_all_different() -> None:
    ids = IdFactory()
    made = {ids.run_id(NOW + timedelta(microseconds=number)) for number in range(200_000)}
    assert len(made) == 200_000
    assert {len(each) for each in made} == {len("run_20251209_143245_abc123")}


def test_the_stamp_follows_the_second() -> None:
    ids = IdFactory()
    seconds = [ids.run_id(NOW + timedelta(seconds=number))[13:19] for number in (0, 0.9, 1, 60, 0)]
    assert seconds == ["143245", "143245", "143246", "143345", "143245"]


def test_two_processes_do_not_count_alike() -> None:
    assert len({IdFactory().run_id(NOW) for _ in range(20)}) > 1
    assert len({IdFactory().intent_id(NOW) for _ in range(20)}) == 20


def test_made_intent_ids_are_usable_sortable_and_different() -> None:
    ids = IdFactory()
    made = [ids.intent_id(NOW + timedelta(milliseconds=number // 4)) for number in range(2000)]
    assert made == sorted(set(made))
    assert all(INTENT_ID.match(each) for each in made)


def test_a_session_id_names_environment_and_day() -> None:
    assert session_id("paper", NOW) == "session_paper_20251209"


@settings(PROPERTY, max_examples=300)
@given(intent_ids)
def test_a_client_order_id_is_letters_and_digits_that_every_venue_takes(intent_id: str) -> None:
    made = client_order_id(intent_id)
    assert set(made) <= set(string.ascii_letters + string.digits)
    assert 1 <= len(made) <= 28
    assert made == client_order_id(intent_id)


@settings(PROPERTY, max_examples=100)
@given(st.sets(intent_ids | st.text("0123456789abcdefABCDEF", min_size=23, max_size=25), min_size=2, max_size=50))
def test_different_intents_never_share_a_client_order_id(many: set[str]) -> None:
    assert len({client_order_id(each) for each in many}) == len(many)


def test_near_intent_ids_do_not_meet() -> None:
    near = [
        f"{prefix}{number}{suffix}" for number in range(5000) for prefix in ("", "a-", "A-") for suffix in ("", " ")
    ]
    assert len({client_order_id(each) for each in near}) == len(near)
    own = IdFactory().intent_id(NOW)
    assert len({client_order_id(each) for each in (own, own.upper() + "A", "U" + own, own + " ", own[:-1])}) == 5


def test_an_id_of_our_own_stays_readable() -> None:
    own = IdFactory().intent_id(NOW)
    assert client_order_id(own) == "U" + own


def test_a_client_order_id_is_the_same_in_every_process_and_release() -> None:
    """A restart looks its orders up by it: changing the function loses them."""
    code = "from router.ids import client_order_id; print(client_order_id('smoke test #1'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == client_order_id("smoke test #1") == "H" + EXPECTED


EXPECTED = "3CRE6RXR4OYPG6MRZEXUCZ3M"


@pytest.mark.parametrize("text", ["x", " ", "~" * 64, "a b/c:d"])
def test_an_intent_id_is_1_to_64_printable_ascii_characters(text: str) -> None:
    assert INTENT_ID.match(text)


@pytest.mark.parametrize("text", ["", "x" * 65, "ä", "a\n", "\n", "a\tb", "\x7f", "\ud800"])
def test_nothing_else_is_an_intent_id(text: str) -> None:
    assert not INTENT_ID.match(text)
