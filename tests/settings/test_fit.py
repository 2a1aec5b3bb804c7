"""Single values: exact where they fit, refused in words where they do not."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta
from msgspec.inspect import Type, type_info

from router.settings.fit import MisfitError, decimal_from, fit, struct_fields

PORT = type_info(Annotated[int, Meta(ge=0, le=65535)])
SECONDS = type_info(Annotated[float, Meta(gt=0)])
AMOUNT = type_info(Annotated[Decimal, Meta(extra={"ge": 0})])
COLLAR = type_info(Annotated[Decimal, Meta(extra={"gt": 0, "off": True})] | None)
OPTIONAL = type_info(Decimal | None)
WORD = type_info(Literal["queue", "instant"])
NAMES = type_info(tuple[str, ...])
TABLE = type_info(dict[str, Annotated[Decimal, Meta(extra={"ge": 0})]])
CHOICE = type_info(dict[Literal["HIGH", "LOW"], str])


class Pair(msgspec.Struct):
    left: int
    right: int = 0


@pytest.mark.parametrize(
    ("kind", "raw", "wanted"),
    [
        (PORT, 0, 0),
        (PORT, 65535, 65535),
        (SECONDS, 5, 5.0),
        (SECONDS, Decimal("0.25"), 0.25),
        (AMOUNT, "0.10", Decimal("0.10")),
        (AMOUNT, 0.1, Decimal("0.1")),
        (AMOUNT, 7, Decimal(7)),
        (COLLAR, "off", None),
        (COLLAR, None, None),
        (COLLAR, "5", Decimal(5)),
        (WORD, "queue", "queue"),
        (NAMES, ["a", "b"], ("a", "b")),
        (TABLE, {"USD": "1"}, {"USD": Decimal(1)}),
        (type_info(Pair), {"left": 1}, Pair(1)),
    ],
)
def test_what_fits(kind: Type, raw: object, wanted: object) -> None:
    fitted = fit(raw, kind)
    assert fitted == wanted
    assert type(fitted) is type(wanted)


@pytest.mark.parametrize(
    ("kind", "raw", "problem"),
    [
        (PORT, "eight", 'must be a whole number at least 0 and at most 65535; found "eight"'),
        (PORT, 65536, "must be a whole number at least 0 and at most 65535; found 65536"),
        (PORT, -1, "must be a whole number at least 0 and at most 65535; found -1"),
        (PORT, True, "must be a whole number at least 0 and at most 65535; found true"),
        (PORT, Decimal("80.5"), "must be a whole number at least 0 and at most 65535; found 80.5"),
        (SECONDS, 0, "must be a number above 0; found 0"),
        (SECONDS, Decimal("NaN"), "must be a number above 0; found NaN"),
        (SECONDS, Decimal("Infinity"), "must be a number above 0; found Infinity"),
        (SECONDS, 10**400, f"must be a number above 0; found 1{'0' * 59}"),
        (SECONDS, "5", 'must be a number above 0; found "5"'),
        (AMOUNT, "-1", 'must be a number at least 0; found "-1"'),
        (AMOUNT, True, "must be a number at least 0; found true"),
        (AMOUNT, [], "must be a number at least 0; found a list"),
        (COLLAR, "offf", 'must be a number above 0, or "off"; found "offf"'),
        (COLLAR, 0, 'must be a number above 0, or "off"; found 0'),
        (OPTIONAL, "off", 'must be a number; found "off"'),
        (WORD, "instnt", 'must be one of "instant", "queue"; found "instnt"'),
        (NAMES, "a", 'must be a list, each item text; found "a"'),
        (NAMES, [1], "must be text; found 1"),
        (TABLE, 5, "must be a table; found 5"),
        (type_info(Pair), 5, "must be a table; found 5"),
    ],
)
def test_what_does_not_fit_is_said_in_words(kind: Type, raw: object, problem: str) -> None:
    with pytest.raises(MisfitError) as caught:
        fit(raw, kind, ("a", "b"))
    assert str(caught.value) == f"a.b {problem}"


@pytest.mark.parametrize(
    ("kind", "raw", "message"),
    [
        (TABLE, {"USD": "x"}, 't.USD must be a number at least 0; found "x"'),
        (CHOICE, {"HIHG": "x"}, "t.HIHG is not a known key; did you mean t.HIGH?"),
        (type_info(Pair), {"left": 1, "rigth": 2}, "t.rigth is not a known key; did you mean t.right?"),
        (type_info(Pair), {"right": 2}, "t.left is missing"),
    ],
)
def test_tables_are_followed_to_the_exact_key(kind: Type, raw: object, message: str) -> None:
    with pytest.raises(MisfitError) as caught:
        fit(raw, kind, ("t",))
    assert str(caught.value) == message


def test_text_marked_private_is_never_shown() -> None:
    private = Annotated[str, Meta(pattern="^json://", extra={"private": True})]
    shapes: list[tuple[Any, object]] = [
        (private, "slack//hunter2"),
        (tuple[private, ...], ["slack//hunter2"]),
        (tuple[private, ...], "slack//hunter2"),
        (dict[str, private], {"a": "slack//hunter2"}),
        (dict[str, tuple[private, ...]], "slack//hunter2"),
    ]
    for kind, raw in shapes:
        with pytest.raises(MisfitError) as caught:
            fit(raw, type_info(kind), ("urls",))
        assert "hunter2" not in str(caught.value)


def test_a_password_inside_a_url_is_not_shown() -> None:
    kind = type_info(Annotated[str, Meta(pattern="^never$")])
    with pytest.raises(MisfitError) as caught:
        fit("http://me:hunter2@host", kind, ("base_url",))
    assert str(caught.value) == 'base_url must be text; found "http://…@host"'


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1_000", "NaN", "Infinity", "0x10", "1,5", "٣", "1e31", "1e-31"])
def test_text_that_is_no_plain_number(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        decimal_from(text)


@pytest.mark.parametrize("value", [True, None, [], float("nan"), float("inf"), Decimal("sNaN"), Decimal("1e31")])
def test_values_that_are_no_finite_number(value: object) -> None:
    with pytest.raises(ValueError, match="not"):
        decimal_from(value)


@given(number=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=8))
def test_decimals_are_exact_however_they_are_written(number: Decimal) -> None:
    for written in (number, str(number), f"{number:f}"):
        assert decimal_from(written) == number
        assert decimal_from(written).as_tuple().digits == number.as_tuple().digits or number == 0


@given(number=st.floats(allow_nan=False, allow_infinity=False, min_value=-1e20, max_value=1e20))
def test_a_float_becomes_the_decimal_a_person_reads(number: float) -> None:
    if number == 0 or abs(number) > 1e-20:
        assert str(float(decimal_from(number))) == str(number)


def test_the_fields_of_a_struct_are_known_by_name() -> None:
    assert list(struct_fields(Pair)) == ["left", "right"]
