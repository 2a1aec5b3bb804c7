"""One process per journal: an advisory lock that dies with its holder, whose pid the file names.

This module must not know what is behind the lock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from router.errors import JournalError, JournalLockedError


class HomeLock:
    """The lock on a home directory; released by ``release``, or by the kernel when the process ends."""

    def __init__(self, home: Path) -> None:
        self.path = home / "journal.lock"
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            JournalLockedError: another process holds it; its pid is named.
            JournalError: the home directory cannot be made or written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise JournalError(
                f"{self.path}: {error.strerror}. Make the directory writable or choose another execution.home."
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise JournalLockedError(
                f"{self.path.parent}: the journal is in use by the router with pid {holder}. "
                "Stop that one, or choose another execution.home."
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._fd is not None

    def release(self) -> None:
        """Give the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
