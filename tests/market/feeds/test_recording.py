"""Reading a recorded stream, and every way a file can be wrong."""

from __future__ import annotations

import contextlib
import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.domain.enums import OrderSide
from router.domain.market import Trade
from router.errors import MarketDataError
from router.market.book import DepthUpdate
from router.market.feeds.recording import read_recording
from router.market.quotes import QuoteUpdate
from tests.recordings import BARS, DEPTH, QUOTES, START_NS, TRADES, small_market, write_csv

D = Decimal
TRADE = f"{START_NS},1,BTC/USDT,1,sell,100,0.5"
QUOTE = f"{START_NS},,BTC/USDT,9,100,2,101,3"
LEVEL = f"{START_NS},1,BTC/USDT,diff,5,8,,bid,97,1"


def moment(ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)


def test_every_kind_is_read(tmp_path: Path) -> None:
    trades, quotes, depth = ([update for _, update in read_recording(path)] for path in small_market(tmp_path))
    at = moment(START_NS + 150_000_000)
    assert trades[0] == Trade("BTC/USDT", OrderSide.SELL, D(100), D("0.5"), "1", at)
    at = moment(START_NS + 10_000_000)
    assert quotes[0] == QuoteUpdate("BTC/USDT", D(100), D(2), D(101), D(3), 9, at)
    assert [type(update) for update in depth] == [DepthUpdate] * 5
    assert depth[2] == DepthUpdate(
        symbol="BTC/USDT",
        snapshot=True,
        first_id=0,
        last_id=10,
        prev_id=None,
        bids=[(D(100), D(2)), (D(99), D(5))],
        asks=[(D(101), D(3)), (D(102), D(4))],
        ts_event=moment(START_NS + 20_000_000),
    )


def test_an_empty_recording_is_no_mistake(tmp_path: Path) -> None:
    assert list(read_recording(write_csv(tmp_path / "a.csv", TRADES, []))) == []


def complaint(path: Path) -> str:
    with pytest.raises(MarketDataError) as caught:
        list(read_recording(path))
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        (TRADES, [TRADE, TRADE.replace("0.5", "much")], ", line 3: a number that is none"),
        (TRADES, [TRADE.replace("0.5", "0")], ", line 2: 0 must be a number above 0"),
        (TRADES, [TRADE.replace("0.5", "NaN")], ", line 2: a number that is none"),
        (TRADES, [TRADE.replace("0.5", "Infinity")], ", line 2: Infinity must be"),
        (TRADES, [TRADE.replace("sell", "Sell")], ', line 2: side "Sell" must be buy or sell'),
        (TRADES, [TRADE, ""], ", line 3: 0 cells where the header has 7"),
        (TRADES, [TRADE.rpartition(",")[0]], ", line 2: 6 cells where the header has 7"),
        (TRADES, ["soon" + TRADE], ", line 2: invalid literal for int()"),
        (TRADES, [TRADE, "1" + TRADE.removeprefix("17")], f", line 3: time goes back from {START_NS} to "),
        (QUOTES, [QUOTE.replace(",3", ",-3")], ", line 2: size -3 must be at least 0"),
        (QUOTES, [QUOTE.replace(",100,", ",-100,")], ", line 2: -100 must be a number above 0"),
        (QUOTES, [QUOTE.replace(",9,", ",,")], ", line 2: invalid literal for int()"),
        (DEPTH, [LEVEL, LEVEL.replace("bid,97,1", "bid,97,-1")], ", line 3: size -1 must be at least 0"),
        (DEPTH, [LEVEL.replace("bid", "BID")], ', line 2: side "BID" must be bid or ask'),
        (DEPTH, [LEVEL.replace("diff", "delta")], ', line 2: kind "delta" must be diff or snapshot'),
        (DEPTH, [LEVEL + ",1"], ", line 2: 11 cells"),
        (BARS, ["1,BTC/USD"], ": bars hold no executable quotes"),
        ("a,b,c", [], ", line 1: not the header of a recording"),
        ("", [], ", line 1: not the header of a recording"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_malformed_file_names_the_line(
    tmp_path: Path, name: str, header: str, rows: list[str], expected: str
) -> None:
    assert complaint(write_csv(tmp_path / name, header, rows)).startswith(expected)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "No such file" in complaint(tmp_path / "nothing.csv.gz")


def test_a_folder(tmp_path: Path) -> None:
    assert "Is a directory" in complaint(tmp_path)


def test_a_file_that_only_claims_to_be_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_text(TRADES + "\n")
    assert "is named .gz but is not gzip" in complaint(path)


def test_a_truncated_download(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv.gz", TRADES, [TRADE] * 5000)
    path.write_bytes(path.read_bytes()[:-20])
    text = complaint(path)
    assert text.startswith(", after line ")
    assert text.endswith("fetch the file again")


def test_a_flipped_bit(tmp_path: Path) -> None:
    """Wherever it is: either it does not matter (the time in the gzip header), or it is a complaint."""
    path = write_csv(tmp_path / "a.csv.gz", TRADES, [TRADE.replace("0.5", str(n)) for n in range(1, 50)])
    good = path.read_bytes()
    complaints = 0
    for position in range(len(good)):
        data = bytearray(good)
        data[position] ^= 1 << position % 8
        path.write_bytes(data)
        try:
            list(read_recording(path))
        except MarketDataError:
            complaints += 1
    assert complaints > 0.9 * len(good)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TRADES.encode() + b"\n\xff\xfe\n")
    assert "damaged" in complaint(path)


@settings(deadline=None)
@given(st.sampled_from([TRADES, QUOTES, DEPTH]), st.binary(max_size=80), st.booleans())
def test_garbage_never_gets_out_as_anything_else(
    tmp_path_factory: pytest.TempPathFactory, header: str, garbage: bytes, zipped: bool
) -> None:
    path = tmp_path_factory.mktemp("garbage") / "a.csv"
    data = header.encode() + b"\n" + garbage
    path.write_bytes(gzip.compress(data)[: -1 if garbage[:1] == b"x" else None] if zipped else data)
    with contextlib.suppress(MarketDataError):
        list(read_recording(path))
