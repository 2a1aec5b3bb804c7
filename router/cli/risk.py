"""Commands that show how much of each limit is used, and set one.

This module must not know HTTP, nor what a limit may be: it sends what was typed and shows the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from router.cli.common import DEFAULTS, CommandError, Common, plain_number, say, show_json, show_table
from router.cli.operate import closure_text
from router.domain.control import Closure
from router.domain.result import Limit
from router.risk.gate import RiskSnapshot
from router.risk.monitor import NEAR

_DIGITS: Final = 8


async def risk(*, environment: str | None = None, common: Common = DEFAULTS) -> None:
    """Show every account with what it has used of its limits, and every limit in force.

    Args:
        environment: Only this one's account.
    """
    async with common.client() as client:
        report = await client.risk_report()
    if environment is not None:
        report = _only(report, environment)
    if common.json:
        return show_json(report)
    accounts = msgspec.convert(report["environments"], dict[str, RiskSnapshot], strict=False)
    closures = msgspec.convert(report["closed_sessions"], list[Closure], strict=False)
    for closure in closures:
        say(f"🚨 {closure_text(closure)}")
    for name, account in accounts.items():
        _say_account(name, account, report["limits"]["base_currency"])
    say("Limits in force")
    return show_table(("Key", "Limit", "From"), _in_force(report["limits"], report["overrides"]), right=("Limit",))


async def risk_set(key: str, value: str, *, operator: str, reason: str, common: Common = DEFAULTS) -> None:
    """Set one limit; it counts, over restarts too, until the files' own value for it changes.

    Args:
        key: As in risk_limits.toml, dotted, e.g. max_exposure, max_position_size.BTC/USD, strategies.NAME.max_drawdown.
        value: The new limit.
        operator: Who orders it.
        reason: Kept in the journal.
    """
    async with common.client() as client:
        done = await client.set_limit(key, value, operator=operator, reason=reason)
    if common.json:
        return show_json(done)
    say(f"✅ {done['key']} is {done['new']}; it was {done['old'] or 'not limited'}.")
    return say("   It counts over restarts, until its value in the files changes.")


def _only(report: dict[str, Any], environment: str) -> dict[str, Any]:
    accounts = report["environments"]
    if environment not in accounts:
        raise CommandError(f"{environment} has no account here; there are {', '.join(accounts) or 'none'}")
    closed = [each for each in report["closed_sessions"] if each["environment"] == environment]
    return {**report, "environments": {environment: accounts[environment]}, "closed_sessions": closed}


def _say_account(name: str, account: RiskSnapshot, currency: str) -> None:
    say(
        f"{name} · equity {_short(account.equity)} {currency} · peak {_short(account.peak_equity)} · "
        f"drawdown {_short(account.drawdown)} · today {account.daily_pnl:+.2f} · exposure {_short(account.exposure)}"
    )
    titles = ("Limit", "Now", "May be", "Headroom", "Used")
    show_table(titles, (_measured(limit) for limit in account.limits), right=titles[1:])
    say()


def _measured(limit: Limit) -> tuple[str, ...]:
    used = max(limit.value / limit.limit, Decimal(0))
    share = f"{used:.0%}" if used.is_finite() else "∞"
    return (
        limit.name,
        _short(limit.value),
        _short(limit.limit),
        _short(limit.headroom),
        f"⚠ {share}" if used >= NEAR else share,
    )


def _in_force(limits: Mapping[str, str], overrides: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for key, value in limits.items():
        yield key, value, "⚠ an operator" if key in overrides else "files"


def _short(value: Decimal) -> str:
    return plain_number(round(value, _DIGITS)) if value.is_finite() else "∞" if value > 0 else "-∞"
