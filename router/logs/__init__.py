"""JSON lines that never slow, stop or betray the router.

A line is rendered and redacted where it is logged, gathered in memory, and written by one background thread
(``writer``). Until ``configure`` is called the router is a library: its lines go to the host's stdlib logger
"router" and nobody's logging is changed. This package must not know what is logged, or by whom.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from router.domain.intent import json_form, safe_repr
from router.logs.redaction import (
    PLAIN_TYPES,
    is_secret_key,
    redact,
    redact_item,
    redact_json,
    redact_often,
    redact_text,
    register_secret,
)
from router.logs.writer import LogWriter

__all__ = [
    "KEY_ORDER",
    "RouterLogger",
    "configure",
    "flush",
    "get_logger",
    "log_health",
    "redact",
    "redact_text",
    "register_secret",
    "shutdown",
]

KEY_ORDER: Final = (
    "run_id",
    "session_id",
    "env",
    "stage",
    "symbol",
    "strategy_key",
    "client_order_id",
    "status",
)
"""What follows ``ts level event`` in a line, where present; other keys come after, as given."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_OURS: Final = frozenset({"run_id", "session_id", "stage", "client_order_id", "status"})  # nobody else's words
_MAX_SHAPES: Final = 1_000
_OFTEN_THE_SAME: Final = 64  # characters; such texts come again and again
_stdlib: Final = logging.getLogger("router")
_encoder: Final = msgspec.json.Encoder(enc_hook=json_form, decimal_format="string")
_render_exception: Final = ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=30))


