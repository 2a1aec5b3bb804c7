"""The router as seen from another process: typed questions over its Unix socket.

Answers are the same types as in process. A refused order is an answer, not an exception. This module must not
know how the router decides, nor the command line.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import msgspec
from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, UnixConnector
from yarl import URL

from router.domain.control import Closure, Halt, HaltScope, Ordered
from router.domain.events import AnyEvent
from router.domain.intent import OrderIntent, encode_intent
from router.domain.order import Order
from router.domain.result import ExecutionResult
from router.errors import ExecutionPipelineError
from router.gateway import RouterNotRunningError

_ANSWER_TIMEOUT_S: Final = 30.0
_Answer = TypeVar("_Answer")


class OrderStory(msgspec.Struct, frozen=True):
    """An order, the answer to its submission, and everything that happened to it.

    ``order`` is None for a submission that was refused before it became one.
    """

    order: Order | None
    result: ExecutionResult | None
    events: list[AnyEvent]


class Stopped(msgspec.Struct, frozen=True):
    """All that is halted, the widest first, and the environments whose session is closed."""

    halts: list[Halt]
    closed_sessions: list[Closure]


class _Orders(msgspec.Struct):
    orders: list[Order]


class _OneOrder(msgspec.Struct):
    order: Order


class _Cancelled(msgspec.Struct):
    client_order_ids: list[str]


class _Problem(msgspec.Struct):
    status: int
    detail: str


class RouterClient:
    """Asks a running router; use it as an async context manager.

    Args:
        socket_path: ``router.sock`` under the router's home.
    """

    def __init__(self, socket_path: str | Path) -> None:
        self._socket_path = Path(socket_path)
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=UnixConnector(path=str(self._socket_path)),
            timeout=ClientTimeout(total=_ANSWER_TIMEOUT_S),
            raise_for_status=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None, "entered before left"
        await self._session.close()

    async def submit_order(self, intent: OrderIntent) -> ExecutionResult:
        """Send one intent and return its answer; whatever is in it, the router answers."""
        return await self._ask("POST", "/v1/orders", ExecutionResult, body=encode_intent(intent))

    async def orders(self, *, open_only: bool = False) -> list[Order]:
        """Return open and recently ended orders, newest first."""
        answer = await self._ask("GET", "/v1/orders", _Orders, query={"open": ""} if open_only else {})
        return answer.orders

    async def order(self, client_order_id: str) -> OrderStory:
        """Return one order's story; raises ExecutionPipelineError when there is none."""
        return await self._ask("GET", _order_path(client_order_id), OrderStory)

    async def wait_for(self, client_order_id: str, *, timeout: float) -> OrderStory:  # noqa: ASYNC109
        """Return the order's story once it has ended; raises TimeoutError when that takes longer."""
        return await self._ask(
            "GET",
            _order_path(client_order_id),
            OrderStory,
            query={"wait": str(timeout)},
            timeout=timeout + _ANSWER_TIMEOUT_S,
        )

    async def cancel_order(self, client_order_id: str, *, reason: str) -> Order:
        """Ask for the order's cancellation and return it as it is then."""
        answer = await self._ask("DELETE", _order_path(client_order_id), _OneOrder, query={"reason": reason})
        return answer.order

    async def amend_order(
        self, client_order_id: str, *, quantity: Decimal | None = None, price: Decimal | None = None
    ) -> ExecutionResult:
        """Ask for another quantity or price of a working limit order and return the verdict."""
        terms = {"quantity": quantity, "price": price}
        body = msgspec.json.encode({name: str(number) for name, number in terms.items() if number is not None})
        return await self._ask("PATCH", _order_path(client_order_id), ExecutionResult, body=body)

    async def cancel_all(
        self,
        *,
        symbol: str | None = None,
        strategy_key: str | None = None,
        environment: str | None = None,
        reason: str,
    ) -> list[str]:
        """Ask for the cancellation of every open order that matches; returns their ids."""
        filters = {"symbol": symbol, "strategy_key": strategy_key, "environment": environment}
        body = msgspec.json.encode({**filters, "reason": reason})
        answer = await self._ask("POST", "/v1/cancel_all", _Cancelled, body=body)
        return answer.client_order_ids

    async def halt(
        self,
        scope: HaltScope = HaltScope.ALL,
        name: str = "",
        *,
        operator: str,
        reason: str,
        allow_reducing: bool = False,
        cancel: bool = False,
    ) -> Ordered:
        """Halt ``scope``; returns once that is durable. Working orders stay unless ``cancel``."""
        how = {"allow_reducing": allow_reducing, "cancel": cancel}
        return await self._operate("halt", {**_scoped(scope, name), **how}, operator, reason)

    async def resume(self, scope: HaltScope = HaltScope.ALL, name: str = "", *, operator: str, reason: str) -> Ordered:
        """End the halt of exactly this scope; the answer says which others stay."""
        return await self._operate("resume", _scoped(scope, name), operator, reason)

    async def session_close(
        self, environment: str | None = None, *, operator: str, reason: str, cancel: bool = False
    ) -> Ordered:
        """Take only what reduces in an environment, the router's own unless one is named."""
        fields = {"action": "close", "environment": environment, "cancel": cancel}
        return await self._operate("session", fields, operator, reason)

    async def session_open(
        self, environment: str | None = None, *, operator: str, reason: str, reset_peak: bool = False
    ) -> Ordered:
        """Open a closed session; ``reset_peak`` counts the drawdown from the present equity on."""
        fields = {"action": "open", "environment": environment, "reset_peak": reset_peak}
        return await self._operate("session", fields, operator, reason)

    async def halts(self) -> Stopped:
        """Return all that is halted or closed now."""
        return await self._ask("GET", "/v1/halts", Stopped)

    async def _operate(self, path: str, fields: dict[str, Any], operator: str, reason: str) -> Ordered:
        body = msgspec.json.encode({**fields, "operator": operator, "reason": reason})
        return await self._ask("POST", f"/v1/{path}", Ordered, body=body)

    async def status(self) -> dict[str, Any]:
        """Return how the router is: environment, health, open orders, positions, fees, risk."""
        return await self._ask("GET", "/v1/status", dict[str, Any])

    async def health(self) -> dict[str, Any]:
        """Return the health checks, red or not."""
        return await self._ask("GET", "/health", dict[str, Any], accept=(503,))

    async def governance(self) -> dict[str, str]:
        """Return the status of every governance key."""
        return await self._ask("GET", "/v1/governance", dict[str, str])

    async def risk(self, environment: str | None = None) -> dict[str, Any]:
        """Return equity, drawdown, exposure and every limit with its headroom; of the router's own environment unless
        another is named."""
        query = {} if environment is None else {"environment": environment}
        return await self._ask("GET", "/v1/risk", dict[str, Any], query=query)

    async def risk_report(self) -> dict[str, Any]:
        """Return the same of every environment with an account, and every limit in force by its key."""
        return await self._ask("GET", "/v1/risk/report", dict[str, Any])

    async def set_limit(self, key: str, value: str, *, operator: str, reason: str) -> dict[str, str | None]:
        """Set one limit; returns its key, old and new value once that is durable."""
        body = msgspec.json.encode({"key": key, "value": value, "operator": operator, "reason": reason})
        return await self._ask("POST", "/v1/risk", dict[str, str | None], body=body)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[_Answer],
        *,
        body: bytes | None = None,
        query: dict[str, str] | None = None,
        timeout: float = _ANSWER_TIMEOUT_S,  # noqa: ASYNC109 - it is aiohttp that keeps it
        accept: tuple[int, ...] = (),
    ) -> _Answer:
        """Send one request.

        Raises:
            RouterNotRunningError: nothing listens on the socket, or it went away.
            TimeoutError: no answer in time.
            ExecutionPipelineError: the router could not answer; its text says why.
        """
        if self._session is None:
            raise ExecutionPipelineError("RouterClient is used outside of `async with`")
        try:
            async with self._session.request(
                method,
                URL(f"http://router{path}", encoded=True),
                data=body,
                params=query,
                timeout=ClientTimeout(total=timeout),
                headers={"Content-Type": "application/json"} if body is not None else None,
            ) as response:
                content = await response.read()
        except TimeoutError:
            raise TimeoutError(f"The router did not answer within {timeout:g} s.") from None
        except ClientConnectorError:
            raise RouterNotRunningError(f"No router listens on {self._socket_path}. Start it: router serve") from None
        except ClientError:
            raise RouterNotRunningError(
                f"The router on {self._socket_path} went away before it answered. "
                "Once it runs again, an order may be sent again with the same intent_id."
            ) from None
        if response.status == 200 or response.status in accept:
            return msgspec.json.decode(content, type=kind)
        detail = _detail(content)
        if response.status == 504:
            raise TimeoutError(detail)
        raise ExecutionPipelineError(detail)


def _scoped(scope: HaltScope, name: str) -> dict[str, Any]:
    return {} if scope is HaltScope.ALL else {scope.value: name}


def _order_path(client_order_id: str) -> str:
    return f"/v1/orders/{quote(client_order_id, safe='')}"


def _detail(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Problem).detail
    except msgspec.DecodeError:
        return f"The router answered something unexpected: {content[:200].decode(errors='replace')}"
