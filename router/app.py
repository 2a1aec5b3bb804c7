"""The router as a process of its own: logs, pipeline, gateway, and a stop in the right order.

Started by ``router serve``; a stop is SIGTERM or SIGINT, a second one ends the process at once (a crash is
safe: start-up is replay). This module must not know what an order is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO, Final

import anyio
import msgspec
from aiohttp import web

from router import logs
from router.clock import Clock, SystemClock
from router.errors import ExecutionPipelineError, RouterError
from router.execution.pipeline import ExecutionPipeline
from router.gateway.http import make_app
from router.settings import Settings, settings_to_builtins

_NOT_ENFORCED: Final = ("gateway", "alerts")
"""Sections that are checked and kept, but that nothing obeys so far: said at every start."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_LONGEST_SOCKET_PATH: Final = 107  # bytes, Linux
_REQUESTS_MAY_FINISH_S: Final = 2.0
_LOOK_AFTER_PIPELINE_S: Final = 1.0


async def serve(
    settings: Settings,
    *,
    started: Callable[[Path], None] | None = None,
    stdout: BinaryIO | None = None,
    clock: Clock | None = None,
) -> None:
    """Run the router until SIGTERM or SIGINT.

    Args:
        settings: what to run.
        started: called with the socket's path once orders are taken.
        stdout: where log lines go besides the file.

    Raises:
        RouterError: it cannot start; nothing is left running.
    """
    clock = clock or SystemClock()
    home = settings.home_path
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can be obeyed, it must not end the process
    logs.configure(home, clock.now, stdout=stdout)
    log = logs.get_logger(stage="app")
    try:
        async with _stop_signals() as stop, ExecutionPipeline(None, settings, clock=clock) as pipeline:
            snapshot = _snapshot(settings, clock)
            async with _gateway(pipeline, home / "router.sock") as path:
                log.warning("settings_not_enforced_yet", sections=_NOT_ENFORCED)
                log.info("router started", pid=os.getpid(), socket=str(path), config_snapshot=str(snapshot))
                if started is not None:
                    started(path)
                _say_what_is_off(pipeline, settings)
                async with anyio.create_task_group() as group:
                    group.start_soon(_watch, pipeline, stop, clock)
                    group.start_soon(_reload_on_hangup, pipeline)
                    log.info("router stopping", reason=await stop)
                    group.cancel_scope.cancel()
    except RouterError as error:
        log.critical("router failed", reason=str(error))
        raise
    except Exception as error:
        log.critical("router failed", exc_info=error)
        raise
    finally:
        logs.shutdown()


async def _watch(pipeline: ExecutionPipeline, stop: asyncio.Future[str], clock: Clock) -> None:
    """Raise soon after the pipeline has ended by itself, so that a supervisor starts it again."""
    while pipeline.health()["pipeline"]["ok"]:
        await clock.sleep(_LOOK_AFTER_PIPELINE_S)
    if not stop.done():
        raise ExecutionPipelineError("The pipeline has ended by itself; start the router again.")


def _say_what_is_off(pipeline: ExecutionPipeline, settings: Settings) -> None:
    """Log every control and every limit that configuration has switched off, for anybody."""
    log = logs.get_logger(stage="safety")
    for environment in settings.execution.environments:
        for strategy in (None, *settings.strategies):
            limits = settings.safety_for(environment, strategy)
            off = [each.id for each in pipeline.controls if each.limit(limits) == "off"]
            keys = [key for key, value in msgspec.structs.asdict(limits).items() if value in (None, "off")]
            if off or keys:
                log.warning("controls_off", environment=environment, strategy_key=strategy, controls=off, keys=keys)


async def _reload_on_hangup(pipeline: ExecutionPipeline) -> None:
    """Read the limits' files again at every SIGHUP; a wrong file changes nothing."""
    log = logs.get_logger(stage="risk")
    with anyio.open_signal_receiver(signal.SIGHUP) as hangups:
        async for _ in hangups:
            try:
                changed = await pipeline.reload_limits()
            except RouterError as error:
                log.error("limits_not_reloaded", reason=str(error))  # noqa: TRY400 -- a text for people
            else:
                log.warning("limits_reloaded", changed=sorted(changed))


@contextlib.asynccontextmanager
async def _stop_signals() -> AsyncIterator[asyncio.Future[str]]:
    """Turn the first SIGTERM or SIGINT into a result; the second one acts as if nobody listened."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def received(number: signal.Signals) -> None:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
        stop.set_result(number.name)

    for number in _SIGNALS:
        loop.add_signal_handler(number, received, number)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _gateway(pipeline: ExecutionPipeline, path: Path) -> AsyncIterator[Path]:
    """Serve HTTP on the socket at ``path``; gone again afterwards."""
    listener = _listen(path)
    runner = web.AppRunner(make_app(pipeline), access_log=None, shutdown_timeout=_REQUESTS_MAY_FINISH_S)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield path
    finally:
        os.unlink(path)  # noqa: PTH108 - new clients learn at once that nobody listens
        await runner.cleanup()
        listener.close()


def _listen(path: Path) -> socket.socket:
    """Return a listening socket that only its owner may open; a dead predecessor is replaced.

    Raises:
        ExecutionPipelineError: another process listens there, or the path cannot be a socket.
    """
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise ExecutionPipelineError(
            f"{path} is longer than the {_LONGEST_SOCKET_PATH} bytes a socket may have; choose a shorter execution.home"
        )
    if _is_alive(path):
        raise ExecutionPipelineError(f"{path}: another router listens there. Stop it, or choose another home.")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ExecutionPipelineError(f"{path}: the socket cannot be made: {error.strerror}") from None
    finally:
        os.umask(umask)
    listener.setblocking(False)
    return listener


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _snapshot(settings: Settings, clock: Clock) -> Path:
    """Write the settings that count, secrets redacted, for incidents (runbook §6.1); returns the file."""
    path = settings.home_path / "snapshots" / f"config_{clock.now():%Y%m%d_%H%M%S}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(settings_to_builtins(settings)), indent=2))
    except OSError as error:  # a full disk must not keep working orders from being cancelled
        logs.get_logger(stage="app").error("config_snapshot_failed", path=str(path), reason=str(error.strerror))
    return path
