"""An event-driven order router: intents in, gates, paper, shadow or sandbox execution, durable answers out.

Live is locked and has no executor. ``ExecutionPipeline`` is imported when first asked for, so that looking
something up on the command line does not wait for the journal's and the logs' libraries.
"""

from typing import TYPE_CHECKING

from router.domain.enums import Environment, ExecutionStatus, OrderSide, OrderType, TimeInForce
from router.domain.intent import OrderIntent
from router.domain.result import ExecutionResult
from router.errors import ExecutionPipelineError, GovernanceViolationError, LiveExecutionLockedError

if TYPE_CHECKING:
    from router.execution.pipeline import ExecutionPipeline

__all__ = [
    "Environment",
    "ExecutionPipeline",
    "ExecutionPipelineError",
    "ExecutionResult",
    "ExecutionStatus",
    "GovernanceViolationError",
    "LiveExecutionLockedError",
    "OrderIntent",
    "OrderSide",
    "OrderType",
    "TimeInForce",
]


def __getattr__(name: str) -> object:
    if name == "ExecutionPipeline":
        from router.execution.pipeline import ExecutionPipeline  # noqa: PLC0415 -- late on purpose, see above

        return ExecutionPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
