"""The shape of a stage and the fold that makes a chain of them.

A middleware receives a submission and the next stage; it answers itself or awaits the next one, and may act on
the answer (release what it reserved). It never raises to refuse. The chain is folded once, first item outermost,
and awaited directly: no task per stage (spec §13). This module must not know any stage.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

from router.domain.enums import ExecutionStatus
from router.domain.intent import OrderIntent
from router.domain.market import Quote
from router.domain.order import Order
from router.domain.result import ExecutionResult


class Fault(NamedTuple):
    """What is wrong with an intent: the field, the contract's message, and more for whoever debugs it."""

    field: str
    message: str
    reason: str


class Submission:
    """One intent on its way through the chain, and what the stages have found out about it.

    ``order`` exists once validation has passed; ``reference`` is the quote that the gates saw;
    ``governance`` is the whole map as the gate read it; ``fault`` is what intake found wrong with the intent_id.
    ``amends`` is the working order that other terms are asked for; None for a new order.
    """

    __slots__ = (
        "amends",
        "client_order_id",
        "environment",
        "fault",
        "governance",
        "intent",
        "order",
        "received_at",
        "reference",
        "run_id",
        "session_id",
        "skip_risk_check",
    )

    def __init__(
        self,
        intent: OrderIntent,
        *,
        run_id: str,
        session_id: str,
        environment: str,
        client_order_id: str | None,
        received_at: datetime,
        skip_risk_check: bool = False,
        amends: Order | None = None,
    ) -> None:
        self.intent = intent
        self.run_id = run_id
        self.session_id = session_id
        self.environment = environment
        self.client_order_id = client_order_id
        self.received_at = received_at
        self.skip_risk_check = skip_risk_check
        self.amends = amends
        self.fault: Fault | None = None
        self.order: Order | None = None
        self.reference: Quote | None = None
        self.governance: dict[str, str] = {}

    @property
    def only_takes_away(self) -> bool:
        """Whether it asks for less of what works already: an amendment at the same price to no more quantity."""
        before, order = self.amends, self.order
        return (
            before is not None
            and order is not None
            and order.price == before.price
            and order.quantity <= before.quantity
        )

    def answer(self, status: ExecutionStatus, **fields: Any) -> ExecutionResult:
        """Return the verdict ``status`` on this submission, with what is known of it so far."""
        return ExecutionResult(
            status=status,
            run_id=self.run_id,
            session_id=self.session_id,
            timestamp=self.received_at,
            environment=self.environment,
            order_intent=self.intent,
            client_order_id=self.client_order_id,
            governance_status=self.governance,
            **fields,
        )


Next: TypeAlias = Callable[[Submission], Coroutine[Any, Any, ExecutionResult]]
"""The rest of the chain."""


class Middleware(Protocol):
    """One stage: answer, or await ``call_next(submission)`` and pass its answer on."""

    async def __call__(self, submission: Submission, call_next: Next) -> ExecutionResult: ...


def compose(stages: Sequence[Middleware], last: Next) -> Next:
    """Fold ``stages`` around ``last``; the first stage is the outermost."""
    chain = last
    for stage in reversed(stages):
        chain = partial(stage, call_next=chain)
    return chain
