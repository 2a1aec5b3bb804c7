"""A process that has only an unpacked wheel and the installed packages, and tries to trade live with it.

Prints what came of it as JSON. Started by ``test_wheel`` with ``-I -S``: the package's folder, the packages' folder
and a folder for the state are its arguments.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
STILL = {
    "execution.portfolio_preset": "",
    "market_data.source": "static",
    "market_data.static": {"BTC/USD": {"bid": "49999.5", "ask": "50000.5"}},
    "paper.fill_model": "instant",
}
touched: list[str] = []


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Note every look-up and connection, and every socket that could go anywhere."""
    if event in NETWORK or (event == "socket.__new__" and arguments[1] in {socket.AF_INET, socket.AF_INET6}):
        touched.append(f"{event} {arguments[1:]}")


async def trade(settings: Any, env: str) -> list[dict[str, Any]]:
    """Ask for a live order in every way there is, and for a paper one last."""
    from router import ExecutionPipeline, OrderIntent

    asked = {"symbol": "BTC/USD", "side": "buy", "quantity": "0.01", "environment": "live"}
    async with ExecutionPipeline(env, settings) as pipeline:
        ask = partial(pipeline.submit_order, raise_on_governance_violation=False)
        results = [await ask(OrderIntent(**asked))]
        await pipeline.intents.send(OrderIntent(**asked, intent_id="queued"))
        await pipeline.idle()
        results.append(await ask(OrderIntent(**asked, intent_id="queued")))
        if env == "live":
            results.append(await ask(OrderIntent(**asked | {"environment": None})))
        paper = await pipeline.submit_order(OrderIntent(**asked | {"environment": "paper"}))
        orders = [order.environment for order in pipeline.open_orders()]
    assert paper.status == "SUCCESS", paper.reason
    return [
        {
            "status": str(result.status),
            "executor_called": result.executor_called,
            "lock": result.governance_status["live_order_execution"],
            "open": orders,
        }
        for result in results
    ]


def main(home: Path) -> dict[str, Any]:
    from router import cli
    from router.errors import ConfigError
    from router.execution.environments import EXECUTORS
    from router.settings import load_settings

    still: dict[str, object] = {**STILL, "execution.home": str(home)}
    settings, refused = load_settings(environ={}, overrides=still), False
    try:
        settings = load_settings(environ={}, overrides={**still, "execution.environments": ["paper", "live"]})
    except ConfigError:
        refused = True
    file = home / "live.toml"
    file.write_text('[execution]\nenvironments = ["live"]\n')
    return {
        "from": cli.__file__,
        "executors": sorted(EXECUTORS),
        "refused": refused,
        "command": cli.main(["config", "show", "--config", str(file), "--json"]),
        "results": [result for env in ("live", "paper") for result in asyncio.run(trade(settings, env))],
        "touched": touched,
    }


if __name__ == "__main__":
    package, packages, state = sys.argv[1:]
    sys.path[:0] = [package]
    sys.path.append(packages)
    sys.addaudithook(watch)
    print(json.dumps(main(Path(state))))
