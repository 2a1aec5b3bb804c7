"""What all commands share: the options, the exit codes, and how answers and failures are shown.

Answers go to stdout, for people or as ``--json``; everything else goes to stderr. This module must not know
any single command.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import Parameter, Token

from router.errors import ConfigError, RouterError
from router.gateway import RouterNotRunningError

if TYPE_CHECKING:
    from router.gateway.client import RouterClient
    from router.settings import Settings


class ExitCode(IntEnum):
    """How a command ended (spec §10)."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    NOT_RUNNING = 3
    CONFIGURATION = 4
    TIMEOUT = 5
    NOT_ACCEPTED = 10

    @classmethod
    def table(cls) -> str:
        """Return all codes as one line."""
        return " · ".join(f"{code.value} {_MEANING[code]}" for code in cls)


_MEANING: Final = {
    ExitCode.DONE: "done",
    ExitCode.ERROR: "error",
    ExitCode.USAGE: "usage",
    ExitCode.NOT_RUNNING: "router not running",
    ExitCode.CONFIGURATION: "bad configuration",
    ExitCode.TIMEOUT: "timeout",
    ExitCode.NOT_ACCEPTED: "answered but not accepted (INVALID, BLOCKED_*, REJECTED)",
}
_encoder: Final = msgspec.json.Encoder(decimal_format="string", enc_hook=str)
_homes: Final[list[Path]] = []  # the state folder of this command, once its settings are loaded


class CommandError(RouterError):
    """A command's own failure, with its exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(message)
        self.code = code


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """The options of every command.

    Args:
        config: Configuration file; default config/config.toml.
        json: Print the answer as JSON.
    """

    config: Path | None = None
    json: Annotated[bool, Parameter(negative=())] = False

    def settings(self, overrides: dict[str, object] | None = None) -> Settings:
        """Return the settings; raises ConfigError for a wrong file, key or value."""
        from router.settings import load_settings  # noqa: PLC0415 - `explain` needs none

        settings = load_settings(self.config, overrides=overrides)
        _homes.append(settings.home_path)
        return settings

    def client(self) -> RouterClient:
        """Return a client of the running router; raises ConfigError like ``settings``."""
        from router.gateway.client import RouterClient  # noqa: PLC0415 - 100 ms that only asking a router needs

        return RouterClient(self.settings().home_path / "router.sock")


DEFAULTS: Final = Common()


def _decimal(_type: object, tokens: Sequence[Token]) -> Decimal:
    text = tokens[0].value
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f'"{text}" is not a number') from None


Number = Annotated[Decimal, Parameter(converter=_decimal)]
"""An exact number on the command line; text that is none is a usage error."""


def fail(code: ExitCode, message: str, hint: str = "") -> int:
    """Say on stderr what went wrong and return ``code``."""
    try:
        print(f"router: {message}" + (f"\n{hint}" if hint else ""), file=sys.stderr, flush=True)
    except (OSError, ValueError):  # nobody is left to hear it
        _silence(sys.stderr)
    return code


_ENDINGS: Final = (
    (KeyboardInterrupt, ExitCode.ERROR, "interrupted"),
    (ConfigError, ExitCode.CONFIGURATION, ""),
    (RouterNotRunningError, ExitCode.NOT_RUNNING, ""),
    (TimeoutError, ExitCode.TIMEOUT, "no answer in time"),
    (RouterError, ExitCode.ERROR, ""),
)
"""Expected failures: exit code, and what to say when they say nothing themselves. First match counts."""


def report(error: BaseException) -> int:
    """Turn any exception into one or two lines on stderr and an exit code."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.ERROR
    if isinstance(error, OSError):
        _settle(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return ExitCode.ERROR
    for kind, code, text in _ENDINGS:
        if isinstance(error, kind):
            return fail(getattr(error, "code", code), str(error) or text)
    name = "" if isinstance(error, OSError) else f"unexpected {type(error).__name__}: "
    return fail(ExitCode.ERROR, f"{name}{error}", _into_log(error))


def _settle(stream: Any) -> None:
    """Write what waits in ``stream``, or give it up if that is what has failed."""
    try:
        stream.flush()
    except OSError:
        _silence(stream)


def _silence(stream: Any) -> None:
    """Let the interpreter's last flush of a closed pipe go nowhere, not into an error message."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _into_log(error: BaseException) -> str:
    """Write the trace into the log and say where that is."""
    from router import logs  # noqa: PLC0415 - only failures need it
    from router.clock import SystemClock  # noqa: PLC0415

    if not _homes:
        return "It happened before the settings were known, so no log has its trace."
    now = SystemClock().now
    logs.configure(_homes[-1], now)
    logs.get_logger(stage="cli").error("command failed", exc_info=error)
    logs.shutdown()
    return f"Its trace is in {_homes[-1] / 'logs' / f'execution_{now():%Y%m%d}.log'}"


def settle_heap() -> None:
    """Let the garbage collector pass over what is loaded by now, and look at the rest less often.

    For a process of our own that is about to run the chain: collections cost it up to half its time otherwise.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would obey, new lines apart: a strategy's key may hold anything."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text)


def say(text: str = "") -> None:
    """Print one line of the answer."""
    print(printable(text))


def show_json(value: Any) -> None:
    """Print ``value`` as one JSON document."""
    print(msgspec.json.format(_encoder.encode(value), indent=2).decode())


def show_table(titles: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; columns named in ``right`` are aligned right. Piped, it is as wide as it needs to be."""
    from rich import box  # noqa: PLC0415 - 60 ms that only tables need
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("–" if cell is None else printable(str(cell)).replace("\n", " ")) for cell in row))
    Console(width=None if sys.stdout.isatty() else 400, highlight=False, soft_wrap=False).print(table)


def plain_number(value: Decimal | None) -> str:
    """Return a number as people read it: no exponent, no trailing zeros."""
    if value is None:
        return "–"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
