"""Real orders at the sandbox of a real venue, through ccxt, and provably nowhere else (spec §6, ``ccxt_facts.md``).

``profiles`` (what is known of each venue) and ``credentials`` say where and as whom; ``guard`` refuses every other host
before a byte leaves; ``client`` is the guarded ccxt exchange; ``limiter``, ``outcomes`` and ``standing`` decide when it
may be asked, what an error proves and whether the venue may be asked at all, and ``link`` asks; a dialect (``binance``,
``bybit``, ``generic``) speaks for one venue; ``streams`` listens; ``survey`` reads the account; ``executor`` holds it
together. Only ``client`` imports ccxt, and nothing imports this package before a testnet is configured: ccxt costs
0.7 s and 100 MB. This package must not know the chain, the journal or the watchers.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.executors.testnet.executor import TestnetExchangeOrderExecutor

__all__ = ["TestnetExchangeOrderExecutor"]


def __getattr__(name: str) -> object:
    if name == "TestnetExchangeOrderExecutor":
        from router.executors.testnet.executor import TestnetExchangeOrderExecutor  # noqa: PLC0415 -- see above

        return TestnetExchangeOrderExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