class RouterLogger(structlog.BoundLoggerBase):
    """A structlog logger with the five levels; ``bind(**fields)`` returns one that carries more context.

    Its methods pass their fields on as one mapping: structlog's own way copies them three times, which costs
    as much as the rest of the line.
    """

    def enabled(self, level: str) -> bool:
        """Whether a line of ``level`` would be written: ask before gathering much for it."""
        return _stdlib.isEnabledFor(_LEVELS[level])

    def log(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Write a line of ``level`` with ``fields``."""
        if self.enabled(level):
            _route.backend.emit(level, event, {**self._context, **fields})

    def debug(self, event: str, **fields: Any) -> None:
        if _stdlib.isEnabledFor(10):
            _route.backend.emit("debug", event, {**self._context, **fields})

    def info(self, event: str, **fields: Any) -> None:
        if _stdlib.isEnabledFor(20):
            _route.backend.emit("info", event, {**self._context, **fields})

    def warning(self, event: str, **fields: Any) -> None:
        if _stdlib.isEnabledFor(30):
            _route.backend.emit("warning", event, {**self._context, **fields})

    def error(self, event: str, **fields: Any) -> None:
        """Write an error; ``exc_info=exception`` adds it, without any frame's locals."""
        if _stdlib.isEnabledFor(40):
            _route.backend.emit("error", event, {**self._context, **fields})

    def critical(self, event: str, **fields: Any) -> None:
        if _stdlib.isEnabledFor(50):
            _route.backend.emit("critical", event, {**self._context, **fields})


def get_logger(**bound: Any) -> RouterLogger:
    """Return a logger that carries ``bound``; it follows a later ``configure``."""
    return RouterLogger(None, (), bound)


class _Host:
    """The host's stdlib logger: a readable message, and the fields as ``record.router``."""

    def emit(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if "exc_info" in fields:
            fields = dict(_render_exception(None, level, fields))
        clean = {key: redact_item(key, value) for key, value in fields.items()}
        shown = "".join(f" {key}={value}" for key, value in clean.items())
        text = redact_text(str(event)) + shown
        _stdlib.log(_LEVELS[level], "%s", text, extra={"router": {"event": event, **clean}})


class _Lines:
    """Our own files: fields in order, secrets blanked last of all, one JSON object a line."""

    def __init__(self, now: Callable[[], datetime], writer: LogWriter) -> None:
        self._now = now
        self.writer = writer
        self._shapes: dict[tuple[str, ...], _Shape] = {}

    def emit(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if "exc_info" in fields:
            fields = dict(_render_exception(None, level, fields))
        keys = tuple(fields)
        shape = self._shapes.get(keys) or self._shape(keys)
        for key in shape.looked_at:
            value = fields[key]
            kind = type(value)
            if kind is str:
                fields[key] = redact_often(value) if len(value) < _OFTEN_THE_SAME else redact_text(value)
            elif kind not in PLAIN_TYPES:
                fields[key] = redact(value)
        for key in shape.secret:
            fields[key] = redact_item(key, fields[key])
        line: dict[str, Any] = {"ts": self._now(), "level": level, "event": redact_often(event)}
        for key in shape.ordered:
            line[key] = fields[key]
        try:
            encoded = _encoder.encode(line)
        except Exception:  # noqa: BLE001 - a value that JSON cannot hold must not cost the line, let alone an order
            encoded = _encoder.encode({key: _sound(value) for key, value in line.items()})
        self.writer.write(redact_json(encoded))

    def _shape(self, keys: tuple[str, ...]) -> _Shape:
        """Return what to do with a line of these keys; remembered, for lines come in few shapes."""
        first = tuple(key for key in KEY_ORDER if key in keys)
        rest = tuple(key for key in keys if key not in KEY_ORDER)
        secret = tuple(key for key in rest if is_secret_key(key))
        if len(self._shapes) >= _MAX_SHAPES:
            self._shapes.clear()
        looked_at = tuple(key for key in keys if key not in secret and key not in _OURS)
        shape = _Shape(first + rest, looked_at, secret)
        self._shapes[keys] = shape
        return shape


class _Shape(NamedTuple):
    """The keys of a line in their order; which of them are searched for secrets, and which are secret."""

    ordered: tuple[str, ...]
    looked_at: tuple[str, ...]
    secret: tuple[str, ...]


def _sound(value: Any) -> Any:
    """Return ``value`` if JSON can hold it, else its short text."""
    try:
        _encoder.encode(value)
    except Exception:  # noqa: BLE001 - a foreign object may raise anything
        return safe_repr(value).encode("utf-8", "replace").decode()
    return value


class _Foreign(logging.Handler):
    """Brings what other libraries log through the stdlib into our lines, redacted like them."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next(name for name, number in reversed(_LEVELS.items()) if record.levelno >= number)
        fields: dict[str, Any] = {"stage": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - wrong arguments to a foreign log call are not worth an exception here
            text = safe_repr(record.msg)
        _route.backend.emit(level, text, fields)


class _Route:
    """Where lines go now."""

    def __init__(self) -> None:
        self.backend: _Host | _Lines = _Host()


_route: Final = _Route()
_foreign: Final = _Foreign(logging.WARNING)


def configure(home: Path, now: Callable[[], datetime], *, stdout: BinaryIO | None = None, level: str = "info") -> None:
    """Write lines to ``home/logs/execution_YYYYMMDD.log`` and ``stdout``, other libraries' warnings too.

    For a process of our own, never for a host's. ``now`` is a clock's, aware UTC. What waits is written at
    exit.
    """
    shutdown()
    _route.backend = _Lines(now, LogWriter(home / "logs", stdout))
    _stdlib.setLevel(_LEVELS[level])
    logging.getLogger().addHandler(_foreign)
    logging.captureWarnings(True)


def shutdown() -> None:
    """Write what is waiting, close the files, and be a library again."""
    backend = _route.backend
    if isinstance(backend, _Lines):
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(_foreign)
        _stdlib.setLevel(logging.NOTSET)
        _route.backend = _Host()
        backend.writer.close()


def flush() -> None:
    """Return when every line so far is written, or given up."""
    backend = _route.backend
    if isinstance(backend, _Lines):
        backend.writer.flush()


def log_health() -> dict[str, Any]:
    """Return ``{"ok": …, "detail": …}``: where lines go, or how many were lost and why."""
    backend = _route.backend
    if isinstance(backend, _Lines):
        return backend.writer.health()
    return {"ok": True, "detail": "logging is the host's"}
