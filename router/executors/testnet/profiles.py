"""What is known of each venue with a sandbox, as data: where it is, what it calls things, what its errors prove.

The addresses are the sandbox ones of ccxt 4.5.90, and a test compares them with the ccxt that is installed: the guard
takes them from here, never from ccxt, so an upgrade cannot move a venue unnoticed. "Verified" means checked against
the venue's documented rules; every other venue gets the careful generic profile, where an unknown error proves nothing.
This module must not know ccxt or the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from router.executors.testnet.limiter import Budget

_NONE: Final[frozenset[str]] = frozenset()


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One venue. The sets of codes are what ``outcomes`` reads; a code in none of them proves nothing.

    ``origins`` are the only addresses that may be reached, like ``https://testnet.binance.vision``.
    ``paper_header`` is the header that makes a request to the live host a paper one; such venues have no host of their
    own, so a request without it is refused. ``key_fields`` is what ccxt calls key, secret and passphrase. ``ccxt`` is
    added to ccxt's options, for as few requests as possible before the first order.
    """

    venue: str
    origins: frozenset[str]
    dialect: Literal["binance", "bybit", "generic"] = "generic"
    verified: bool = False
    paper_header: tuple[str, str] | None = None
    key_fields: tuple[str, ...] = ("apiKey", "secret")
    client_id: str = r"[0-9A-Za-z]{1,32}"
    budget: Budget
    ccxt: Mapping[str, Any] = MappingProxyType({})
    not_placed: frozenset[str] = _NONE
    not_found: frozenset[str] = _NONE
    duplicate: frozenset[str] = _NONE
    auth: frozenset[str] = _NONE
    clock: frozenset[str] = _NONE
    rate: frozenset[str] = _NONE
    banned: frozenset[str] = _NONE
    maintenance: frozenset[str] = _NONE
    market_closed: frozenset[str] = _NONE

    @property
    def needs_passphrase(self) -> bool:
        """Whether keys of this venue come with a third part."""
        return len(self.key_fields) > 2

    def takes_client_id(self, client_order_id: str) -> bool:
        """Return whether the venue would accept this id unchanged."""
        return re.fullmatch(self.client_id, client_order_id) is not None


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


BINANCE: Final = Profile(
    venue="binance",
    dialect="binance",
    verified=True,
    origins=frozenset(
        {
            "https://testnet.binance.vision",
            "wss://ws-api.testnet.binance.vision",
            "wss://stream.testnet.binance.vision",
        }
    ),
    client_id=r"[.A-Z:/a-z0-9_-]{1,36}",
    # 6000 weight in a minute and 100 orders in 10 s are allowed; a full bucket and what flows in stay below
    budget=Budget(weight_per_s=80, burst=600, reserve=100, orders_per_s=8, orders_burst=15, window_weight=6000),
    ccxt={"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot", "warnOnFetchOpenOrdersWithoutSymbol": False},
    not_placed=_codes(
        "-1013 -1014 -1020 -1100 -1101 -1102 -1103 -1104 -1105 -1106 -1108 -1111 -1112 -1114 -1115 -1116 -1117 -1118"
        " -1119 -1120 -1121 -1127 -1128 -1130 -1131 -1134 -1135 -1136 -1139 -1145 -1151 -2010"
    ),
    not_found=_codes("-2011 -2013 -2026"),
    auth=_codes("-1002 -1022 -1099 -2008 -2014 -2015"),
    clock=_codes("-1021"),
    rate=_codes("-1003 -1015 -1034"),
    maintenance=_codes("-1016"),
)

