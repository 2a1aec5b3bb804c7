"""An intent becomes an exact order or a fault, and a journaled one becomes the same order again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import OrderIntent, OrderSide, OrderType, TimeInForce
from router.domain.intent import encode_intent, storable
from router.domain.market import Instrument, Quote
from router.domain.order import Order
from router.execution.validation import InvalidIntentError, Validation
from router.market.instruments import load_instruments
from router.middleware import Submission
from tests.execution.world import CONFIG, NOON
from tests.pipelines import intent, resting

INSTRUMENTS = load_instruments(CONFIG / "instruments.toml")
QUOTE = Quote("BTC/USD", Decimal("49999.5"), Decimal("50000.5"), None, None, NOON, 0.0)


def validated(wanted: OrderIntent, *, quote: Quote | None = QUOTE, at: datetime = NOON) -> Order:
    submission = Submission(
        wanted, run_id="r", session_id="s", environment="paper", client_order_id="c", received_at=at
    )
    return Validation(INSTRUMENTS, lambda _: quote).order(submission)


def listed(wanted: OrderIntent, rules: Instrument | None, environment: str = "testnet") -> Order:
    """Validate for the testnet, whose venue has ``rules`` of its own for the symbol."""
    submission = Submission(
        wanted, run_id="r", session_id="s", environment=environment, client_order_id="c", received_at=NOON
    )
    asked: list[Instrument] = []

    def at_the_venue(ours: Instrument) -> Instrument | None:
        asked.append(ours)
        return rules

    order = Validation(INSTRUMENTS, lambda _: QUOTE, {"testnet": at_the_venue}).order(submission)
    assert asked == ([INSTRUMENTS[order.symbol]] if environment == "testnet" else [])
    return order


OURS = INSTRUMENTS["BTC/USD"]
COARSER: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"tick_size": Decimal(5)}, {"price": "40001"}, "price", "Price is not a multiple of tick size 5"),
    ({"lot_size": Decimal("0.1")}, {"quantity": "0.05"}, "quantity", "Quantity is not a multiple of lot size 0.1"),
    ({"min_quantity": Decimal(1)}, {"quantity": "0.5"}, "quantity", "Quantity below minimum 1"),
    ({"max_quantity": Decimal(2)}, {"quantity": "3"}, "quantity", "Quantity above maximum 2"),
    ({"min_notional": Decimal(5000)}, {"quantity": "0.1"}, "quantity", "Notional below minimum 5000"),
]


@pytest.mark.parametrize(("rules", "fields", "field", "message"), COARSER)
def test_a_venues_coarser_rules_refuse_what_ours_would_take(
    rules: dict[str, Any], fields: dict[str, Any], field: str, message: str
) -> None:
    wanted = resting(**fields)
    assert listed(wanted, OURS).quantity == Decimal(fields.get("quantity", "0.01"))
    with pytest.raises(InvalidIntentError) as raised:
        listed(wanted, msgspec.structs.replace(OURS, **rules))
    assert (raised.value.fault.field, raised.value.fault.message) == (field, message)


def test_a_venues_finer_rules_loosen_none_of_ours() -> None:
    fine = msgspec.structs.replace(
        OURS, tick_size=Decimal("1e-9"), lot_size=Decimal("1e-9"), min_quantity=Decimal(0), min_notional=Decimal(0)
    )
    for fields in ({"price": "40000.000001"}, {"quantity": "0.010000001"}, {"quantity": "0.00001"}):
        with pytest.raises(InvalidIntentError):
            listed(resting(**fields), fine)


def test_what_the_venue_does_not_list_is_not_tradable_there_and_is_elsewhere() -> None:
    with pytest.raises(InvalidIntentError) as raised:
        listed(resting(), None)
    fault = raised.value.fault
    assert (fault.field, fault.message) == ("symbol", "Symbol not tradable")
    assert listed(resting(), None, "paper").quantity == Decimal("0.01")


def validated_or_none(wanted: OrderIntent) -> Order | None:
    try:
        return validated(wanted)
    except InvalidIntentError:
        return None


def fault(**fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidIntentError) as raised:
        validated(intent(**fields))
    return raised.value.fault.field, raised.value.fault.message


@pytest.mark.parametrize("side", ["buy", "BUY", "Buy", OrderSide.BUY])
def test_words_are_read_in_any_case(side: str) -> None:
    order = validated(intent(side=side, order_type="LIMIT", price="49000", time_in_force="gtc"))
    assert (order.side, order.order_type, order.time_in_force) == (OrderSide.BUY, OrderType.LIMIT, TimeInForce.GTC)


def test_a_day_order_ends_at_the_next_midnight_utc() -> None:
    late = datetime(2025, 12, 9, 23, 59, 59, 999999, tzinfo=UTC)
    end = datetime(2025, 12, 10, tzinfo=UTC)
    assert validated(intent(time_in_force="DAY"), at=late).expire_at == end
    assert validated(intent(time_in_force="DAY"), at=end).expire_at == end + timedelta(days=1)


@pytest.mark.parametrize(
    "moment",
    [
        NOON + timedelta(hours=1),
        "2025-12-09T13:00:00Z",
        "2025-12-09T14:00:00+01:00",
        (NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-9))),
    ],
)
def test_a_gtd_order_ends_when_it_says_in_any_zone(moment: object) -> None:
    order = validated(intent(time_in_force="GTD", expire_at=moment))
    assert order.expire_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize("year", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"])
def test_a_moment_at_the_end_of_time_is_refused_not_raised(year: str) -> None:
    assert fault(time_in_force="GTD", expire_at=year) == ("expire_at", "GTD orders require expire_at")


def test_an_end_without_gtd_is_refused_rather_than_ignored() -> None:
    assert fault(expire_at=NOON + timedelta(days=1)) == ("time_in_force", "Invalid time_in_force")


@pytest.mark.parametrize("field", ["reduce_only", "post_only"])
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_a_flag_is_true_or_false_and_nothing_else(field: str, value: object) -> None:
    assert fault(**{field: value}) == (field, f"{field} must be true or false")


def test_a_strategy_key_is_short_text() -> None:
    assert fault(strategy_key="x" * 129)[0] == "strategy_key"
    assert fault(strategy_key=5)[0] == "strategy_key"
    assert validated(intent(strategy_key="x" * 128)).strategy_key == "x" * 128


def test_the_notional_is_measured_at_the_price_or_at_the_side_that_would_be_taken() -> None:
    cheap = Quote("BTC/USD", Decimal(4), Decimal(6), None, None, NOON, 0.0)
    assert validated(intent(quantity=1), quote=cheap).quantity == 1
    with pytest.raises(InvalidIntentError, match="Notional below minimum 5"):
        validated(intent(quantity=1, side="sell"), quote=cheap)
    assert validated(intent(quantity="0.00001"), quote=None).quantity == Decimal("0.00001")
    with pytest.raises(InvalidIntentError, match="Notional below minimum 5"):
        validated(intent(quantity=1, order_type="limit", price="4.99"), quote=cheap)
    assert validated(intent(quantity=1, order_type="limit", price=5)).price == 5


def test_the_largest_and_the_smallest_quantity_pass() -> None:
    assert validated(intent(quantity=9000)).quantity == 9000
    assert validated(intent(quantity="0.0001")).quantity == Decimal("0.0001")
    assert fault(quantity="9000.00001")[1] == "Quantity above maximum 9000"


numbers = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=9000, places=5),
    st.integers(0, 9000),
    st.floats(0, 9000),
    st.decimals(),
    st.decimals(min_value=0, max_value=10).map(str),
    st.just(Decimal("0.01" + "0" * 150)),
)
anything = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=10), st.lists(st.integers(), max_size=2))
intents = st.builds(
    OrderIntent,
    symbol=st.sampled_from(["BTC/USD", "ETH/USD"]) | anything,
    side=st.sampled_from(["buy", OrderSide.SELL]) | anything,
    quantity=numbers | anything,
    order_type=st.sampled_from(["market", "LIMIT", OrderType.LIMIT]) | anything,
    price=st.none() | numbers | anything,
    time_in_force=st.sampled_from(list(TimeInForce)) | anything,
    expire_at=st.none() | st.datetimes(timezones=st.just(UTC)) | st.text(max_size=30),
    strategy_key=st.none() | st.text(max_size=10),
    reduce_only=st.booleans(),
    post_only=st.booleans(),
)


@given(intents)
def test_any_intent_is_an_order_or_a_fault_and_never_another_exception(wanted: OrderIntent) -> None:
    if not storable(wanted):
        return
    order = validated_or_none(wanted)
    if order is None:
        return
    assert order.quantity > 0
    assert order.quantity.is_finite()
    assert not order.quantity % INSTRUMENTS[order.symbol].lot_size
    assert order.price is None or order.price > 0
    assert order.price is not None or order.order_type is OrderType.MARKET
    journaled = msgspec.json.decode(encode_intent(wanted), type=OrderIntent)
    assert validated(journaled) == order
