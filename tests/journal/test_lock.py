"""One process per journal: a second real process is refused, told whom it met, and let in after kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from router.errors import JournalError, JournalLockedError
from router.journal.lock import HomeLock

HOLD = (
    "import sys, pathlib; from router.journal.lock import HomeLock; "
    "HomeLock(pathlib.Path(sys.argv[1])).acquire(); print('held', flush=True); sys.stdin.read()"
)


@contextmanager
def holder(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"held\n"
            yield child
        finally:
            child.kill()


def test_another_process_is_refused_and_told_the_holders_pid_until_kill_9(tmp_path: Path) -> None:
    home = tmp_path / "home"
    lock = HomeLock(home)
    with holder(home) as child:
        with pytest.raises(JournalLockedError) as raised:
            lock.acquire()
        assert f"pid {child.pid}." in str(raised.value)
        assert str(home) in str(raised.value)
        assert not lock.held
        child.kill()
        child.wait()
        lock.acquire()
    assert lock.path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_the_same_process_is_refused_too_and_may_take_it_after_a_release(tmp_path: Path) -> None:
    first, second = HomeLock(tmp_path), HomeLock(tmp_path)
    first.acquire()
    with pytest.raises(JournalLockedError, match=f"pid {os.getpid()}"):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    assert (first.held, second.held) == (False, True)
    second.release()


def test_what_an_earlier_holder_left_in_the_file_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "journal.lock").write_text("123456789012345\nrubbish")
    lock = HomeLock(tmp_path)
    lock.acquire()
    assert lock.path.read_text() == f"{os.getpid()}\n"
    lock.release()


@pytest.mark.parametrize("made", ["file", "file above"])
def test_a_home_that_cannot_be_made_is_named(tmp_path: Path, made: str) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" if made == "file" else tmp_path / "file" / "home"
    with pytest.raises(JournalError, match=r"execution\.home") as raised:
        HomeLock(home).acquire()
    assert str(home) in str(raised.value)
