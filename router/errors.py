"""Every exception the router raises on purpose, in one tree.

    RouterError                       anything the router raises on purpose
    ├── ConfigError                   a configuration file, key or limit is wrong (exit code 4)
    ├── MarketDataError               a recording or feed is malformed: file and line are named
    ├── JournalError                  the journal cannot be read, written or trusted
    │   ├── JournalLockedError        another process holds it: its pid is named
    │   └── JournalCorruptError       the hash chain or the schema does not hold
    └── ExecutionPipelineError        the pipeline is not running, or was asked for the impossible
        └── GovernanceViolationError  a governance key forbids it
            └── LiveExecutionLockedError   env=live while live_order_execution is locked (runbook §2)

Messages are for people: what happened, where (field, file, line), what to do. This module must not
know any other module of the package.
"""

from __future__ import annotations


class RouterError(Exception):
    """Anything the router raises on purpose; its text can be shown to a user as it is."""


class ConfigError(RouterError):
    """A configuration file, key or limit is wrong; the message names the file and the key's path."""


class MarketDataError(RouterError):
    """A recording or feed is malformed; the message names the file and the line."""


class JournalError(RouterError):
    """The journal cannot be read, written or trusted."""


class JournalLockedError(JournalError):
    """Another process holds the journal; the message names its pid."""


class JournalCorruptError(JournalError):
    """The hash chain or the schema does not hold; the message names the first bad sequence number."""


class ExecutionPipelineError(RouterError):
    """The pipeline is not running, or was asked for something it does not know."""


class GovernanceViolationError(ExecutionPipelineError):
    """A governance key forbids the submission; ``result`` holds the journaled answer."""

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class LiveExecutionLockedError(GovernanceViolationError):
    """env=live while ``live_order_execution`` is locked (runbook §2.1, §9.3)."""
