"""The lock: only the addresses of one sandbox can be reached, whatever ccxt, a setting or the venue itself says.

It is asked twice. ccxt's own ``fetch`` and ``client`` are checked first, with the clearest message; the connector below
is asked for every request of the session, so for redirects, websockets and proxies as well, before a name is looked up
or a socket opened. Both read nothing that ccxt could change later. Addresses are parsed by what aiohttp parses them
with, so there are no two readings of one URL.
This module must not know ccxt, or which addresses are right.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from aiohttp import TCPConnector
from multidict import CIMultiDict
from yarl import URL

from router.errors import RouterError

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.connector import Connection

_PAPER_SCHEMES: Final = frozenset({"http", "https"})
"""Websockets of paper-trading venues have addresses of their own and take no header."""


class LiveHostError(RouterError):
    """A request to anything but the sandbox; nothing of it was sent."""


class HostGuard:
    """What may be reached.

    Args:
        origins: like ``https://testnet.binance.vision``: scheme, host and port must all be the same.
        paper_header: a header without which even these must get no request.
    """

    def __init__(self, venue: str, origins: Iterable[str], paper_header: tuple[str, str] | None = None) -> None:
        self._venue = venue
        self._origins = frozenset(_origin(URL(origin)) for origin in origins)
        self._names = ", ".join(sorted({str(host) for _, host, _ in self._origins}))
        self._paper_header = paper_header

    def check_url(self, url: str | URL) -> None:
        """Raise LiveHostError unless ``url`` is one of the sandbox's, without a user name."""
        try:
            parsed = url if isinstance(url, URL) else URL(url, encoded=True)
            allowed = parsed.raw_user is None and parsed.raw_password is None and _origin(parsed) in self._origins
            host = parsed.raw_host
        except (TypeError, ValueError):
            allowed, host = False, None
        if not allowed:
            self._refuse(f"to {host or 'an address without a host'}", f"only {self._names} may be reached")

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Raise LiveHostError when the header is missing that makes the request a paper one."""
        if self._paper_header is None:
            return
        name, value = self._paper_header
        if CIMultiDict(headers).getall(name, []) != [value]:
            self._refuse("to the live host", f"it lacks the header {name}: {value}")

    def check_request(self, request: ClientRequest) -> None:
        """Raise LiveHostError unless exactly the sandbox would be contacted, and no one in between."""
        if request.proxy is not None:
            self._refuse(f"through the proxy {request.proxy.raw_host}", "the sandbox is reached directly or not at all")
        self.check_url(request.url)
        host = request.headers.get("Host")
        if host is not None and host != request.url.host_port_subcomponent:
            self._refuse(f"in the name of the host {host}", "its Host header is not its address")
        if request.url.scheme in _PAPER_SCHEMES:
            self.check_headers(request.headers)

    def _refuse(self, what: str, why: str) -> None:
        raise LiveHostError(f"{self._venue}: a request {what} was refused before anything was sent there: {why}.")


class GuardedConnector(TCPConnector):
    """A connector that asks the guard before each request, also one on a connection that is already open."""

    def __init__(self, guard: HostGuard, **settings: Any) -> None:
        super().__init__(**settings)
        self._guard = guard

    async def connect(self, req: ClientRequest, *args: Any, **kwargs: Any) -> Connection:
        self._guard.check_request(req)
        return await super().connect(req, *args, **kwargs)


def loopback_authority(base_url: str) -> str:
    """Return host and port of a loopback venue like ``http://127.0.0.1:8080``; a name is never looked up.

    Raises:
        LiveHostError: it is anything else.
    """
    try:
        url = URL(base_url)
        host = ipaddress.ip_address("127.0.0.1" if url.raw_host == "localhost" else url.raw_host or "")
        if url.scheme == "http" and url.origin() == url and host.is_loopback:
            return f"[{host}]:{url.port}" if host.version == 6 else f"{host}:{url.port}"
    except ValueError:
        pass
    raise LiveHostError(
        "testnet.base_url must be a loopback venue like http://127.0.0.1:8080, without user name, path or query; "
        'leave it "" for the real sandbox.'
    )


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port
