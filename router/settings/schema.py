"""Every setting there is: its name, type, bounds and default (spec §9), as data.

A section checks and converts itself whenever it is made, from a file or in Python, so no settings object
exists that holds nonsense. The limits of the order-level controls are in ``safety``. This module must not know
files, the environment or the order in which they count.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field
from msgspec.structs import force_setattr

from router.settings.fit import MisfitError, decimal_from, struct_fields
from router.settings.safety import Safety, SafetyOverride, Strategies
from router.settings.section import Section, Symbol

Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]
SEVERITIES: Final[tuple[Severity, ...]] = ("CRITICAL", "HIGH", "MEDIUM", "LOW")

_NotNegative = Annotated[Decimal, Meta(extra={"ge": 0})]
_Positive = Annotated[Decimal, Meta(extra={"gt": 0})]
_Seconds = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1)]
_FileName = Annotated[str, Meta(min_length=1, pattern=r"\S", description="a file name")]
_Preset = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9_-]*$", description='the name of a file in presets/ without ".toml", or ""'),
]
_Currency = Annotated[str, Meta(pattern=r"^[A-Z0-9]+$", description='a currency like "USD"')]
_OperatorName = Annotated[str, Meta(pattern=r"\S", max_length=64, description="a name of at most 64 characters")]
_ChannelName = Annotated[str, Meta(pattern=r"\S", description="a channel name")]
_AlertUrl = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://\S+$",
        description='an apprise URL like "json://127.0.0.1:9000"',
        extra={"private": True},
    ),
]


class Execution(Section, frozen=True, kw_only=True):
    """Which executors exist, where state lives, and how many intents may wait."""

    environment: Literal["paper", "shadow", "testnet", "live"] = "paper"
    environments: tuple[Literal["paper", "shadow", "testnet"], ...] = ("paper", "shadow")
    home: _FileName = "var"
    portfolio_preset: _Preset = "conservative_crypto"
    risk_limits: _FileName = "risk_limits.toml"
    instruments: _FileName = "instruments.toml"
    intake_capacity: _Count = 10000

    def prepare(self) -> None:
        raw: object = self.environments
        if isinstance(raw, list | tuple) and "live" in raw:
            raise MisfitError(
                ("environments",),
                'must not contain "live": live execution is locked by governance and has no executor',
            )


class StaticQuote(Section, frozen=True, kw_only=True):
    """A fixed best bid and ask, in quote currency per base unit; sizes in base units."""

    bid: _Positive
    ask: _Positive
    bid_size: _Positive | None = None
    ask_size: _Positive | None = None

    def check(self) -> None:
        if self.bid > self.ask:
            raise MisfitError((), f"must not have its bid above its ask; found {self.bid} and {self.ask}")


class MarketData(Section, frozen=True, kw_only=True):
    """Where prices come from and how old they may be."""

    source: Literal["static", "synthetic", "replay", "ccxt"] = "synthetic"
    max_age_s: _Seconds = 5.0
    paths: tuple[_FileName, ...] = ()
    speed: str = "1.0"
    seed: int = 7
    interval_ms: _Count = 50
    static: dict[Symbol, StaticQuote] = field(default_factory=dict)

    def prepare(self) -> None:
        raw: object = self.speed
        if isinstance(raw, int | float | Decimal) and not isinstance(raw, bool):
            force_setattr(self, "speed", str(raw))

    def check(self) -> None:
        if self.speed == "max":
            return
        try:
            if decimal_from(self.speed) > 0:
                return
        except ValueError:
            pass
        raise MisfitError(("speed",), f'must be a number above 0, or "max"; found "{self.speed}"')

    @property
    def speed_factor(self) -> Decimal | None:
        """Factor of recorded time, or None for as fast as possible."""
        return None if self.speed == "max" else decimal_from(self.speed)


class Paper(Section, frozen=True, kw_only=True):
    """The simulated venue: what the account starts with, fees in basis points, latency, fill model."""

    starting_balances: dict[_Currency, _NotNegative] = field(
        default_factory=lambda: {"USD": Decimal(100000), "USDT": Decimal(100000), "EUR": Decimal(100000)}
    )
    maker_fee_bps: Decimal = Decimal(10)
    taker_fee_bps: Decimal = Decimal(10)
    latency_ms: Annotated[int, Meta(ge=0)] = 0
    fill_model: Literal["queue", "instant"] = "queue"


class Testnet(Section, frozen=True, kw_only=True):
    """The sandbox venue; its API keys are never configuration."""

    __test__ = False  # the name is the venue's, not a test class

    venue: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$", description='a ccxt venue name like "binance"')] = "binance"
    base_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://[^\s/?#@]+(/[^\s?#@]*)?$",
            description='"" or a loopback venue like "http://127.0.0.1:8080", without user name or query',
        ),
    ] = ""
    recv_window_ms: Annotated[int, Meta(ge=1, le=60000)] = 5000
    reconcile_s: _Seconds = 60.0


class Watchers(Section, frozen=True, kw_only=True):
    """How long a venue may be silent about an open order, in seconds."""

    submitted_window_s: _Seconds = 30.0
    partial_window_s: _Seconds = 300.0


class Gateway(Section, frozen=True, kw_only=True):
    """Where HTTP listens; port 0 leaves only the Unix socket."""

    host: Annotated[str, Meta(pattern=r"^\S+$", description="a host name or address")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000


def _no_urls() -> dict[Severity, tuple[_AlertUrl, ...]]:
    return dict.fromkeys(SEVERITIES, ())


class Alerts(Section, frozen=True, kw_only=True):
    """Apprise URLs by severity and by channel name; never shown whole, for they may hold credentials."""

    urls: dict[Severity, tuple[_AlertUrl, ...]] = field(default_factory=_no_urls)
    channels: dict[_ChannelName, _AlertUrl] = field(default_factory=dict)

    def check(self) -> None:
        """Every severity has an entry, so that a missing one is an empty list, not a KeyError."""
        force_setattr(self, "urls", _no_urls() | self.urls)


class Governance(Section, frozen=True, kw_only=True):
    """Governance keys that configuration may unlock for paper and shadow; never ``live_order_execution``.

    ``operators``: who may halt, resume, open and close sessions and set limits; none: anybody who gives a name.
    """

    risk_check_override: Literal["locked", "approved"] = "locked"
    operators: tuple[_OperatorName, ...] = ()


class Sections(Section, frozen=True, kw_only=True):
    """The tables of config.toml."""

    execution: Execution = Execution()
    market_data: MarketData = MarketData()
    paper: Paper = Paper()
    testnet: Testnet = Testnet()
    watchers: Watchers = Watchers()
    safety: Safety = Safety()
    strategies: Strategies = field(default_factory=dict)
    gateway: Gateway = Gateway()
    alerts: Alerts = Alerts()
    governance: Governance = Governance()


class Settings(Sections, frozen=True, kw_only=True, dict=True):
    """Everything a run is configured with; frozen.

    Args:
        source: the file it came from; None when made in Python.
        origins: dotted key → "default", "file", "env ROUTER__…" or "override".
    """

    source: Path | None = None
    origins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fit_fields(struct_fields(Sections))

    def safety_for(self, environment: str, strategy_key: str | None) -> Safety:
        """Return the limits of the controls for orders of a strategy in an environment, both of any name."""
        environments: Mapping[Any, SafetyOverride] = self.safety.environments
        scope = (
            environment if environment in environments else None,
            strategy_key if strategy_key in self.strategies else None,
        )
        found = self._resolved.get(scope)
        if found is None:
            strategy = None if scope[1] is None else self.strategies[scope[1]].safety
            found = self._resolved[scope] = self.safety.over(environments.get(scope[0])).over(strategy)
        return found

    @cached_property
    def _resolved(self) -> dict[tuple[str | None, str | None], Safety]:
        """What ``safety_for`` has found; only names of the file are keys."""
        return {}

    @property
    def home_path(self) -> Path:
        """Absolute folder of journal, logs and socket; a relative one starts at the working directory."""
        return Path(self.execution.home).expanduser().absolute()

    @property
    def folder(self) -> Path:
        """Folder that the other configuration files are relative to."""
        return self.source.parent if self.source is not None else default_folder()

    def resolve(self, name: str) -> Path:
        """Return the absolute path of the file ``name``, relative to the configuration file."""
        return (self.folder / Path(name).expanduser()).absolute()

    @property
    def risk_limits_path(self) -> Path:
        """Absolute path of the risk limits file."""
        return self.resolve(self.execution.risk_limits)

    @property
    def instruments_path(self) -> Path:
        """Absolute path of the instruments file."""
        return self.resolve(self.execution.instruments)

    @property
    def preset_path(self) -> Path | None:
        """Absolute path of the portfolio preset that overlays the risk limits; None without one."""
        preset = self.execution.portfolio_preset
        return self.resolve(f"presets/{preset}.toml") if preset else None


def default_folder() -> Path:
    """Return ``config/`` here if it holds config.toml, else the one beside the package or in its wheel."""
    package = Path(__file__).resolve().parents[1]
    candidates = (Path("config").absolute(), package.parent / "config", package / "config")
    return next((folder for folder in candidates if (folder / "config.toml").is_file()), candidates[0])
