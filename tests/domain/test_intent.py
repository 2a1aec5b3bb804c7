"""An intent takes any nonsense without raising, keeps numbers exact, and reads the same after a restart."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NoReturn

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide, OrderType
from router.domain.intent import (
    OrderIntent,
    encode_intent,
    exact,
    intent_from,
    json_form,
    plain,
    safe_repr,
    same_content,
    storable,
)
from tests.factories import PROPERTY, D, intent

FIELDS = OrderIntent.__struct_fields__


def _refuse(*_: object) -> NoReturn:
    raise ValueError("no")


class Speechless:
    __repr__ = __str__ = _refuse


class Truthless:
    """As an array or a data frame: asking for its truth raises."""

    __bool__ = __len__ = _refuse


class Surrogate:
    def __repr__(self) -> str:
        return "\ud800"


Classless: Callable[[], Any] = type("Classless", (), {"__class__": property(_refuse)})
"""``isinstance`` asks for the class, and gets an exception."""


class HostileKey:
    __hash__ = object.__hash__
    __eq__ = _refuse


class HostileDict(dict[Any, Any]):
    __iter__ = items = keys = _refuse


class HostileFloat(float):
    __float__ = __str__ = __repr__ = _refuse


class HostileText(str):
    __len__ = strip = __str__ = __repr__ = _refuse
    __slots__ = ()


class Text(str):
    """As numpy's str_."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"


class Number(Decimal):
    """A Decimal of a library's own."""


class Timestamp(datetime):
    """As pandas' Timestamp."""


class Pair(enum.StrEnum):
    BTC = "BTC/USD"


def nested(depth: int) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for _ in range(depth):
        tree = {"a": tree}
    return tree


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


HOSTILE: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "true": lambda: True,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "minus zero": lambda: -0.0,
    "signalling nan": lambda: D("sNaN"),
    "minus infinity": lambda: D("-Infinity"),
    "huge decimal": lambda: D("1e999999"),
    "tiny decimal": lambda: D("-1e-999999"),
    "huge text number": lambda: "1e999999",
    "nan text": lambda: "sNaN123",
    "huge int": lambda: 1 << 3_000_000,
    "long int": lambda: -(10**5000),
    "lone surrogate": lambda: "\ud800",
    "nul": lambda: "1\x00",
    "arabic digits": lambda: "١٢",
    "long number text": lambda: "9" * 5000,
    "bytes": lambda: b"\xff",
    "class": lambda: object,
    "object": object,
    "function": lambda: print,
    "set": lambda: {1, 2},
    "tuple key": lambda: {(1, 2): 3},
    "surrogate key": lambda: {"\ud800": 1},
    "65 bits": lambda: 2**70,
    "complex": lambda: 1j,
    "no repr": Speechless,
    "no truth": Truthless,
    "surrogate repr": Surrogate,
    "no class": Classless,
    "hostile dict": lambda: HostileDict(a=1),
    "hostile float": lambda: HostileFloat(1.5),
    "hostile text": lambda: HostileText("1"),
    "text subclass": lambda: Text("x"),
    "decimal subclass": lambda: Number("1.5"),
    "list of them": lambda: {"a": [Speechless(), Surrogate(), Classless()]},
    "deep": lambda: nested(600),
    "very deep": lambda: nested(100_000),
    "endless": endless,
    "enum": lambda: OrderSide.BUY,
}
"""Made when needed: test runners, too, stumble over some of them."""
_DRAWN = [name for name in HOSTILE if name != "no class"]  # hypothesis asks what it draws for its class
anything = st.recursive(
    st.sampled_from([*_DRAWN]).map(lambda name: HOSTILE[name]())
    | st.text(st.characters(), max_size=8)
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=True)
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.none() | st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


def readable(wish: OrderIntent) -> OrderIntent:
    """Return ``wish`` as intake passes it on."""
    return wish if storable(wish) else plain(wish)


def after_a_restart(wish: OrderIntent) -> OrderIntent:
    return msgspec.json.decode(encode_intent(wish), type=OrderIntent)


