"""What an error proves, judged on the exceptions that ccxt itself makes of the venues' documented answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import ccxt.async_support as ccxt
import pytest
from ccxt.base import errors
from hypothesis import given
from hypothesis import strategies as st

from router.executors.testnet.outcomes import LONGEST_PAUSE_S, Kind, Outcome, classify
from router.executors.testnet.profiles import BINANCE, BYBIT, PROFILES, Profile
from tests.factories import PROPERTY

GENERIC = PROFILES["okx"]
PATHS = {"binance": "/api/v3/order", "bybit": "/v5/order/create"}
HOSTS = ("https://testnet.binance.vision", "http://127.0.0.1:8080")
"""ccxt chooses its tables of codes by the address: the outcome must be the same."""
SIGNED = "?symbol=BTCUSDT&timestamp=1764000000000&signature=0badc0de"


def raised(call: Callable[[], object], **attributes: object) -> BaseException:
    """Return what ``call`` raises, with what our client notes on errors that come out of an answer."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 -- it is what is looked at
        vars(error).update(attributes)
        return error
    raise AssertionError("ccxt took it for a success")


def answered(
    venue: str,
    status: int,
    body: object,
    *,
    headers: Mapping[str, str] | None = None,
    host: str = HOSTS[0],
    **options: object,
) -> BaseException:
    """Return the exception that ccxt makes of an answer."""
    exchange = getattr(ccxt, venue)({"options": options})
    text = body if isinstance(body, str) else json.dumps(body)
    url, headers = host + PATHS[venue] + SIGNED, headers or {}

    def read() -> None:
        parsed = exchange.parse_json(text)
        exchange.handle_errors(status, "Reason", url, "POST", headers, text, parsed, {}, None)
        exchange.handle_http_status_code(status, "Reason", url, "POST", text)

    return raised(read, http_status=status, http_headers=headers)


def binance(code: int, said: str = "Words of the venue.", status: int = 400, **fields: Any) -> BaseException:
    return answered("binance", status, {"code": code, "msg": said}, **fields)


def bybit(code: int, said: str = "words of the venue", status: int = 200, **fields: Any) -> BaseException:
    body = {"retCode": code, "retMsg": said, "result": {}, "retExtInfo": {}, "time": 1764000000000}
    return answered("bybit", status, body, **fields)


