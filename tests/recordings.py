"""Finds the real recordings, and writes small ones in the same format for when they are not there."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRADES = "ts_recv_ns,ts_exch_ms,symbol,trade_id,side,price,qty"
QUOTES = "ts_recv_ns,ts_exch_ms,symbol,update_id,bid,bid_size,ask,ask_size"
DEPTH = "ts_recv_ns,ts_exch_ms,symbol,kind,first_id,last_id,prev_id,side,price,size"
BARS = "ts_ms,symbol,open,high,low,close,volume,bid,bid_size,ask,ask_size"
MARKETS = ("binance_spot_btcusdt_20240808", "binance_spot_ethusdt_20240808", "binance_usdm_btcusdt_20240808")
"""What the real recordings are called, without the stream."""
START_NS = 1_700_000_000_000_000_000


def recordings() -> Path | None:
    """Return the folder of the real recordings (``ROUTER_MARKET_DATA``), or None when it is not there."""
    folder = ROOT / os.environ.get("ROUTER_MARKET_DATA", "../shared/market_data")
    return folder if folder.is_dir() else None


def real_market(name: str) -> list[Path]:
    """Return the files of one of ``MARKETS``, trades, quotes, depth; none when they are not there."""
    folder = recordings()
    paths = [] if folder is None else [folder / f"{name}_{kind}.csv.gz" for kind in ("trades", "quotes", "depth")]
    if not paths or not all(path.is_file() for path in paths):
        print(f"{name} is not there; only generated recordings are checked")
        return []
    return paths


def write_csv(path: Path, header: str, rows: Iterable[str]) -> Path:
    """Write a recording; gzip when the name says so."""
    data = ("\n".join([header, *rows]) + "\n").encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def small_market(folder: Path) -> list[Path]:
    """Write trades, quotes and depth of half a second of BTC/USDT, with a diff before the snapshot."""
    at = START_NS
    trades = write_csv(
        folder / "small_trades.csv.gz",
        TRADES,
        [
            f"{at + 150_000_000},1,BTC/USDT,1,sell,100,0.5",
            f"{at + 250_000_000},1,BTC/USDT,2,buy,101,0.25",
        ],
    )
    quotes = write_csv(
        folder / "small_quotes.csv",
        QUOTES,
        [
            f"{at + 10_000_000},,BTC/USDT,9,100,2,101,3",
            f"{at + 150_000_001},,BTC/USDT,13,100,1.5,101,3",
            f"{at + 260_000_000},,BTC/USDT,15,100,1.5,101,2.75",
        ],
    )
    depth = write_csv(
        folder / "small_depth.csv.gz",
        DEPTH,
        [
            f"{at},1,BTC/USDT,diff,5,8,,bid,97,1",
            f"{at + 5_000_000},1,BTC/USDT,diff,9,11,,bid,98,7",
            f"{at + 20_000_000},,BTC/USDT,snapshot,,10,,bid,100,2",
            f"{at + 20_000_000},,BTC/USDT,snapshot,,10,,bid,99,5",
            f"{at + 20_000_000},,BTC/USDT,snapshot,,10,,ask,101,3",
            f"{at + 20_000_000},,BTC/USDT,snapshot,,10,,ask,102,4",
            f"{at + 200_000_000},1,BTC/USDT,diff,12,13,,bid,100,1.5",
            f"{at + 300_000_000},1,BTC/USDT,diff,14,15,,ask,101,2.75",
            f"{at + 300_000_000},1,BTC/USDT,diff,14,15,,ask,103,1",
        ],
    )
    return [trades, quotes, depth]