# -- never raises ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_any_object_in_any_field_can_be_constructed_stored_and_read_again(field: str, kind: str) -> None:
    wish = readable(OrderIntent(**{field: HOSTILE[kind]()}))
    assert storable(wish)
    assert same_content(wish, after_a_restart(wish))


@settings(PROPERTY, max_examples=150)
@given(st.dictionaries(st.sampled_from(FIELDS), anything))
def test_any_mixture_of_garbage_can_be_constructed_stored_and_read_again(fields: dict[str, Any]) -> None:
    wish = readable(OrderIntent(**fields))
    assert same_content(wish, after_a_restart(wish))


@settings(PROPERTY, max_examples=100)
@given(anything | st.dictionaries(st.sampled_from([*FIELDS, "qty", ""]) | st.integers(), anything, max_size=4))
def test_whatever_is_pushed_on_the_queue_becomes_an_intent(thing: Any) -> None:
    assert type(readable(intent_from(thing))) is OrderIntent


@pytest.mark.parametrize("kind", HOSTILE)
def test_any_object_on_the_queue_becomes_an_intent(kind: str) -> None:
    for thing in (HOSTILE[kind](), {"metadata": HOSTILE[kind]()}, {HostileKey(): HOSTILE[kind]()}):
        assert storable(readable(intent_from(thing)))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_short_text_can_be_had_of_anything_and_be_stored(kind: str) -> None:
    text = safe_repr(HOSTILE[kind]())
    assert type(text) is str
    assert len(text) <= 200
    assert text.encode()


def test_a_huge_int_costs_nothing() -> None:
    """Its conversion took three minutes of the event loop; neither is its text ever made."""
    wish = OrderIntent(quantity=1 << 10_000_000, price=-(1 << 10_000_000), metadata={"n": 1 << 10_000_000})
    assert not isinstance(wish.quantity, Decimal)
    assert encode_intent(plain(wish))


# -- exact -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_number", "number"),
    [
        (0.1, "0.1"),
        (1, "1"),
        ("0.10", "0.10"),
        (" 2.5 ", "2.5"),
        (D("3.000"), "3.000"),
        (1e-8, "1E-8"),
        (1e16, "1E+16"),
    ],
)
@pytest.mark.parametrize("field", ["quantity", "price"])
def test_a_number_becomes_the_decimal_its_author_wrote(field: str, given_number: Any, number: str) -> None:
    value = getattr(OrderIntent(**{field: given_number}), field)
    assert type(value) is Decimal
    assert str(value) == number