BINANCE_ROWS = [
    (Kind.NOT_PLACED, -1013, "Filter failure: LOT_SIZE"),
    (Kind.NOT_PLACED, -1013, "Filter failure: PRICE_FILTER"),
    (Kind.NOT_PLACED, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    (Kind.NOT_PLACED, -1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed."),
    (Kind.NOT_PLACED, -1111, "Precision is over the maximum defined for this asset."),
    (Kind.NOT_PLACED, -1121, "Invalid symbol."),
    (Kind.NOT_PLACED, -2010, "Account has insufficient balance for requested action."),
    (Kind.NOT_PLACED, -2010, "Order would immediately match and take."),
    (Kind.NOT_PLACED, -1013, "Filter failure: MAX_POSITION"),
    (Kind.NOT_PLACED, -2010, "Something that is new to ccxt."),
    (Kind.NOT_PLACED, -2010, "This action is disabled on this account."),  # misspelt in ccxt's table
    (Kind.DUPLICATE, -2010, "Duplicate order sent."),
    (Kind.NOT_FOUND, -2011, "Unknown order sent."),
    (Kind.NOT_FOUND, -2013, "Order does not exist."),
    (Kind.AUTH, -2014, "API-key format invalid."),
    (Kind.AUTH, -2015, "Invalid API-key, IP, or permissions for action."),
    (Kind.AUTH, -1022, "Signature for this request is not valid."),
    (Kind.AUTH, -2010, "This account may not place or cancel orders."),
    (Kind.CLOCK, -1021, "Timestamp for this request is outside of the recvWindow."),
    (Kind.MARKET_CLOSED, -2010, "Market is closed."),
    (Kind.MAINTENANCE, -1016, "This service is no longer available."),
    (Kind.MAINTENANCE, -3000, "System is under maintenance."),
    (Kind.UNKNOWN, -1000, "An unknown error occurred while processing the request."),
    (Kind.UNKNOWN, -1001, "Internal error; unable to process your request. Please try again."),
    (Kind.UNKNOWN, -1006, "An unexpected response was received from the message bus. Execution status unknown."),
    (Kind.UNKNOWN, -1007, "Timeout waiting for response from backend server. Send status unknown."),
    (Kind.UNKNOWN, -1008, "Spot server is currently overloaded with other requests."),
    (Kind.UNKNOWN, -2021, "Order cancel-replace partially failed."),
    (Kind.UNKNOWN, -987654, "A code that nobody has heard of."),
]
BYBIT_ROWS = [
    (Kind.NOT_PLACED, 170131, "Balance insufficient"),
    (Kind.NOT_PLACED, 170134, "Order price decimal too long"),
    (Kind.NOT_PLACED, 170136, "Order quantity lower than the minimum"),
    (Kind.NOT_PLACED, 10001, "params error"),
    (Kind.NOT_PLACED, 170218, "The LIMIT-MAKER order is rejected due to invalid price."),
    (Kind.DUPLICATE, 170141, "Duplicate clientOrderId"),
    (Kind.DUPLICATE, 110072, "OrderLinkedID is duplicate"),
    (Kind.DUPLICATE, 12141, "Duplicate clientOrderId."),
    (Kind.DUPLICATE, 10014, "Request is duplicate"),
    (Kind.NOT_FOUND, 170213, "Order does not exist."),
    (Kind.NOT_FOUND, 110001, "Order does not exist"),
    (Kind.AUTH, 10003, "API key is invalid."),
    (Kind.AUTH, 10005, "Permission denied, please check your API key permissions."),
    (Kind.AUTH, 10008, "User has been banned"),
    (Kind.AUTH, 33004, "Your api key has expired."),
    (Kind.CLOCK, 10002, "invalid request, please check your server timestamp or recv_window param."),
    (Kind.RATE, 10006, "Too many visits. Exceeded the API Rate Limit."),
    (Kind.RATE, 10018, "Exceeded the IP Rate Limit."),
    (Kind.BANNED, 10009, "IP has been banned."),
    (Kind.MARKET_CLOSED, 170151, "The trading pair is not open yet"),
    (Kind.UNKNOWN, 10016, "System error. Please try again later."),
    (Kind.UNKNOWN, 10016, "Request timeout, please try again later"),
    (Kind.UNKNOWN, 170007, "Timeout waiting for response from backend server."),
    (Kind.UNKNOWN, 170146, "Order creation timeout"),  # an InvalidOrder to ccxt
    (Kind.UNKNOWN, 170035, "Submitted to the system for processing!"),  # a BadRequest to ccxt
    (Kind.UNKNOWN, 170149, "Create order failed"),
    (Kind.UNKNOWN, 131231, "A NotSupported to ccxt, which is otherwise raised before anything is sent"),
    (Kind.UNKNOWN, 987654, "A code that nobody has heard of."),
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("kind", "code", "said"), BINANCE_ROWS)
def test_binances_answers_prove_what_is_documented(kind: Kind, code: int, said: str, host: str) -> None:
    assert classify(binance(code, said, host=host), BINANCE).kind is kind


@pytest.mark.parametrize("filter_", ["LOT_SIZE", "PERCENT_PRICE_BY_SIDE"])
def test_an_amendment_that_failed_half_way_is_not_taken_for_the_refusal_inside_it(filter_: str) -> None:
    inside = {"cancelResult": "SUCCESS", "newOrderResponse": {"code": -1013, "msg": f"Filter failure: {filter_}"}}
    body = {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": inside}
    assert classify(answered("binance", 409, body), BINANCE).kind is Kind.UNKNOWN


@pytest.mark.parametrize(("kind", "code", "said"), BYBIT_ROWS)
def test_bybits_answers_prove_what_is_documented(kind: Kind, code: int, said: str) -> None:
    outcome = classify(bybit(code, said), BYBIT)
    assert outcome.kind is kind
    assert f"code {code}" in outcome.reason


HTML = "<html><head><title>Forbidden</title></head><body><h1>secret of a page</h1></body></html>"
HTTP_ROWS = [
    ("binance", 429, {"code": -1003, "msg": "Too much request weight used."}, Kind.RATE),
    ("binance", 429, {"code": -1015, "msg": "Too many new orders; current limit is 50 per TEN_SECONDS."}, Kind.RATE),
    ("binance", 429, HTML, Kind.RATE),
    ("binance", 400, {"code": -1015, "msg": "Too many new orders."}, Kind.RATE),
    ("binance", 418, {"code": -1003, "msg": "Way too much request weight used; IP banned."}, Kind.BANNED),
    ("binance", 418, "", Kind.BANNED),
    ("bybit", 418, "", Kind.BANNED),
    ("bybit", 403, "access too frequent", Kind.RATE),
    ("bybit", 429, "", Kind.RATE),
    ("binance", 401, HTML, Kind.AUTH),
    ("binance", 400, HTML, Kind.UNKNOWN),
    ("binance", 403, HTML, Kind.UNKNOWN),
    ("binance", 404, "", Kind.UNKNOWN),
    ("binance", 451, "Service unavailable from a restricted location", Kind.UNKNOWN),
    ("binance", 400, "a page with LOT_SIZE in it", Kind.UNKNOWN),
    ("binance", 500, {"code": -1000, "msg": "An unknown error occurred."}, Kind.UNKNOWN),
    ("binance", 502, HTML, Kind.UNKNOWN),
    ("binance", 503, {"code": -1008, "msg": "Server is busy."}, Kind.UNKNOWN),
    ("binance", 503, {"code": 0, "msg": "Unknown error, please check your request or try again later."}, Kind.UNKNOWN),
    ("binance", 503, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}, Kind.UNKNOWN),
    ("binance", 503, {"code": -3000, "msg": "System is under maintenance."}, Kind.MAINTENANCE),
    ("binance", 504, "", Kind.UNKNOWN),
    ("bybit", 503, {"retCode": 10006, "retMsg": "too many visits"}, Kind.UNKNOWN),
    ("bybit", 502, HTML, Kind.UNKNOWN),
]


@pytest.mark.parametrize(("venue", "status", "body", "kind"), HTTP_ROWS)
def test_the_status_of_http_counts_before_what_the_body_says(venue: str, status: int, body: object, kind: Kind) -> None:
    outcome = classify(answered(venue, status, body), PROFILES[venue])
    assert outcome.kind is kind
    assert "secret of a page" not in outcome.reason
    assert f"HTTP {status}" in outcome.reason or isinstance(body, dict)


def test_keys_refused_after_a_success_are_a_rate_limit_to_ccxt_and_a_doubt_to_us() -> None:
    error = binance(-2015, "Invalid API-key, IP, or permissions for action.", hasAlreadyAuthenticatedSuccessfully=True)
    assert type(error) is errors.DDoSProtection
    outcome = classify(error, BINANCE)
    assert outcome.kind is Kind.RATE
    assert outcome.keys_doubted
    assert not classify(binance(-1015, "Too many new orders.", status=429), BINANCE).keys_doubted
    assert not classify(binance(-2015), BINANCE).keys_doubted


def test_a_maintenance_that_is_a_plain_class_is_recognised_without_codes() -> None:
    assert classify(errors.OnMaintenance("okx system upgrade"), GENERIC).kind is Kind.MAINTENANCE


@pytest.mark.parametrize(
    ("class_", "kind"),
    [
        (errors.InsufficientFunds, Kind.NOT_PLACED),
        (errors.OrderImmediatelyFillable, Kind.NOT_PLACED),
        (errors.MarketClosed, Kind.MARKET_CLOSED),
        (errors.DuplicateOrderId, Kind.DUPLICATE),
        (errors.OrderNotFound, Kind.NOT_FOUND),
        (errors.AuthenticationError, Kind.AUTH),
        (errors.PermissionDenied, Kind.AUTH),
        (errors.AccountSuspended, Kind.AUTH),
        (errors.InvalidNonce, Kind.CLOCK),
        (errors.DDoSProtection, Kind.RATE),
        (errors.RateLimitExceeded, Kind.RATE),
        (errors.InvalidOrder, Kind.UNKNOWN),
        (errors.BadRequest, Kind.UNKNOWN),
        (errors.BadSymbol, Kind.UNKNOWN),
        (errors.NotSupported, Kind.UNKNOWN),
        (errors.OperationRejected, Kind.UNKNOWN),
        (errors.OperationFailed, Kind.UNKNOWN),
        (errors.ExchangeError, Kind.UNKNOWN),
        (errors.BadResponse, Kind.UNKNOWN),
        (errors.NullResponse, Kind.UNKNOWN),
        (errors.CancelPending, Kind.UNKNOWN),
    ],
)
def test_of_a_venue_whose_codes_are_not_known_only_a_few_classes_prove_anything(class_: Any, kind: Kind) -> None:
    error = raised(lambda: (_ for _ in ()).throw(class_('okx {"code":"51000","msg":"no"}')), http_status=200)
    assert classify(error, GENERIC).kind is kind


# -- before anything is sent ---------------------------------------------------------------------------------------


def with_markets() -> Any:
    """Return a Binance that knows BTC/USDT, and two markets of one id."""
    exchange = ccxt.binance({"apiKey": "k", "secret": "s"})
    base = {"base": "BTC", "quote": "USDT", "active": True, "limits": {"amount": {"min": 1}}}
    precision = {"amount": 0.001, "price": 0.01}
    markets = [
        {**base, "id": "BTCUSDT", "symbol": "BTC/USDT", "spot": True, "type": "spot", "precision": precision},
        {**base, "id": "TWICE", "symbol": "A/B", "spot": True, "type": "spot"},
        {**base, "id": "TWICE", "symbol": "A/B:B", "swap": True, "type": "swap", "spot": False},
    ]
    exchange.set_markets([exchange.safe_market_structure(each) for each in markets])
    return exchange


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("class_", "call"),
    [
        (errors.BadSymbol, lambda ex: ex.create_order("NO/SUCH", "limit", "buy", 1, 1)),
        (errors.InvalidOrder, lambda ex: ex.create_order("BTC/USDT", "limit", "buy", "0.00001", 1)),
        (errors.InvalidOrder, lambda ex: ex.create_order("BTC/USDT", "limit", "buy", 1)),
        (errors.ArgumentsRequired, lambda ex: ex.cancel_all_orders()),
        (errors.NotSupported, lambda ex: ccxt.Exchange().create_order("BTC/USDT", "limit", "buy", 1, 1)),
    ],
)
async def test_what_ccxt_refuses_itself_was_not_placed(class_: Any, call: Callable[[Any], Any]) -> None:
    with pytest.raises(class_) as found:
        await call(with_markets())
    outcome = classify(found.value, BINANCE)
    assert outcome.kind is Kind.NOT_PLACED
    assert "before anything was sent" in outcome.reason


def test_an_argument_that_is_missing_while_an_answer_is_read_proves_nothing() -> None:
    error = raised(lambda: with_markets().safe_market("TWICE"))
    assert type(error) is errors.ArgumentsRequired
    assert classify(error, BINANCE).kind is Kind.UNKNOWN


def test_a_class_that_is_usually_local_goes_by_its_code_once_the_venue_has_spoken() -> None:
    duplicate = errors.InvalidOrder('binance {"code":-2010,"msg":"Duplicate order sent."}')
    timed_out = errors.InvalidOrder('bybit {"retCode":170146,"retMsg":"Order creation timeout"}')
    cut = errors.InvalidOrder('bybit {"retCode":1701')
    assert classify(duplicate, BINANCE).kind is Kind.DUPLICATE
    assert classify(timed_out, BYBIT).kind is Kind.UNKNOWN
    assert classify(cut, BYBIT).kind is Kind.UNKNOWN
    assert classify(errors.InvalidOrder("bybit amount is too small"), BYBIT).kind is Kind.NOT_PLACED


@pytest.mark.parametrize("text", ["binance order amount is invalid", 'binance Filter failure: LOT_SIZE {"code":-10'])
def test_an_answer_that_ccxt_sums_up_in_its_own_words_is_not_taken_for_a_local_refusal(text: str) -> None:
    error = raised(lambda: (_ for _ in ()).throw(errors.InvalidOrder(text)), http_status=400)
    assert classify(error, BINANCE).kind is Kind.UNKNOWN


def test_a_refused_host_is_never_taken_for_a_proof_as_a_redirect_comes_after_the_venue_has_worked() -> None:
    refused = type("LiveHostError", (Exception,), {})("only testnet.binance.vision may be reached")
    outcome = classify(refused, BINANCE)
    assert outcome.kind is Kind.LIVE_HOST
    assert "only testnet.binance.vision may be reached" in outcome.reason


# -- the connection ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def venue_that_sends(answer: bytes | None) -> AsyncIterator[str]:
    """Serve ``answer`` to whatever is asked, then hang up; None: say nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()  # until the client gives up
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def asked(answer: bytes | None, timeout_ms: int = 5000) -> Any:
    """Return what ccxt makes of such an answer to a new order: a value, or the exception itself."""
    async with venue_that_sends(answer) as url, ccxt.binance({"timeout": timeout_ms}) as exchange:
        try:
            return await exchange.fetch(url + PATHS["binance"] + SIGNED, "POST", {}, "x=1")
        except errors.BaseError as error:
            return error


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "class_"),
    [
        (b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"symbol":"BTCUSDT","orderId":1', errors.ExchangeError),
        (b"", errors.ExchangeNotAvailable),
        (b"HTTP/1.1 200", errors.ExchangeNotAvailable),
    ],
    ids=["body cut", "connection cut", "header cut"],
)
async def test_a_connection_that_is_cut_proves_nothing(answer: bytes, class_: Any) -> None:
    error = await asked(answer)
    assert isinstance(error, class_)
    outcome = classify(error, BINANCE)
    assert outcome.kind is Kind.UNKNOWN
    assert "looked up" in outcome.reason
    assert "signature" not in outcome.reason


@pytest.mark.asyncio
async def test_no_answer_in_time_proves_nothing() -> None:
    error = await asked(None, timeout_ms=20)
    assert type(error) is errors.RequestTimeout
    assert classify(error, BINANCE).kind is Kind.UNKNOWN


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"", b"<html></html>"])
async def test_an_answer_without_an_order_is_no_error_to_ccxt_so_whoever_reads_it_must_notice(body: bytes) -> None:
    assert (
        await asked(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + body) == body.decode()
    )


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), TimeoutError(), KeyError("orderId"), OSError(), SystemExit()]
)
def test_whatever_else_ends_a_call_proves_nothing(error: BaseException) -> None:
    outcome = classify(error, BINANCE)
    assert outcome.kind is Kind.UNKNOWN
    assert type(error).__name__ in outcome.reason


# -- off the list --------------------------------------------------------------------------------------------------

CLASSES = sorted({each for each in vars(errors).values() if isinstance(each, type)}, key=lambda each: each.__name__)
PROVED = frozenset({Kind.NOT_PLACED, Kind.AUTH, Kind.CLOCK, Kind.RATE, Kind.BANNED, Kind.MARKET_CLOSED})
PROVING_CLASSES = (
    errors.InsufficientFunds,
    errors.OrderImmediatelyFillable,
    errors.MarketClosed,
    errors.AuthenticationError,
    errors.InvalidNonce,
    errors.DDoSProtection,
    errors.RateLimitExceeded,
)
PROFILE = st.sampled_from([BINANCE, BYBIT, GENERIC])


def listed(profile: Profile) -> frozenset[str]:
    lists = (profile.not_placed, profile.auth, profile.clock, profile.rate, profile.banned, profile.market_closed)
    return frozenset().union(*lists)


@PROPERTY
@given(
    class_=st.sampled_from(CLASSES),
    profile=PROFILE,
    status=st.sampled_from([200, 307, 400, 401, 403, 404, 409, 418, 429, 451, 500, 502, 503, 504, 530]),
    code=st.integers(-5000, 200_000) | st.sampled_from(sorted(BINANCE.not_placed | BYBIT.not_placed)),
    said=st.text(max_size=40) | st.sampled_from(["Duplicate order sent.", "a timeout"]),
)
def test_nothing_off_the_list_is_a_proof(class_: Any, profile: Profile, status: int, code: Any, said: str) -> None:
    fields = ("retCode", "retMsg") if profile is BYBIT else ("code", "msg")
    error = class_(f"{profile.venue} {json.dumps(dict(zip(fields, (code, said), strict=True)))}")
    error.http_status = status
    kind = classify(error, profile).kind
    if status >= 500:
        assert kind in {Kind.UNKNOWN, Kind.MAINTENANCE}
    elif status == 418:
        assert kind is Kind.BANNED
    elif kind in PROVED:
        assert str(code) in listed(profile) or issubclass(class_, PROVING_CLASSES)
        assert str(code) not in profile.duplicate
        assert not (kind is Kind.NOT_PLACED and "duplicate" in said.lower() and str(code) in profile.not_placed)


@PROPERTY
@given(
    class_=st.sampled_from([*CLASSES, KeyError, ValueError, TimeoutError, OSError, asyncio.CancelledError]),
    text=st.text() | st.from_regex(r"binance (\{\"code\":.{0,9})?\{\"(code|retCode)\":.{0,30}\}?"),
    headers=st.none() | st.dictionaries(st.sampled_from(["Retry-After", "DATE", "x"]), st.text(max_size=30)),
    profile=PROFILE,
)
def test_any_text_at_all_is_judged_and_only_local_classes_are_proof_without_an_answer(
    class_: Any, text: str, headers: Any, profile: Profile
) -> None:
    error = class_(text)
    error.http_headers = headers
    outcome = classify(error, profile)
    local = (errors.ArgumentsRequired, errors.BadSymbol, errors.InvalidOrder, errors.NotSupported)
    if outcome.kind is Kind.NOT_PLACED and not issubclass(class_, (*PROVING_CLASSES, *local)):
        assert any(code in text for code in profile.not_placed)
    assert outcome.retry_after_s is None or 0 <= outcome.retry_after_s <= LONGEST_PAUSE_S


# -- what people read, and when to come back -----------------------------------------------------------------------


def test_the_reason_has_the_venues_words_and_nothing_that_must_stay_secret() -> None:
    key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    refused = bybit(10004, f"error sign! origin_string[1764000000000{key}5000symbol=BTCUSDT] of {key} at http://h/?a=b")
    reason = classify(refused, BYBIT).reason
    assert reason.startswith("bybit refused the keys (error sign! … of … at …, code 10004)")
    assert "restart" in reason
    page = answered("binance", 451, "restricted")
    assert classify(page, BINANCE).reason == (
        "binance did not say what became of it (POST … 451 Reason restricted, HTTP 451); "
        "it is looked up by its client_order_id."
    )
    poor = binance(-2010, "Account has insufficient balance for requested action.")
    assert classify(poor, BINANCE).reason == (
        "binance refused it: Account has insufficient balance for requested action, HTTP 400."
    )
    assert len(classify(binance(-1013, "x " * 5000), BINANCE).reason) < 300


def test_expected_blocks_are_told_as_the_runbook_says() -> None:
    closed = classify(bybit(170151, "The trading pair is not open yet"), BYBIT).reason
    assert "The market is closed at bybit (The trading pair is not open yet, code 170151)" in closed
    assert closed.endswith("an expected block (runbook §5.2). Wait for the market to open, then reschedule the order.")
    maintenance = classify(errors.OnMaintenance("binance System is under maintenance."), BINANCE).reason
    assert "under maintenance" in maintenance
    assert "expected block (runbook §5.2)" in maintenance
    assert "Wait for the end of the maintenance (see the venue's status page), then reschedule" in maintenance
    assert "nothing was placed" not in maintenance
    assert "remove the symbol from the configuration" in classify(binance(-1121, "Invalid symbol."), BINANCE).reason


DATE = "Tue, 25 Nov 2025 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"Retry-After": "Tue, 25 Nov 2025 10:02:00 GMT", "Date": DATE}, 120),
        ({"Retry-After": "Tue, 25 Nov 2025 09:00:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Tue, 25 Nov 2999 10:02:00 GMT", "Date": DATE}, LONGEST_PAUSE_S),
        ({"Retry-After": "Tue, 25 Nov 2025 10:02:00 GMT"}, None),
        ({"Retry-After": "Tue, 25 Nov 2025 10:02:00 -0000", "Date": DATE}, None),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "99999999999"}, LONGEST_PAUSE_S),
        ({"Retry-After": "inf"}, LONGEST_PAUSE_S),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon", "Date": DATE}, None),
        ({}, None),
    ],
)
def test_the_venues_own_wish_is_read_within_reason(headers: dict[str, str], seconds: float | None) -> None:
    error = answered("binance", 429, {"code": -1003, "msg": "Too many requests."}, headers=headers)
    assert classify(error, BINANCE).retry_after_s == seconds


def test_an_outcome_is_a_value() -> None:
    assert Outcome(Kind.RATE, "x") == Outcome(Kind.RATE, "x", None, keys_doubted=False)
