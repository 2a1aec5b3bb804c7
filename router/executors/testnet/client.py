"""The one place that knows ccxt: an exchange that can reach its sandbox, or a loopback venue, and nothing else.

Sandbox mode is switched on before anything else; then ``guard`` stands before every request and every websocket, in a
subclass of the exchange and again in the session's connector, so nothing that is done to the exchange afterwards opens
it. Time is the venue's, counted by our monotonic clock. Costs of ccxt that the router pays otherwise are switched off:
its rate limiter, its retries and markets that are not spot.
This module must not know orders, or what an error of the venue means.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import ccxt.pro
import msgspec
from aiohttp import ClientSession, TraceConfig, TraceRequestRedirectParams

from router.clock import Clock
from router.executors.testnet.credentials import Credentials
from router.executors.testnet.guard import GuardedConnector, HostGuard, LiveHostError, loopback_authority
from router.executors.testnet.profiles import Profile, no_sandbox_reason

_SAMPLES: Final = 3
_USED_WEIGHT: Final = "x-mbx-used-weight-1m"
_LOG: Final = logging.getLogger("router.ccxt")
_LOG.setLevel(logging.WARNING)  # ccxt's debug lines carry keys and signatures


class ClockReading(msgspec.Struct, frozen=True):
    """How far the venue's clock is ahead of our wall clock, by the best of a few samples."""

    offset_ms: float
    round_trip_ms: float


class SandboxClient:
    """A guarded ccxt exchange; needs an event loop only from its first request on.

    Args:
        credentials: None allows public requests only.
        base_url: a loopback venue instead of the sandbox; "" is the sandbox.
        recv_window_ms: how old a request may be when the venue executes it.
        timeout_ms: for one request, from its start to the end of its answer.

    Raises:
        LiveHostError: ccxt has no sandbox for the venue, or ``base_url`` is no loopback address.
    """

    def __init__(
        self,
        profile: Profile,
        credentials: Credentials | None,
        *,
        base_url: str = "",
        recv_window_ms: int,
        clock: Clock,
        timeout_ms: int = 10_000,
    ) -> None:
        self.profile = profile
        self._clock = clock
        self._started_ms = self._wall_ms() - 1000 * clock.monotonic()  # the venue's time when monotonic was 0
        self.on_weight: Callable[[float], None] = lambda _: None
        """Called with the weight that the venue has counted in this minute, whenever it tells."""
        self._session: ClientSession | None = None
        self._closed = False
        authority = loopback_authority(base_url) if base_url else None
        origins = profile.origins if authority is None else (f"http://{authority}", f"ws://{authority}")
        self.guard = HostGuard(profile.venue, origins, profile.paper_header)
        kind = getattr(ccxt.pro, profile.venue, None) or getattr(ccxt.async_support, profile.venue, None)
        if kind is None:
            raise LiveHostError(no_sandbox_reason(profile.venue))
        self.ex: Any = _guarded(kind, self)(_settings(profile, credentials, recv_window_ms, timeout_ms))
        self._enter_sandbox(authority)

    def _enter_sandbox(self, authority: str | None) -> None:
        try:
            self.ex.set_sandbox_mode(True)
        except Exception as error:  # TypeError where there is none (ccxt_facts.md §1)
            raise LiveHostError(no_sandbox_reason(self.profile.venue)) from error
        if authority is not None:
            self.ex.verify = False  # plain http: no certificates are read
            self.ex.urls["api"] = _rebased(self.ex.urls["api"], authority)
            if "spot" in self.ex.exceptions:  # Binance: looked up by the URL, which is ours now
                self.ex.exceptions = self.ex.deep_extend(
                    self.ex.exceptions, {"exact": self.ex.exceptions["spot"]["exact"]}
                )
        addresses = [self.ex.implode_hostname(url) for url in _leaves(self.ex.urls["api"])]
        if not any(self._allows(url) for url in addresses if url.startswith("http")):
            raise LiveHostError(
                f"{self.profile.venue}: ccxt {ccxt.__version__} knows none of the sandbox's addresses; "
                "install the ccxt that pyproject.toml names."
            )

    def _allows(self, url: str) -> bool:
        try:
            self.guard.check_url(url)
        except LiveHostError:
            return False
        return True

    # -- time ------------------------------------------------------------------------------------------------

    def venue_time(self, per_s: int = 1000) -> int:
        """Return the venue's time since 1970, in milliseconds by default; steady when our wall clock jumps."""
        return int((self._started_ms / 1000 + self._clock.monotonic()) * per_s)

    async def measure_clock(self) -> ClockReading:
        """Ask the venue for its time and keep it; a venue that tells none is taken to have our wall clock."""
        if not self.ex.has["fetchTime"]:
            self._started_ms = self._wall_ms() - 1000 * self._clock.monotonic()
            return ClockReading(0.0, 0.0)
        samples = []
        for _ in range(_SAMPLES):
            sent = 1000 * self._clock.monotonic()
            shown = await self.ex.fetch_time()
            received = 1000 * self._clock.monotonic()
            if not isinstance(shown, int):
                raise ccxt.NullResponse(f"{self.profile.venue} was asked for its time and gave none")
            samples.append((received - sent, shown - (sent + received) / 2))
        round_trip, self._started_ms = min(samples)
        offset = self._started_ms + 1000 * self._clock.monotonic() - self._wall_ms()
        return ClockReading(round(offset, 3), round(round_trip, 3))

    def _wall_ms(self) -> float:
        return 1000 * self._clock.now().timestamp()

    def heard(self, headers: Mapping[str, str]) -> None:
        """Pass on what an answer says of the venue's own count of requests."""
        for name, value in headers.items():
            if name.lower() == _USED_WEIGHT and value.isdecimal():
                self.on_weight(float(value))

    # -- connections -----------------------------------------------------------------------------------------

    def session(self) -> ClientSession:
        """Return the only session there is, made when first asked for."""
        if self._closed:
            raise ccxt.ExchangeClosedByUser(f"{self.profile.venue}: the client is closed")
        if self._session is None:
            connector = GuardedConnector(self.guard, ssl=self.ex.ssl_context)
            self._session = ClientSession(connector=connector, trust_env=False, trace_configs=[_no_redirects()])
        return self._session

    async def close(self) -> None:
        """Close streams and sockets; a second time does nothing."""
        self._closed = True
        try:
            await self.ex.close()
        finally:
            if self._session is not None:
                await self._session.close()


