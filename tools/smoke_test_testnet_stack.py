#!/usr/bin/env python
"""Drive real sandbox orders through the whole router and compare it with the venue, one line a step (runbook §7).

Without keys it starts a loopback venue of its own on 127.0.0.1. Orders are a little above the venue's smallest; what
is left working is cancelled. The last line is SUCCESS, or FAILED with the step.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it is run as a script, from a checkout

from tools import bootstrap

if __name__ == "__main__":
    bootstrap.ready()

from router import logs
from router.clock import SystemClock
from router.errors import ConfigError
from router.executors.testnet.profiles import no_sandbox_reason, profile_of
from router.market.instruments import load_instruments
from router.settings import Settings, load_settings
from tools.loopback.server import EXCHANGES
from tools.sandbox_checks import FailedError, said
from tools.smoke_steps import SkippedError, Smoke, Step

KEY_PARTS: Final = ("API_KEY", "API_SECRET", "API_PASSPHRASE")
MARKS: Final = {"ok": "✅", "skipped": "⏭️ ", "failed": "❌"}


class Done(NamedTuple):
    """How a step went."""

    step: str
    outcome: str
    detail: str
    latency_ms: int
    todo: str = ""

    @property
    def text(self) -> str:
        """The step for people."""
        line = f"{MARKS[self.outcome]} {self.step}: {self.detail} ({self.latency_ms} ms)"
        return f"{line}\n   → {self.todo}" if self.todo else line


Show = Callable[[Done], None]


# -- where it runs ----------------------------------------------------------------------------------------------


def key_names(exchange: str) -> list[str]:
    """Return the variables that can give the keys of a venue's sandbox."""
    return [f"{exchange.upper()}_TESTNET_{part}" for part in KEY_PARTS]


def has_keys(exchange: str, environ: Mapping[str, str]) -> bool:
    """Return whether anything, even something wrong, is given as a key of the venue's sandbox."""
    names = key_names(exchange)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    files = [Path(folder, form) for name in names for form in (name, name.lower())] if folder else []
    return any({name, f"{name}_FILE"} & environ.keys() for name in names) or any(file.exists() for file in files)


@asynccontextmanager
async def loopback(exchange: str, seconds: float) -> AsyncIterator[str]:
    """Run a loopback venue as a child process and make its keys ours; yields its address."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(bootstrap.ROOT / "tools" / "venue.py"),
        *("--exchange", exchange, "--until-eof"),  # so that it ends with us, however we end
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is for us alone
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        line = b""
        with suppress(TimeoutError):
            line = await asyncio.wait_for(child.stdout.readline(), seconds)
        if not line:
            raise FailedError(f"tools/venue.py did not start within {seconds:.0f} s; run it by hand to see why")
        found = json.loads(line)
        names = key_names(exchange)
        for name in (*names, *(f"{name}_FILE" for name in names), "CREDENTIALS_DIRECTORY"):
            os.environ.pop(name, None)  # of this process alone: a key that is given twice is refused
        os.environ.update({names[0]: found["key"], names[1]: found["secret"]})
        yield found["url"]
    finally:
        child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), 5.0)
        except TimeoutError:
            child.kill()
            await child.wait()


def settings_for(base: Settings, exchange: str, base_url: str, home: Path) -> Settings:
    """Return the user's settings with nothing but this venue, its own prices and a home for this run."""
    return load_settings(
        base,
        overrides={
            "execution.environment": "testnet",
            "execution.environments": ["testnet"],
            "execution.home": str(home),
            "market_data.source": "ccxt",
            "testnet.venue": exchange,
            "testnet.base_url": base_url,
        },
    )


# -- the run ----------------------------------------------------------------------------------------------------


async def run(smoke: Smoke, show: Show) -> str | None:
    """Do every step, then clean up in any case; returns the step that failed, or None."""
    failed = None
    try:
        for step in smoke.steps:
            if not await _done(smoke, step, show):
                failed = step.name
                break
    finally:
        for step in (smoke.clean, smoke.last) if smoke.started else (smoke.last,):
            if not await _done(smoke, step, show):
                failed = failed or step.name
    return failed


async def _done(smoke: Smoke, step: Step, show: Show) -> bool:
    """Do a step and show how it went; returns whether the next one may follow."""
    begun = time.monotonic()
    smoke.begin()
    outcome, todo = "failed", step.hint
    try:
        async with asyncio.timeout(smoke.seconds):
            detail = await step.run()
        outcome, todo = "ok", ""
    except SkippedError as why:
        outcome, detail, todo = "skipped", f"skipped: {why}", ""
    except FailedError as error:
        detail = str(error)
    except TimeoutError:
        detail = f"no answer within {smoke.seconds:.0f} s"
    except Exception as error:  # noqa: BLE001 -- whatever ccxt raises: for people, without a trace
        detail = said(error, smoke.profile)
    show(Done(step.name, outcome, detail, round(1000 * (time.monotonic() - begun)), todo))
    return outcome != "failed"


