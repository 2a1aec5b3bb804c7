#!/usr/bin/env python
"""Say whether a session could start now: one line a check, and at the end all passed or which failed (runbook §7).

Nothing is ordered and nothing changed. Where a venue is asked, only its sandbox, or a loopback venue, can be reached.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it is run as a script, from a checkout

from tools import bootstrap

if __name__ == "__main__":
    bootstrap.ready()


from router.errors import ConfigError, RouterError
from router.execution.environments import EXECUTORS
from router.governance.go_no_go import LIVE, LOCKED, get_governance_status
from router.journal.audit import verify
from router.market.instruments import load_instruments
from router.risk.limits import limit_files, read_limits
from router.settings import Settings, load_settings
from tools.sandbox_checks import Answer, FailedError, Noted, Sandbox, said

STAGES: Final = ("paper", "shadow", "testnet")
LEAST_FREE: Final = 1 << 30
"""Bytes: a busy day of journal and logs fits into it, and SQLite's write-ahead log."""
ANSWER_S: Final = 30.0
CONFIGURATION: Final = frozenset({"configuration", "risk limits", "instruments"})
"""What makes the exit code 4 when it fails."""


class Finding(NamedTuple):
    """What a check found; ``warning``: it holds, but somebody should read it."""

    check: str
    ok: bool
    detail: str
    warning: bool = False

    @property
    def line(self) -> str:
        """The finding for people."""
        return f"{'❌' if not self.ok else '⚠️ ' if self.warning else '✅'} {self.check}: {self.detail}"


# -- this machine -----------------------------------------------------------------------------------------------


def check_limits(settings: Settings) -> Answer:
    limits = read_limits(limit_files(settings), settings.strategies)
    return f"complete, from {' and '.join(file.name for file in limit_files(settings))}, in {limits.base_currency}"


def check_instruments(settings: Settings) -> Answer:
    instruments = load_instruments(settings.instruments_path)
    if not any(each.tradable for each in instruments.values()):
        raise ConfigError(f"{settings.instruments_path}: nothing in it may be traded")
    return ", ".join(symbol for symbol, each in instruments.items() if each.tradable)


def check_files(settings: Settings) -> Answer:
    files = [*limit_files(settings), settings.instruments_path]
    if settings.source is not None:
        files.insert(0, settings.source)
    for file in files:
        if file.stat().st_mode & stat.S_IWOTH:
            raise FailedError(f"every user of this machine may change {file}: chmod o-w it")
    return f"{len(files)} files that only their owners change, without keys in them"


def check_governance(_: Settings) -> Answer:
    status = get_governance_status(LIVE)
    if status != LOCKED:
        raise FailedError(
            f"CRITICAL: {LIVE} is {status}, not {LOCKED}. Lock it in router/governance/go_no_go.py at once (runbook "
            "§12.3), restart, and open an incident."
        )
    if "live" in EXECUTORS:
        raise FailedError("CRITICAL: there is an executor for live. Stop the router, open an incident (runbook §10.1).")
    return f"{LIVE} is {status}, and there is no live executor"


def check_home(settings: Settings) -> Answer:
    folder = _nearest(settings.home_path)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        raise FailedError(
            f"{folder} cannot be written: {error.strerror}. Make it writable or choose another execution.home."
        ) from None
    return f"{settings.home_path} can be written"


def _nearest(home: Path) -> Path:
    """Return the home, or as long as there is none the folder in which it will be made."""
    return next(each for each in (home, *home.parents) if each.exists())


def check_disk(settings: Settings) -> Answer:
    folder = _nearest(settings.home_path)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise FailedError(f"only {free >> 20} MiB free under {folder}; make room for at least {LEAST_FREE >> 20} MiB")
    return f"{free / (1 << 30):.1f} GiB free under {folder}"


def check_journal(settings: Settings) -> Answer:
    path = settings.home_path / "journal.db"
    if not path.exists():
        return "none yet; the first start makes one"
    report = verify(path)
    return f"{report.events} events, the chain holds (head {report.head[:16]})"


LOCAL: Final[Mapping[str, Callable[[Settings], Answer]]] = {
    "risk limits": check_limits,
    "instruments": check_instruments,
    "configuration files": check_files,
    "governance lock": check_governance,
    "home": check_home,
    "disk": check_disk,
    "journal": check_journal,
}


def check_enabled(settings: Settings, stage: str) -> Answer:
    """A stage has to be enabled, and what it trades on has to make sense for it."""
    enabled = settings.execution.environments
    if stage not in enabled:
        raise FailedError(
            f"it is not enabled: add it to execution.environments (now: {', '.join(enabled) or 'none'}), or its orders "
            "are BLOCKED_BY_ENVIRONMENT"
        )
    source = settings.market_data.source
    if stage != "paper" and source == "synthetic":
        return Noted(f'enabled, but on invented prices: set market_data.source to "ccxt" (now "{source}")')
    return f"enabled, prices from {source}"


# -- all of them ------------------------------------------------------------------------------------------------


async def examine(settings: Settings, stages: Iterable[str], environ: Mapping[str, str]) -> list[Finding]:
    """Run every check of the stages."""
    findings = [_checked(check, partial(function, settings)) for check, function in LOCAL.items()]
    findings += [_checked(stage, partial(check_enabled, settings, stage)) for stage in stages]
    if "testnet" not in stages:
        return findings
    sandbox = Sandbox(settings, environ)
    try:
        findings += [await _asked(check, function, sandbox) for check, function in sandbox.checks.items()]
    finally:
        await sandbox.close()
    return findings


def _checked(check: str, function: Callable[[], Answer]) -> Finding:
    try:
        return _held(check, function())
    except (FailedError, RouterError) as error:
        return Finding(check, False, str(error))
    except OSError as error:
        return Finding(check, False, f"{error.filename or 'a file'}: {error.strerror}")


async def _asked(check: str, function: Callable[[], Awaitable[Answer]], sandbox: Sandbox) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_S):
            return _held(check, await function())
    except FailedError as error:
        return Finding(check, False, str(error))
    except Exception as error:  # noqa: BLE001 -- whatever ccxt raises: for people, without a trace
        return Finding(check, False, said(error, sandbox.profile))


def _held(check: str, answer: Answer) -> Finding:
    noted = isinstance(answer, Noted)
    return Finding(check, True, answer.detail if isinstance(answer, Noted) else answer, noted)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="check_live_readiness.py", description="Check that a session could start.")
    parser.add_argument("--stage", choices=STAGES, help="default: every environment that the configuration enables")
    parser.add_argument("--config", help="configuration file (default config/config.toml)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    stages: tuple[str, ...] = ()
    try:
        settings = load_settings(options.config)
    except ConfigError as error:
        findings = [Finding("configuration", False, str(error))]
    else:
        stages = (options.stage,) if options.stage else settings.execution.environments
        findings = [Finding("configuration", True, str(settings.source or "defaults"))]
        findings += asyncio.run(examine(settings, stages, os.environ))
    failed = [each.check for each in findings if not each.ok]
    code = 0 if not failed else 4 if CONFIGURATION & set(failed) else 1
    if options.json:
        checks = [each._asdict() for each in findings]
        print(json.dumps({"ok": not failed, "stages": stages, "failed": failed, "checks": checks}, indent=2))
        return code
    for each in findings:
        print(each.line)
    many = "check" if len(failed) == 1 else "checks"
    print(f"❌ {len(failed)} {many} failed: {', '.join(failed)}" if failed else "✅ All checks passed")
    return code


def _end() -> NoReturn:
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    _end()
