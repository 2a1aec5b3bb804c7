"""Commands by which a named operator stops trading and starts it again.

This module must not know HTTP, nor what is halted: it sends what was typed and shows the answer.
"""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Final

from cyclopts import Parameter

from router.cli.common import DEFAULTS, CommandError, Common, ExitCode, say, show_json
from router.domain.control import Closure, Halt, HaltScope, Ordered

_Flag = Annotated[bool, Parameter(negative=())]
_WHO: Final = "--operator NAME --reason TEXT"


async def halt(
    *,
    operator: str,
    reason: str,
    environment: str | None = None,
    strategy: str | None = None,
    symbol: str | None = None,
    venue: str | None = None,
    allow_reducing: _Flag = False,
    cancel: _Flag = False,
    common: Common = DEFAULTS,
) -> None:
    """Stop new orders: everywhere (the kill switch), or inside one scope.

    Args:
        operator: Who orders it.
        reason: Kept in the journal.
        environment: Only this environment.
        strategy: Only this strategy.
        symbol: Only this symbol.
        venue: Only this venue.
        allow_reducing: Let orders pass that strictly reduce a position.
        cancel: Also ask for the end of what works there.
    """
    scope, name = _scope(environment, strategy, symbol, venue)
    async with common.client() as client:
        done = await client.halt(
            scope, name, operator=operator, reason=reason, allow_reducing=allow_reducing, cancel=cancel
        )
    if common.json:
        return show_json(done)
    assert done.halt is not None, "a halt is answered with it"
    say(f"🚨 {halt_text(done.halt)}")
    passes = "orders that strictly reduce a position, and cancels" if allow_reducing else "cancels"
    say("   Refused from now on: new orders and amendments, those already queued too.")
    say(f"   Still works: {passes}, look-ups, and whatever was handed over before.")
    _say_cancelled(done, cancel=cancel)
    say("   It lasts across restarts until a named operator ends it:")
    return say(f"   router resume{_option(done.halt)} {_WHO}")


async def resume(
    *,
    operator: str,
    reason: str,
    environment: str | None = None,
    strategy: str | None = None,
    symbol: str | None = None,
    venue: str | None = None,
    common: Common = DEFAULTS,
) -> None:
    """End a halt: exactly the one of this scope; without a scope, the kill switch.

    Args:
        operator: Who orders it.
        reason: Kept in the journal.
        environment: The halt of this environment.
        strategy: The halt of this strategy.
        symbol: The halt of this symbol.
        venue: The halt of this venue.
    """
    scope, name = _scope(environment, strategy, symbol, venue)
    async with common.client() as client:
        done = await client.resume(scope, name, operator=operator, reason=reason)
    if common.json:
        return show_json(done)
    assert done.halt is not None, "the halt that ended is answered"
    say(f"✅ Resumed: {done.halt.what}, halted since {done.halt.at:%Y-%m-%d %H:%M:%S} UTC by {done.halt.operator}")
    return _say_still_halted(done)


async def session_close(
    *,
    operator: str,
    reason: str,
    environment: str | None = None,
    cancel: _Flag = False,
    common: Common = DEFAULTS,
) -> None:
    """Close the session: from now on only reduce-only orders that reduce a position pass.

    Args:
        operator: Who orders it.
        reason: Kept in the journal.
        environment: Whose session; default is the router's environment.
        cancel: Also ask for the end of what works there and is not reduce-only.
    """
    async with common.client() as client:
        done = await client.session_close(environment, operator=operator, reason=reason, cancel=cancel)
    if common.json:
        return show_json(done)
    assert done.closure is not None, "a closure is answered with it"
    say(f"🚨 {closure_text(done.closure)}")
    say("   Still works: reduce-only orders that reduce a position, cancels, look-ups.")
    _say_cancelled(done, cancel=cancel)
    return say(
        f"   It lasts across restarts until: router session open --environment {done.closure.environment} {_WHO}"
    )


async def session_open(
    *,
    operator: str,
    reason: str,
    environment: str | None = None,
    reset_peak: _Flag = False,
    common: Common = DEFAULTS,
) -> None:
    """Open a closed session; refused while the limit that closed it would close it again at once.

    Args:
        operator: Who orders it.
        reason: Kept in the journal.
        environment: Whose session; default is the router's environment.
        reset_peak: Accept what was lost: the drawdown is counted from the present equity on.
    """
    async with common.client() as client:
        done = await client.session_open(environment, operator=operator, reason=reason, reset_peak=reset_peak)
    if common.json:
        return show_json(done)
    assert done.closure is not None, "what had closed it is answered"
    say(f"✅ The session of {done.closure.environment} is open; it was closed by {done.closure.operator}.")
    return _say_still_halted(done)


def halt_text(halt: Halt) -> str:
    """Return what is halted, by whom and why, for people."""
    by = f"{halt.operator} ({halt.control})" if halt.control else halt.operator
    allowed = " · reducing orders pass" if halt.allow_reducing else ""
    return f"HALTED: {halt.what}, since {halt.at:%Y-%m-%d %H:%M:%S} UTC by {by}: {halt.reason}{allowed}"


def closure_text(closure: Closure) -> str:
    """Return which session is closed, by whom and why, for people."""
    why = f"{closure.violation} · {closure.reason}" if closure.violation else closure.reason
    until = f", until the end of {closure.day} UTC" if closure.day else ""
    since = f"since {closure.at:%Y-%m-%d %H:%M:%S} UTC by {closure.operator}"
    return f"SESSION CLOSED: {closure.environment}, {since}{until}: {why}"


def _say_cancelled(done: Ordered, *, cancel: bool) -> None:
    if cancel:
        say("\n   ".join([f"   {len(done.cancelled)} working orders asked to end", *done.cancelled]))
    else:
        say("   Working orders stay: router cancel --all, or again with --cancel")
    if done.note:
        say(f"   ⚠️ {done.note}")


def _say_still_halted(done: Ordered) -> None:
    for halt in done.still_halted:
        say(f"   ⚠️ Still {halt_text(halt)}")


def _option(halt: Halt) -> str:
    return "" if halt.scope is HaltScope.ALL else f" --{halt.scope} {shlex.quote(halt.name)}"


def _scope(*names: str | None) -> tuple[HaltScope, str]:
    """Return the one scope that was named; none is everything."""
    scopes = (HaltScope.ENVIRONMENT, HaltScope.STRATEGY, HaltScope.SYMBOL, HaltScope.VENUE)
    named: list[Any] = [(scope, name) for scope, name in zip(scopes, names, strict=True) if name is not None]
    if len(named) > 1:
        raise CommandError(f"name one scope, not {' and '.join(f'--{scope}' for scope, _ in named)}", ExitCode.USAGE)
    return named[0] if named else (HaltScope.ALL, "")
