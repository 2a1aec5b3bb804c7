"""What a venue's sandbox must be before a session: there, guarded, on time, ours, and listing what is traded.

Nothing is ordered. This module must not know how a finding is shown, or any check of this machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from aiohttp import ClientSession
from aiohttp.abc import AbstractResolver, ResolveResult

from router.clock import SystemClock
from router.domain.market import Instrument
from router.errors import ConfigError, RouterError
from router.executors.testnet.build import DIALECTS
from router.executors.testnet.client import SandboxClient
from router.executors.testnet.credentials import Credentials, read_credentials
from router.executors.testnet.dialect import Dialect
from router.executors.testnet.guard import GuardedConnector, LiveHostError, loopback_authority
from router.executors.testnet.outcomes import Kind, classify
from router.executors.testnet.profiles import Profile, no_sandbox_reason, profile_of
from router.market.instruments import load_instruments
from router.settings import Settings


class FailedError(Exception):
    """A check does not hold; the text says what is wrong and what to do."""


class Noted(NamedTuple):
    """A check that holds with something to read."""

    detail: str


Answer = str | Noted


def said(error: Exception, profile: Profile) -> str:
    """Return a venue's error for people: without addresses, signatures or traces."""
    if isinstance(error, RouterError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"{profile.venue} did not answer in time. Check the network, then the venue's status page."
    outcome = classify(error, profile)
    if outcome.kind in {Kind.UNKNOWN, Kind.NOT_FOUND}:
        return f"{profile.venue} could not be asked ({type(error).__name__}): check the network and its status page."
    return outcome.reason


class _NoNames(AbstractResolver):
    """Looks no name up, so that nothing leaves even if the guard under test lets it."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        del port, family
        raise FailedError(f"CRITICAL: the guard let a request to {host} pass. Do not start; open an incident.")

    async def close(self) -> None:
        pass


class Sandbox:
    """The venue of ``[testnet]``, asked but never traded on."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings.testnet
        self._environ = environ
        self._instruments_path = settings.instruments_path
        self._profile = profile_of(settings.testnet.venue)
        self._client: SandboxClient | None = None
        self.checks: Mapping[str, Callable[[], Awaitable[Answer]]] = {
            "sandbox": self.check_venue,
            "keys": self.check_keys,
            "host guard": self.check_guard,
            "clock": self.check_clock,
            "account": self.check_account,
            "symbols": self.check_symbols,
        }

    @property
    def profile(self) -> Profile:
        """What is known of the venue; raises FailedError when it has no sandbox."""
        if self._profile is None:
            raise FailedError("not checked: there is no sandbox")
        return self._profile

    def client(self) -> SandboxClient:
        """Return the guarded client, with keys if they can be read; raises LiveHostError."""
        if self._client is None:
            self._client = SandboxClient(
                self.profile,
                self._keys(),
                base_url=self._settings.base_url,
                recv_window_ms=self._settings.recv_window_ms,
                clock=SystemClock(),
            )
        return self._client

    def _keys(self) -> Credentials | None:
        try:
            return read_credentials(self.profile, self._environ, base_url=self._settings.base_url)
        except ConfigError:
            return None

    def _dialect(self) -> Dialect:
        return DIALECTS[self.profile.dialect](self.client())

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.close()

    async def check_venue(self) -> Answer:
        venue = self._settings.venue
        if self._profile is None:
            raise FailedError(no_sandbox_reason(venue))
        if self._settings.base_url:
            loopback_authority(self._settings.base_url)
        where = self._settings.base_url or ", ".join(sorted(self._profile.origins))
        if not self._profile.verified:
            return Noted(
                f"{venue} at {where}: not verified, so it is spoken to with the careful generic profile; run "
                f"tools/smoke_test_testnet_stack.py --exchange {venue} first"
            )
        return f"{venue} at {where}, a verified profile"

    async def check_keys(self) -> Answer:
        found = read_credentials(self.profile, self._environ, base_url=self._settings.base_url)
        if found.warnings:
            raise FailedError(" ".join(found.warnings))
        own = any(name.startswith(f"{self.profile.venue.upper()}_TESTNET_") for name in self._environ)
        return "from the environment" if own else "from systemd, or the loopback venue's own"

    async def check_guard(self) -> Answer:
        return await refuse_live(self.client())

    async def check_clock(self) -> Answer:
        reading = await self.client().measure_clock()
        window = self._settings.recv_window_ms
        seen = f"{reading.offset_ms:+.0f} ms against {self.profile.venue}, round trip {reading.round_trip_ms:.0f} ms"
        if abs(reading.offset_ms) + reading.round_trip_ms >= window:
            raise FailedError(
                f"{seen}: more than testnet.recv_window_ms = {window}. Set this machine's clock (NTP), or look for a "
                "better connection."
            )
        return f"{seen}, within {window} ms"

    async def check_account(self) -> Answer:
        if self._keys() is None:
            raise FailedError("not checked: there are no keys")
        held = [name for name, amount in sorted((await self._dialect().balances()).items()) if amount]
        if not held:
            raise FailedError(f"the keys are accepted, but the account is empty: get {self.profile.venue}'s test funds")
        return f"the keys are accepted; {len(held)} currencies held: {', '.join(held[:8])}"

    async def check_symbols(self) -> Answer:
        dialect = self._dialect()
        await dialect.load()
        wanted = [each for each in load_instruments(self._instruments_path).values() if each.tradable]
        shown = {each.symbol: dialect.instrument(each.symbol) for each in wanted}
        missing = [each.symbol for each in wanted if shown[each.symbol] is None]
        steps = [text for each in wanted for text in differences(each, shown[each.symbol])]
        if steps:
            raise FailedError(f"{'; '.join(steps)}. Change {self._instruments_path}, or its orders would be refused.")
        if len(missing) == len(wanted):
            raise FailedError(f"{self.profile.venue} lists none of {', '.join(missing)}: see {self._instruments_path}")
        listed = ", ".join(each.symbol for each in wanted if each.symbol not in missing)
        if missing:
            return Noted(f"{listed} with fitting steps; not listed, so their orders are INVALID: {', '.join(missing)}")
        return f"{listed} with fitting steps"


async def refuse_live(client: SandboxClient) -> str:
    """Try a live address for real, past ccxt and then through it; returns what was seen.

    Nothing can leave even if the first attempt is let through, as no name is looked up; then there is no second one.
    A paper-trading venue has one host for both, which must refuse what lacks the paper header; ccxt always adds it.

    Raises:
        FailedError: it was let through.
    """
    live = _live_address(client)
    async with ClientSession(connector=GuardedConnector(client.guard, resolver=_NoNames())) as session:
        await _refused(session.get(live), live)
    if not _is_ours(live, client):
        await _refused(client.ex.fetch(live), live)
    return f"{live} was refused before anything was sent"


async def _refused(request: Awaitable[Any], address: str) -> None:
    """Await a request that the guard must refuse."""
    try:
        await request
    except LiveHostError:
        return
    raise FailedError(f"CRITICAL: a request to {address} was not refused. Do not start; open an incident.")


def _live_address(client: SandboxClient) -> str:
    """Return an address of the live venue, which ccxt keeps beside the sandbox's, or else the one that both have."""
    urls = client.ex.urls
    leaves = [each for each in _leaves(urls.get("apiBackup") or urls["api"]) if each.startswith("http")]
    http: list[str] = [client.ex.implode_hostname(each) for each in leaves]
    return next((each for each in http if not _is_ours(each, client)), http[0])


def _is_ours(address: str, client: SandboxClient) -> bool:
    return any(address.startswith(origin) for origin in client.profile.origins)


def _leaves(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _leaves(value)
    elif isinstance(node, str):
        yield node


def differences(ours: Instrument, theirs: Instrument | None) -> list[str]:
    """Return what of our steps the venue would refuse; steps coarser than its own are fine."""
    if theirs is None:
        return []
    if not theirs.tradable:
        return [f"{ours.symbol} does not trade there now"]
    wrong = {
        "tick_size": ours.tick_size % theirs.tick_size,
        "lot_size": ours.lot_size % theirs.lot_size,
        "min_quantity": ours.min_quantity < theirs.min_quantity,
        "max_quantity": ours.max_quantity > theirs.max_quantity,
        "min_notional": ours.min_notional < theirs.min_notional,
    }
    return [
        f"{ours.symbol} {name} is {getattr(ours, name)}, there {getattr(theirs, name)}"
        for name, is_wrong in wrong.items()
        if is_wrong
    ]