BYBIT: Final = Profile(
    venue="bybit",
    dialect="bybit",
    verified=True,
    origins=frozenset({"https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com"}),
    client_id=r"[0-9A-Za-z_-]{1,36}",
    # 600 requests in 5 s per address are allowed; per account 10 to 20 orders and 20 to 50 look-ups a second
    budget=Budget(weight_per_s=15, burst=30, reserve=10, orders_per_s=5, orders_burst=5),
    ccxt={
        "fetchMarkets": {"types": ["spot"]},
        "defaultType": "spot",
        "enableUnifiedAccount": True,
        "enableUnifiedMargin": False,
    },
    not_placed=_codes(
        "7001 10001 10017 10020 10024 10028 10029 100028"
        " 110003 110004 110006 110007 110009 110012 110020 110032 110044 110045 110051 110052 110053 110094"
        " 170105 170115 170116 170117 170121 170124 170130 170131 170132 170133 170134 170135 170136 170137 170140"
        " 170148 170159 170192 170193 170194 170197 170198 170199 170200 170202 170203 170209 170210 170217 170218"
        " 170221 170223 170224 170226 170227 170341"
    ),
    not_found=_codes("110001 110008 110010 170139 170142 170143 170190 170213"),
    duplicate=_codes("10014 12141 110030 110072 170141"),
    auth=_codes("10003 10004 10005 10007 10008 10010 10027 33004 170201"),
    clock=_codes("10002"),
    rate=_codes("403 429 10006 10018 170222"),
    banned=_codes("10009"),
    market_closed=_codes("110066 170151 170157"),
)

_GENERIC_BUDGET: Final = Budget(weight_per_s=2, burst=6, reserve=2, orders_per_s=1, orders_burst=2)
_WALLET: Final = ("walletAddress", "privateKey")

# venue: its sandbox's addresses, and where its keys are called otherwise or come with a third part
_GENERIC: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "alpaca": (
        "https://paper-api.alpaca.markets https://broker-api.sandbox.alpaca.markets wss://paper-api.alpaca.markets",
        (),
    ),
    "apex": (
        "https://testnet.omni.apex.exchange wss://qa-quote.omni.apex.exchange",
        ("apiKey", "secret", "password"),
    ),
    "bequant": ("https://api.demo.hitbtc.com wss://api.demo.hitbtc.com", ()),
    "binanceus": (
        "https://testnet.binance.vision wss://ws-api.testnet.binance.vision wss://stream.testnet.binance.vision",
        (),
    ),
    "bingx": ("https://open-api-vst.bingx.com wss://vst-open-api-ws.bingx.com", ()),
    "bitget": ("https://api.bitget.com wss://wspap.bitget.com", ("apiKey", "secret", "password")),
    "bitso": ("https://stage.bitso.com", ()),
    "blofin": (
        "https://demo-trading-openapi.blofin.com wss://demo-trading-openapi.blofin.com",
        ("apiKey", "secret", "password"),
    ),
    "btse": ("https://testapi.btse.io", ()),
    "bullish": ("https://api.simnext.bullish-test.com wss://api.simnext.bullish-test.com", ()),
    "bybiteu": ("https://api-testnet.bybit.eu wss://stream-testnet.bybit.eu", ()),
    "bybitid": ("https://api-testnet.bybit.id wss://stream-testnet.bybit.id", ()),
    "coinbaseexchange": (
        "https://api-public.sandbox.exchange.coinbase.com wss://ws-feed-public.sandbox.exchange.coinbase.com",
        ("apiKey", "secret", "password"),
    ),
    "cryptocom": ("https://uat-api.3ona.co wss://uat-stream.3ona.co", ()),
    "delta": ("https://testnet-api.delta.exchange", ()),
    "deribit": ("https://test.deribit.com wss://test.deribit.com", ()),
    "derive": ("https://testnet.api.derive.xyz wss://testnet.api.derive.xyz", _WALLET),
    "extended": (
        "https://api.starknet.sepolia.extended.exchange wss://api.starknet.sepolia.extended.exchange",
        ("apiKey", "privateKey"),
    ),
    "fmfwio": ("https://api.demo.hitbtc.com", ()),
    "gate": ("https://api-testnet.gateapi.io wss://fx-ws-testnet.gateio.ws wss://ws-testnet.gate.com", ()),
    "gateeu": ("https://api-testnet.gateapi.io wss://fx-ws-testnet.gateio.ws wss://ws-testnet.gate.com", ()),
    "gemini": ("https://api.sandbox.gemini.com wss://api.sandbox.gemini.com", ()),
    "grvt": (
        "https://edge.testnet.grvt.io https://market-data.testnet.grvt.io https://trades.testnet.grvt.io",
        ("apiKey", "privateKey"),
    ),
    "hashkey": ("https://api-glb.sim.hashkeydev.com", ()),
    "hitbtc": ("https://api.demo.hitbtc.com wss://api.demo.hitbtc.com", ()),
    "hollaex": ("https://api.sandbox.hollaex.com wss://api.sandbox.hollaex.com", ()),
    "hyperliquid": ("https://api.hyperliquid-testnet.xyz wss://api.hyperliquid-testnet.xyz", _WALLET),
    "krakenfutures": ("https://demo-futures.kraken.com wss://demo-futures.kraken.com", ()),
    "modetrade": (
        "https://testnet-api-evm.orderly.org wss://testnet-ws-evm.orderly.org wss://testnet-ws-private-evm.orderly.org",
        ("apiKey", "secret", "accountId"),
    ),
    "myokx": ("https://eea.okx.com wss://wseeapap.okx.com", ("apiKey", "secret", "password")),
    "nado": (
        (
            "https://archive.test.nado.xyz https://gateway.test.nado.xyz https://trigger.test.nado.xyz"
            " wss://gateway.test.nado.xyz"
        ),
        _WALLET,
    ),
    "okx": ("https://www.okx.com wss://wspap.okx.com", ("apiKey", "secret", "password")),
    "okxus": ("https://us.okx.com wss://wsuspap.okx.com", ("apiKey", "secret", "password")),
    "pacifica": ("https://test-api.pacifica.fi wss://test-ws.pacifica.fi", _WALLET),
    "paradex": ("https://api.testnet.paradex.trade wss://ws.api.testnet.paradex.trade", _WALLET),
    "phemex": ("https://testnet-api.phemex.com wss://testnet-api.phemex.com", ()),
    "poloniex": ("https://sand-spot-api-gateway.poloniex.com", ()),
    "woo": (
        "https://api-pub.staging.woox.io https://api.staging.woox.io wss://wss.staging.woox.io",
        ("apiKey", "secret", "uid"),
    ),
    "woofipro": (
        "https://testnet-api-evm.orderly.org wss://testnet-ws-evm.orderly.org wss://testnet-ws-private-evm.orderly.org",
        ("apiKey", "secret", "accountId"),
    ),
    "zebpay": ("https://dev-futuresbe.zebstage.com https://www.zebstage.com", ()),
}
_PAPER_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    "bitget": ("PAPTRADING", "1"),
    "myokx": ("x-simulated-trading", "1"),
    "okx": ("x-simulated-trading", "1"),
    "okxus": ("x-simulated-trading", "1"),
}
NOT_USABLE: Final[Mapping[str, str]] = {
    "binancecoinm": "ccxt refuses signed requests to its sandbox",
    "binanceusdm": "ccxt refuses signed requests to its sandbox",
    "blockchaincom": "ccxt's sandbox address for it belongs to another exchange",
    "dydx": "its sandbox takes a wallet, not an API key",
    "lighter": "its sandbox takes a wallet, not an API key",
    "ndax": "its sandbox takes five credentials, not an API key",
    "weex": "ccxt's sandbox addresses for it are the live ones",
}
"""Venues for which ccxt has a sandbox that cannot be used, and why."""


