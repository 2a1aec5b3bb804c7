"""The one thread that puts finished lines on disk and on stdout, so that no order waits for either.

Lines gather for a moment and are written together. A line that cannot be written (full disk, closed pipe, a
reader that stopped reading) is counted and given up; the first loss of each kind is said on stderr, the
rest in ``health``. This module must not know what a line says, except that it begins with its time.
"""

from __future__ import annotations

import atexit
import os
import select
import stat
import sys
import threading
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Final

_DAY: Final = slice(7, 17)  # {"ts":"2025-12-09T…
_GATHER_S: Final = 0.05
_MAX_WAITING: Final = 200_000  # lines; about 60 MB
_READER_PATIENCE_MS: Final = 1_000
_PIPE_BUF: Final = 4_096  # what poll() promises to fit into a pipe


class LogWriter:
    """Writes lines to ``execution_YYYYMMDD.log`` of their UTC day in ``folder``, and to ``stdout``."""

    def __init__(self, folder: Path, stdout: BinaryIO | None = None) -> None:
        self.folder = folder
        self._files = _DayFiles(folder)
        self._stdout = None if stdout is None else _Stream(stdout)
        self._waiting: list[bytes] = []
        self._overflow = 0
        self._gathering = False
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._writing = threading.Lock()
        self._lost: dict[str, tuple[int, str]] = {}  # target -> lines lost, last reason
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: bytes) -> None:
        """Take one line without its line end; never blocks, never raises."""
        if len(self._waiting) >= _MAX_WAITING:
            self._overflow += 1
            return
        self._waiting.append(line)
        if not self._gathering:
            self._gathering = True
            self._wake.set()

    def flush(self) -> None:
        """Return when every line taken so far is written, or given up."""
        with self._writing:
            self._drain()

    def close(self) -> None:
        """Flush and end the thread; later lines are given up. Doing it twice is harmless."""
        atexit.unregister(self.close)
        self._stop.set()
        self._wake.set()
        self._thread.join()
        self.flush()
        self._files.close()

    def health(self) -> dict[str, Any]:
        """Return ``{"ok": …, "detail": …}``: where lines go, or how many were lost and why."""
        if not self._lost:
            return {"ok": True, "detail": str(self.folder)}
        lost = (f"{target}: {count} lines lost ({reason})" for target, (count, reason) in self._lost.items())
        return {"ok": False, "detail": "; ".join(lost)}

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            self._stop.wait(_GATHER_S)
            self._gathering = False
            self.flush()

    def _drain(self) -> None:
        """Write what is waiting. Slicing is atomic, so that no line is missed while others append."""
        overflow, self._overflow = self._overflow, 0
        if overflow:
            self._count("memory", overflow, f"more than {_MAX_WAITING} lines waiting")
        count = len(self._waiting)
        lines = self._waiting[:count]
        del self._waiting[:count]
        for day, of_day in groupby(lines, key=lambda line: line[_DAY]):
            batch = list(of_day)
            lost, reason = self._files.write(day.decode().replace("-", ""), batch)
            self._count(str(self._files.path), lost, reason)
            if self._stdout is not None:
                lost, reason = self._stdout.write(batch)
                self._count("stdout", lost, reason)

    def _count(self, target: str, lost: int, reason: str) -> None:
        if not lost:
            return
        before, _ = self._lost.get(target, (0, ""))
        self._lost[target] = (before + lost, reason)
        if not before:
            _complain(f"router: log lines are being lost: {target}: {reason}. The router goes on.\n")


class _DayFiles:
    """The open file of the current UTC day."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._day = ""
        self._descriptor = -1
        self._torn = False
        self.path = folder

    def write(self, day: str, lines: list[bytes]) -> tuple[int, str]:
        """Append ``lines``; returns how many were lost, and why."""
        try:
            descriptor = self._open(day)
        except OSError as error:
            return len(lines), _reason(error)
        data = (b"\n" if self._torn else b"") + b"\n".join(lines) + b"\n"
        written, reason = _write_all(descriptor, data)
        if written:
            self._torn = data[written - 1 : written] != b"\n"
        return data[written:].count(b"\n"), reason

    def _open(self, day: str) -> int:
        if day == self._day and self._descriptor >= 0 and os.fstat(self._descriptor).st_nlink:
            return self._descriptor
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.path = self._folder / f"execution_{day}.log"
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._day, self._torn = day, False
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Stream:
    """An output stream whose reader may be slow or gone: waits for it a moment, then gives lines up."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        try:
            self._descriptor = stream.fileno()
            self._may_block = not stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        except (OSError, ValueError):  # a stream in memory
            self._descriptor, self._may_block = -1, False
        self._torn = False

    def write(self, lines: list[bytes]) -> tuple[int, str]:
        """Write ``lines``; returns how many were lost, and why."""
        data = (b"\n" if self._torn else b"") + b"\n".join(lines) + b"\n"
        if self._descriptor < 0:
            self._stream.write(data)
            return 0, ""
        written, reason = _write_all(self._descriptor, data, polled=self._may_block)
        if written:
            self._torn = data[written - 1 : written] != b"\n"
        return data[written:].count(b"\n"), reason


def _write_all(descriptor: int, data: bytes, *, polled: bool = False) -> tuple[int, str]:
    """Write all of ``data``; returns the bytes written, and what stopped it."""
    written = 0
    poll = select.poll()
    if polled:
        poll.register(descriptor, select.POLLOUT)
    try:
        while written < len(data):
            if polled and not poll.poll(_READER_PATIENCE_MS):
                return written, "its reader has stopped reading"
            chunk = data[written : written + _PIPE_BUF] if polled else data[written:]
            written += os.write(descriptor, chunk)
    except OSError as error:
        return written, _reason(error)
    return written, ""


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _complain(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody is left to hear it
        pass
