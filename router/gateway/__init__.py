"""HTTP in front of the pipeline, on the Unix socket under home: ``http`` serves, ``client`` asks.

The gateway translates; it decides nothing about orders. This package must not know the command line, nor how
the process is started and stopped.
"""

from __future__ import annotations

from router.errors import ExecutionPipelineError


class RouterNotRunningError(ExecutionPipelineError):
    """Nothing listens on the router's socket; the message names it."""