def _generic(venue: str, origins: Iterable[str], key_fields: tuple[str, ...]) -> Profile:
    return Profile(
        venue=venue,
        origins=frozenset(origins),
        paper_header=_PAPER_HEADERS.get(venue),
        key_fields=key_fields or ("apiKey", "secret"),
        budget=_GENERIC_BUDGET,
        ccxt={"defaultType": "spot"},
    )


PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        "binance": BINANCE,
        "bybit": BYBIT,
        **{venue: _generic(venue, hosts.split(), keys) for venue, (hosts, keys) in _GENERIC.items()},
    }
)
"""By ccxt's name; the verified ones first."""

SANDBOX_VENUES: Final = tuple(PROFILES)


def profile_of(venue: str) -> Profile | None:
    """Return what is known of a venue; None: no sandbox that could be used."""
    return PROFILES.get(venue)


def no_sandbox_reason(venue: str) -> str:
    """Return why nothing can be sent to a venue that has no profile, and which venues have one."""
    verified = ", ".join(name for name, profile in PROFILES.items() if profile.verified)
    others = ", ".join(name for name, profile in PROFILES.items() if not profile.verified)
    why = f" ({NOT_USABLE[venue]})" if venue in NOT_USABLE else ""
    return (
        f"{venue} has no sandbox that can be used{why}, so no order goes there. Set testnet.venue to one that has: "
        f"{verified} (verified), or with the careful generic profile {others}."
    )
