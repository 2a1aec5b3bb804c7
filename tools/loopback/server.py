"""A loopback venue as a server on 127.0.0.1: HTTP, websockets, and the faults that are made in the bytes.

It runs in the loop of whoever starts it, in a test or in ``tools/venue.py``; everything it starts ends with it. This
module must not know any venue: what is answered is the dialect's affair, what is made to fail ``faults``' rules.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from collections.abc import Coroutine
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

from aiohttp import WSMsgType, web

from router.clock import Clock, SystemClock
from tools.loopback import control
from tools.loopback.exchange import Exchange
from tools.loopback.faults import PROCESSED, Faults, Rule
from tools.loopback.wire import Answer, Call, Dialect, Peer

EXCHANGES = {"binance": "BinanceDialect", "bybit": "BybitDialect"}
PAGE = "<html><head><title>venue</title></head><body><h1>Please wait</h1></body></html>"
WALK_S = 1.0
WALK_TICKS = 500

T = TypeVar("T")


class LoopbackVenue:
    """``async with LoopbackVenue("binance", seed=1) as venue:`` serves at ``venue.url`` until the block ends.

    ``venue.exchange`` is the truth, ``venue.faults`` what goes wrong, ``venue.requests`` counts by "METHOD /path",
    ``venue.peers`` are the open websockets. ``clock`` is waited on for delays and read for the venue's time. ``walk``
    moves every price a little each second.
    """

    def __init__(
        self, name: str, *, seed: int = 0, port: int = 0, clock: Clock | None = None, walk: bool = False
    ) -> None:
        random = Random(seed)  # noqa: S311  # repeatable, not secret
        module = importlib.import_module(f"tools.loopback.{name}")
        kind: type[Dialect] = getattr(module, EXCHANGES[name])
        self.name = name
        self.key = self.secret = "loopback" * 8  # what the router takes when no keys are set
        self.clock = clock or SystemClock()
        self.exchange = Exchange(kind.policy, self.clock)
        self.faults = Faults(random.getrandbits(32))
        self.peers: set[Peer] = set()
        self.dialect = kind(self.exchange, self.key, self.secret, self.peers)
        self.requests: Counter[str] = Counter()
        self.maintenance = False
        self.url = ""
        self._port = port
        self._walk = Random(random.getrandbits(32)) if walk else None  # noqa: S311
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        server = web.Server(self._serve, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        if self._walk is not None:
            _ = self._start(self._walk_on(self._walk))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def connections(self) -> int:
        """Return how many sockets are open."""
        server = self._runner.server if self._runner is not None else None
        return len(server.connections) if server is not None else 0

    def cut(self) -> None:
        """Cut every websocket."""
        for peer in tuple(self.peers):
            peer.cut()

    def clear(self) -> None:
        """End all faults, maintenance and a wrong clock; what has happened stays."""
        self.faults.clear()
        self.maintenance = False
        self.exchange.clock_offset_ms = 0

    # -- requests ----------------------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/_venue/"):
            return _response(control.answer(self, request.method, path, await request.read()))
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        call = Call(
            request.method,
            path,
            request.raw_path.partition("?")[2],
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        self.requests[f"{call.method} {path}"] += 1
        if self.maintenance:
            return _response(self.dialect.maintenance())
        rule = self.faults.take(call.method, path)
        if rule is None:
            return _response(self.dialect.handle(call))
        return await self._fail(request, call, rule)

    async def _fail(self, request: web.BaseRequest, call: Call, rule: Rule) -> web.StreamResponse:
        if rule.kind == "late":
            _ = self._start(self._process(call, rule.delay_s))
            return _cut(request)
        # As a task of the venue: a client that goes away stops nothing that has arrived.
        work = self._start(self._process(call, rule.delay_s, rule))
        answer = await asyncio.shield(work)
        if rule.kind in {"drop_before", "drop_after"}:
            return _cut(request)
        if rule.kind in {"hang", "hang_after"}:
            await asyncio.Event().wait()  # cancelled when the client goes, or the venue stops
        if rule.kind == "truncate":
            return await _truncated(request, answer)
        return _response(self._answer(call, rule, answer))

    def _answer(self, call: Call, rule: Rule, answer: Answer) -> Answer:
        """Return what is answered under ``rule`` in place of ``answer``."""
        match rule.kind:
            case "empty" | "html":
                answer = Answer(PAGE if rule.kind == "html" else "")
            case "status" | "status_after":
                answer = Answer(rule.body, rule.status, rule.headers)
            case "redirect":
                answer = Answer("", 307, {"Location": f"{rule.body}{call.path}?{call.query}".removesuffix("?")})
            case "code":
                answer = self.dialect.refusal(rule.code, rule.message)
            case "not_found_once":
                answer = self.dialect.not_found(call)
        return answer

    async def _process(self, call: Call, delay_s: float, rule: Rule | None = None) -> Answer:
        """Let the dialect handle the call, if the fault lets it, before or after the delay."""
        if rule is not None and rule.kind in {"delay_after", "hang_after"}:
            answer = self.dialect.handle(call)
            await self.clock.sleep(delay_s)
            return answer
        if delay_s:
            await self.clock.sleep(delay_s)
        return self.dialect.handle(call) if rule is None or rule.kind in PROCESSED else Answer("")

    # -- websockets --------------------------------------------------------------------------------------------

    async def _socket(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests[f"WS {request.path}"] += 1
        if self.maintenance or self.faults.stream.refuse:
            return web.Response(status=503)
        if not request.path.startswith(self.dialect.sockets):
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        peer = Peer(request.path_qs, self.faults, lambda: _abort(request))
        self.peers.add(peer)
        writer = self._start(_write(socket, peer))
        try:
            self.dialect.joined(peer)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self.dialect.hear(peer, message.data)
        finally:
            self.peers.discard(peer)
            writer.cancel()
        return socket

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _walk_on(self, random: Random) -> None:
        while True:
            await self.clock.sleep(WALK_S)
            for market in self.exchange.markets.values():
                ticks = random.randint(-WALK_TICKS, WALK_TICKS)
                self.exchange.move_price(market.symbol, max(market.mid + market.tick * ticks, market.tick * 100_000))


async def _write(socket: web.WebSocketResponse, peer: Peer) -> None:
    try:
        while True:
            await socket.send_str(await peer.outbox.get())
    except ConnectionError:
        peer.cut()


async def _truncated(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    body = answer.text().encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return _cut(request)


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


def _response(answer: Answer) -> web.Response:
    kind = "text/html" if answer.body and answer.text().startswith("<") else "application/json"
    return web.Response(text=answer.text(), status=answer.status, headers=dict(answer.headers), content_type=kind)