@settings(PROPERTY, max_examples=100)
@given(st.integers(-(10**30), 10**30), st.floats(allow_nan=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_no_number_is_rounded(whole: int, real: float, number: Decimal) -> None:
    assert exact(whole) == whole
    assert float(exact(real)) == real
    assert str(exact(number)) == str(number)
    assert str(exact(str(number))) == str(number)


@pytest.mark.parametrize("thing", [None, True, False, "ten", "", "1,5", [1], object()])
def test_what_is_no_number_comes_back_unchanged(thing: Any) -> None:
    assert exact(thing) is thing


@pytest.mark.parametrize("text", ["1" * 101, "1." + "0" * 100, "9" * 5000])
def test_a_number_of_more_than_100_characters_is_none_today_and_after_a_restart(text: str) -> None:
    """As a Decimal it was accepted, journaled as text, and could not be read back: the start failed."""
    for number in (text, D(text)):
        wish = intent(quantity=number, price=number)
        assert wish.quantity == wish.price == after_a_restart(wish).quantity == text


@pytest.mark.parametrize(
    "whole", [10**100 - 1, 1 - 10**99, 10**100, 1 - 10**100, 10**250, 10**400, -(10**5000)], ids=range(7)
)
def test_a_long_int_reads_the_same_after_a_restart(whole: int) -> None:
    wish = intent(quantity=whole)
    assert type(after_a_restart(wish).quantity) is type(wish.quantity)
    assert after_a_restart(wish).quantity == wish.quantity
    assert isinstance(wish.quantity, Decimal) is (1 - 10**99 <= whole < 10**100)


def test_foreign_kinds_of_number_text_and_time_are_read_back_as_what_they_are() -> None:
    """They were journaled as their repr, so that an accepted order could not be rebuilt after a restart."""
    at = Timestamp(2030, 1, 1, tzinfo=UTC)
    wish = intent(symbol=Text("BTC/USD"), strategy_key=Text("s"), quantity=Number("0.5"), expire_at=at)
    again = after_a_restart(wish)
    assert (again.symbol, again.strategy_key, again.quantity) == ("BTC/USD", "s", D("0.5"))
    assert datetime.fromisoformat(again.expire_at) == at
    assert type(wish.quantity) is Decimal
    assert after_a_restart(intent(symbol=Pair.BTC)).symbol == "BTC/USD"
    assert json_form(Number("1.50")) == "1.50"


# -- kept as asked -----------------------------------------------------------------------------------------------


def test_the_caller_cannot_change_the_metadata_of_a_sent_intent() -> None:
    mine = {"why": "signal"}
    wish = intent(metadata=mine)
    mine["why"] = "something else"
    assert wish.metadata == {"why": "signal"}


def test_an_intent_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        intent().quantity = D(2)  # type: ignore[misc]


def test_a_mapping_is_read_field_by_field_and_unknown_fields_are_shown() -> None:
    wish = intent_from({"symbol": "BTC/USD", "quantity": 0.5, "qty": 1, 7: 2, "metadata": {"a": 1}})
    assert (wish.symbol, wish.quantity) == ("BTC/USD", D("0.5"))
    assert wish.metadata == {"a": 1, "unknown_fields": ["'qty'", "7"]}


def test_garbage_becomes_an_empty_intent_that_shows_what_came() -> None:
    wish = intent_from(["buy", "now"])
    assert wish == OrderIntent(order_type=None, time_in_force=None, metadata={"received": "['buy', 'now']"})


def test_an_intent_passes_unchanged() -> None:
    wish = intent()
    assert intent_from(wish) is wish


def test_plain_replaces_only_what_cannot_be_stored() -> None:
    wish = plain(intent(symbol="\ud800", metadata=nested(600)))
    assert wish.symbol == "'\\ud800'"
    assert list(wish.metadata) == ["received"]
    assert (wish.side, wish.quantity) == ("buy", D("0.01"))


def test_metadata_may_nest_as_people_nest_it() -> None:
    wish = intent(metadata={"a": nested(100), "long": "x" * 5000})
    assert storable(wish)
    assert after_a_restart(wish).metadata == wish.metadata


# -- same content ------------------------------------------------------------------------------------------------


def test_a_default_that_is_written_out_is_the_same_content() -> None:
    """A client that re-sends with the defaults spelled out was refused as another order."""
    sent = intent()
    again = msgspec.json.decode(
        b'{"symbol":"BTC/USD","side":"buy","quantity":"0.01","order_type":"market","time_in_force":"GTC",'
        b'"reduce_only":false,"price":null,"metadata":{}}',
        type=OrderIntent,
    )
    assert same_content(sent, again)
    assert same_content(sent, intent(side=OrderSide.BUY, order_type=OrderType.MARKET))


def test_the_order_of_keys_is_no_content() -> None:
    assert same_content(intent(metadata={"a": 1, "b": 2}), intent(metadata={"b": 2, "a": 1}))


@pytest.mark.parametrize("field", FIELDS)
def test_a_change_in_any_field_is_other_content(field: str) -> None:
    assert not same_content(intent(), intent(**{field: "7"}))


def test_zeros_and_case_make_no_other_content_but_a_tick_does() -> None:
    def asked(quantity: str, price: str, side: str) -> OrderIntent:
        return OrderIntent("BTC/USD", side, quantity, order_type="limit", price=price)

    assert same_content(asked("0.01", "40000", "buy"), asked("0.0100", "4E4", "BUY"))
    assert not same_content(asked("0.01", "40000", "buy"), asked("0.01", "40000.01", "buy"))
