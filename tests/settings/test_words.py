"""What messages say about types and values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import pytest
from msgspec import Meta
from msgspec.inspect import type_info

from router.settings.words import expected, limits, shown

TEXT = type_info(str)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (False, "false"),
        ("x" * 100, f'"{"x" * 60}…"'),
        (Decimal("1.10"), "1.10"),
        ({"a": 1}, "a table"),
        ([1], "a list"),
        (datetime(2025, 1, 1, tzinfo=UTC), "a date or time"),
        (None, "NoneType"),
    ],
)
def test_values_are_shown_as_toml_writes_them(value: object, words: str) -> None:
    assert shown(value, TEXT) == words


def test_types_are_described_in_words() -> None:
    named = Annotated[str, Meta(description="a file name")]
    assert expected(type_info(named)) == "a file name"
    assert expected(type_info(tuple[named, ...])) == "a list, each item a file name"
    assert expected(type_info(dict[str, int])) == "a table"


def test_limits_come_from_either_kind_of_annotation() -> None:
    assert limits(type_info(Annotated[int, Meta(ge=1, lt=5)])) == {"ge": Decimal(1), "lt": Decimal(5)}
    assert limits(type_info(Annotated[Decimal, Meta(extra={"gt": 0, "off": True})])) == {"gt": Decimal(0)}
    assert limits(TEXT) == {}