async def _refuse_redirect(_session: ClientSession, _context: object, redirect: TraceRequestRedirectParams) -> None:
    """Refuse every redirect, within the sandbox too: followed, an order could be placed twice."""
    raise LiveHostError(f"{redirect.url.host}: a redirect was refused; what was sent before may have been executed.")


def _no_redirects() -> TraceConfig:
    trace = TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return trace


def _guarded(kind: Any, client: SandboxClient) -> Any:
    """Return a subclass of ccxt's exchange that asks the guard; the guard is out of the exchange's own reach."""
    guard = client.guard

    class Guarded(kind):  # type: ignore[misc]  # ccxt has no types
        async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            guard.check_url(url)
            return await super().fetch(url, method, headers, body)

        def prepare_request_headers(self, headers: Any = None) -> Any:
            prepared = super().prepare_request_headers(headers)
            guard.check_headers(prepared)
            return prepared

        def client(self, url: str) -> Any:
            if "://" in url:  # ccxt keeps bags of futures as clients without an address
                guard.check_url(url)
            return super().client(url)

        def open(self, lazy: bool = False) -> None:
            self.own_session = False
            super().open(lazy)
            self.session = client.session()  # whatever was put there meanwhile

        def check_proxy_url_settings(self, *request: Any) -> None:
            if super().check_proxy_url_settings(*request) is not None:
                self.get_socks_proxy_session()

        def get_socks_proxy_session(self, *_: str) -> Any:  # would be a session without the guard
            raise LiveHostError(
                f"{client.profile.venue}: a proxy is set; the sandbox is reached directly or not at all."
            )

        seconds, milliseconds, microseconds = (
            staticmethod(partial(client.venue_time, per_s)) for per_s in (1, 1000, 1_000_000)
        )  # every nonce and timestamp of ccxt is one of these

        def handle_errors(self, status: int, reason: str, url: str, method: str, headers: Any, *rest: Any) -> Any:
            client.heard(headers)
            try:
                super().handle_errors(status, reason, url, method, headers, *rest)
                self.handle_http_status_code(status, reason, url, method, rest[0])
            except Exception as error:
                error.http_status, error.http_headers = status, headers  # type: ignore[attr-defined]
                raise

    Guarded.__name__ = kind.__name__
    return Guarded


def _settings(
    profile: Profile, credentials: Credentials | None, recv_window_ms: int, timeout_ms: int
) -> dict[str, Any]:
    paper = dict([profile.paper_header] if profile.paper_header else [])
    keys = {} if credentials is None else dict(zip(profile.key_fields, credentials.parts(), strict=False))
    return {
        **keys,
        "headers": paper,  # on every request: ccxt adds Bitget's to private ones only
        "session": None,  # ccxt makes none of its own then
        "aiohttp_trust_env": False,
        "enableRateLimit": False,
        "timeout": timeout_ms,
        "timeout_on_exit": 0,  # the session waits for its sockets itself
        "number": str,
        "logger": _LOG,
        "has": {"fetchCurrencies": False},
        "options": {**profile.ccxt, "recvWindow": recv_window_ms, "maxRetriesOnFailure": 0},
    }


def _rebased(node: Any, authority: str) -> Any:
    """Return ccxt's tree of URLs with every address replaced; paths are kept."""
    if isinstance(node, dict):
        return {key: _rebased(value, authority) for key, value in node.items()}
    parts = urlsplit(node)
    return f"{'ws' if parts.scheme.startswith('ws') else 'http'}://{authority}{parts.path}"


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _leaves(value)
    else:
        yield node
