"""The chain from an intent to its durable answer, and the single writer of order state.

``pipeline`` composes, ``validation`` and ``dispatch`` are its first and last stage, ``tracker`` writes order
state, ``conductor`` carries many submissions through the chain in one task. This package must not know HTTP,
the command line or how a venue is spoken to.
"""

from router.domain.enums import Environment, ExecutionStatus, OrderSide, OrderType, TimeInForce
from router.domain.intent import OrderIntent
from router.domain.result import ExecutionResult
from router.errors import ExecutionPipelineError, GovernanceViolationError, LiveExecutionLockedError
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