async def smoke_test(options: argparse.Namespace, base: Settings, home: Path, show: Show) -> str | None:
    """Run against the venue that the options name; returns the step that failed, or None."""
    profile = profile_of(options.exchange)
    assert profile is not None, "a venue without a sandbox is refused before"

    async def against(base_url: str) -> str | None:
        settings = settings_for(base, options.exchange, base_url, home)
        smoke = Smoke(settings, profile, options.symbol, local=bool(base_url), seconds=options.timeout)
        return await run(smoke, show)

    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # cleans up as after a Ctrl-C
    logs.configure(home, SystemClock().now)
    try:
        if options.venue == "sandbox":
            return await against("")
        if options.venue == "configured":
            return await against(base.testnet.base_url)
        async with loopback(options.exchange, options.timeout) as url:
            return await against(url)
    except FailedError as error:
        show(Done("loopback venue", "failed", str(error), 0))
        return "loopback venue"
    finally:
        logs.shutdown()


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        base = load_settings(options.config)
        known_symbols = load_instruments(base.instruments_path)
    except ConfigError as error:
        return _failed("configuration", str(error), options, code=4)
    options.exchange = options.exchange or base.testnet.venue
    keys = f"{key_names(options.exchange)[0]} is {'' if has_keys(options.exchange, os.environ) else 'not '}set"
    given = "sandbox" if has_keys(options.exchange, os.environ) else "loopback"
    options.venue = options.venue or ("configured" if base.testnet.base_url else given)
    where = {
        "loopback": "a loopback venue on 127.0.0.1",
        "configured": f"testnet.base_url = {base.testnet.base_url}",
        "sandbox": "its real sandbox",
    }[options.venue]
    if profile_of(options.exchange) is None:
        return _failed("connect", no_sandbox_reason(options.exchange), options)
    if options.symbol not in known_symbols:
        return _failed(
            "markets", f"{options.symbol} is not in {base.instruments_path}: add it or choose another", options
        )
    if options.venue == "loopback" and options.exchange not in EXCHANGES:
        known = " and ".join(sorted(EXCHANGES))
        return _failed("connect", f"{keys}, and there are loopback venues for {known} only", options)
    if not options.json:
        print(f"Testnet smoke test: {options.exchange}, {options.symbol}, at {where} ({keys})", flush=True)
    return _run(options, base)


def _run(options: argparse.Namespace, base: Settings) -> int:
    steps: list[Done] = []

    def show(done: Done) -> None:
        steps.append(done)
        if not options.json:
            print(done.text, flush=True)

    home = Path(tempfile.mkdtemp(prefix="router-smoke-"))
    failed: str | None = "interrupted"
    try:
        failed = asyncio.run(smoke_test(options, base, home, show))
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    finally:
        kept = failed is not None and (home / "journal.db").exists()
        if not kept:
            shutil.rmtree(home, ignore_errors=True)
    if options.json:
        found = {
            "result": "FAILED" if failed else "SUCCESS",
            "failed": failed,
            "exchange": options.exchange,
            "venue": options.venue,
            "home": str(home) if kept else None,
            "steps": [done._asdict() for done in steps],
        }
        print(json.dumps(found, indent=2))
    elif failed is not None:
        if kept:
            print(f"The journal and the log of this run are in {home}")
        print(f"FAILED: {failed}")
    else:
        print("SUCCESS")
    return 1 if failed else 0


def _failed(step: str, text: str, options: argparse.Namespace, *, code: int = 1) -> int:
    """Say what is wrong before anything was tried."""
    if options.json:
        print(json.dumps({"result": "FAILED", "failed": step, "detail": text}, indent=2))
    else:
        print(f"❌ {step}: {text}\nFAILED: {step}")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smoke_test_testnet_stack.py", description="Trade at a sandbox, and compare.")
    parser.add_argument(
        "--venue", choices=["loopback", "sandbox"], help="default: testnet.base_url, else the sandbox if keys are set"
    )
    parser.add_argument("--exchange", help="default: testnet.venue of the configuration")
    parser.add_argument("--symbol", default="BTC/USDT", help="what is traded (default BTC/USDT)")
    parser.add_argument("--config", help="configuration file (default config/config.toml)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds that a step may take (default 30)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


if __name__ == "__main__":
    sys.exit(main())
