"""What the Bybit-shaped venue demands of any request: signature, time, rate; and nothing makes it fail."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from router.clock import VirtualClock
from tests.factories import PROPERTY
from tests.loopback.bybit_client import D
from tools.loopback.bybit import BybitDialect
from tools.loopback.bybit_rules import sign
from tools.loopback.exchange import Exchange
from tools.loopback.wire import Answer, Call, Dialect


def asked(exchange: Exchange, method: str, path: str, payload: str, *, secret: str = "s", key: str = "k") -> Call:
    stamp = str(exchange.time())
    headers = {"x-bapi-api-key": key, "x-bapi-timestamp": stamp, "x-bapi-recv-window": "5000"}
    headers["x-bapi-sign"] = sign(secret, f"{stamp}{key}5000{payload}")
    query, body = ("", payload.encode()) if method == "POST" else (payload, b"")
    return Call(method, path, query, headers, body)


def quiet() -> tuple[VirtualClock, Exchange, BybitDialect]:
    clock = VirtualClock()
    exchange = Exchange(BybitDialect.policy, clock)
    _: type[Dialect] = BybitDialect  # mypy's proof that the server can have it
    return clock, exchange, BybitDialect(exchange, "k", "s", set())


def test_each_route_has_its_rate_and_says_what_is_left() -> None:
    clock, exchange, dialect = quiet()

    def ask() -> Answer:
        return dialect.handle(asked(exchange, "GET", "/v5/user/query-api", ""))

    answers = [ask() for _ in range(11)]
    assert [answer.body["retCode"] for answer in answers] == [0] * 10 + [10006]
    assert [answer.headers["X-Bapi-Limit-Status"] for answer in answers] == [*map(str, range(9, -1, -1)), "0"]
    assert answers[-1].headers["X-Bapi-Limit"] == "10"
    assert int(answers[-1].headers["X-Bapi-Limit-Reset-Timestamp"]) == exchange.time() + 1000
    assert dialect.handle(asked(exchange, "GET", "/v5/account/info", "")).body["retCode"] == 0
    clock.jump(1)
    assert ask().body["retCode"] == 0


def test_a_signature_is_over_exactly_what_was_sent() -> None:
    _, exchange, dialect = quiet()
    call = asked(exchange, "GET", "/v5/order/realtime", "category=spot&symbol=BTCUSDT")
    assert dialect.handle(call).body["retCode"] == 0
    for change in ({"query": "category=spot&symbol=ETHUSDT"}, {"headers": {**call.headers, "x-bapi-sign": "0"}}):
        assert dialect.handle(msgspec.structs.replace(call, **change)).body["retCode"] == 10004
    assert dialect.handle(msgspec.structs.replace(call, headers={})).body["retCode"] == 10001
    order = asked(exchange, "POST", "/v5/order/create", "{}")
    assert dialect.handle(msgspec.structs.replace(order, body=b"{ }")).body["retCode"] == 10004
    assert dialect.handle(asked(exchange, "GET", "/v6/nothing", "")).body["retCode"] == 10017


WORDS = st.one_of(
    st.sampled_from(
        [
            *("spot", "linear", "BTCUSDT", "Buy", "Sell", "Limit", "Market", "IOC", "FOK", "PostOnly", "baseCoin"),
            *("quoteCoin", "1", "0.01", "50000", "1e999999", "1e-99", "NaN", "²", "9" * 5000, "a-1", "UNIFIED"),
        ]
    ),
    st.text(max_size=5),
    st.integers(),
    st.none(),
    st.lists(st.integers(), max_size=2),
)
NAMES = st.sampled_from(
    [
        *("category", "symbol", "side", "orderType", "qty", "price", "timeInForce", "marketUnit", "orderLinkId"),
        *("orderId", "limit", "cursor", "startTime", "endTime", "openOnly", "orderStatus", "accountType", "coin"),
    ]
)


@PROPERTY
@given(st.lists(st.tuples(st.sampled_from(["create", "amend", "cancel", "cancel-all"]), st.dictionaries(NAMES, WORDS))))
def test_any_body_is_answered_and_money_is_conserved(posts: list[tuple[str, dict[str, Any]]]) -> None:
    _, exchange, dialect = quiet()
    sound: dict[str, Any] = {
        "category": "spot",
        "symbol": "BTCUSDT",
        "side": "Sell",
        "orderType": "Limit",
        "qty": "1",
        "price": "9",
    }
    for name, values in posts:
        body = msgspec.json.encode({**sound, **values}).decode()
        answer = dialect.handle(asked(exchange, "POST", f"/v5/order/{name}", body))
        assert isinstance(answer.body["retCode"], int)
        msgspec.json.decode(answer.text())
    fees = sum((trade.fee for trade in exchange.trades if trade.fee_currency == "BTC"), D(0))
    bought = sum(trade.quantity if trade.side == "BUY" else -trade.quantity for trade in exchange.trades)
    assert sum(exchange.balances()["BTC"]) == D(100) + bought - fees


@PROPERTY
@given(
    st.sampled_from(["order/realtime", "order/history", "execution/list", "account/wallet-balance"]),
    st.dictionaries(NAMES, st.one_of(WORDS.map(str), st.text(max_size=30))),
)
def test_any_query_is_answered(path: str, values: dict[str, str]) -> None:
    _, exchange, dialect = quiet()
    query = "&".join(f"{name}={value}" for name, value in {"category": "spot", **values}.items())
    assert isinstance(dialect.handle(asked(exchange, "GET", f"/v5/{path}", query)).body["retCode"], int)


def test_a_request_that_was_held_up_is_judged_by_the_clock_of_its_execution() -> None:
    clock, exchange, dialect = quiet()
    body = '{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"1","price":"9"}'
    soon, late = asked(exchange, "POST", "/v5/order/create", body), asked(exchange, "POST", "/v5/order/create", body)
    clock.jump(5)
    assert dialect.handle(soon).body["retCode"] == 0
    clock.jump(0.001)
    assert dialect.handle(late).body["retCode"] == 10002
    assert len(exchange.orders) == 1
