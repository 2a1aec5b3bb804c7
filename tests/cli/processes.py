"""The command as its users see it, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.pipelines import QUIET

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[execution]
home = "{home}"
portfolio_preset = "smaller_orders"
risk_limits = "{config}/risk_limits.toml"
instruments = "{config}/instruments.toml"
[market_data]
source = "static"
[market_data.static."BTC/USD"]
bid = "49999.5"
ask = "50000.5"
[alerts.channels]
ops = "json://user:planted-secret@127.0.0.1:9"
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


class Served(NamedTuple):
    """A router process that takes orders."""

    process: subprocess.Popen[str]
    home: Path
    config: Path

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return Ended(self.process.returncode, out, err)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "router", *map(str, arguments)]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "PYTHONUTF8": "1"}


def write_config(folder: Path) -> Path:
    (folder / "presets").mkdir()
    (folder / "presets" / "smaller_orders.toml").write_text('max_order_notional = "50000"\n')
    path = folder / "config.toml"
    safety = [f'{key.removeprefix("safety.")} = "{value}"' for key, value in QUIET.items()]
    text = CONFIG.format(home=folder / "home", config=ROOT / "config")
    path.write_text("\n".join([text, "[safety]", *safety, ""]))
    return path


def serve(folder: Path) -> Served:
    """Start a router in ``folder`` and wait until it takes orders."""
    config = folder / "config.toml"
    if not config.exists():
        write_config(folder)
    process = subprocess.Popen(
        command("serve", "--config", config),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    if "taking orders" not in first:
        process.kill()
        pytest.fail(f"the router did not start: {first}{process.stderr.read()}")
    return Served(process, folder / "home", config)
