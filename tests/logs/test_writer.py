"""Lines reach file and stdout in order, on their day; what cannot be written is counted and never raised."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from router.logs.writer import LogWriter

DAY = b'{"ts":"2025-12-09T23:59:59.9Z","n":%d}'
NEXT = b'{"ts":"2025-12-10T00:00:00.1Z","n":%d}'


def test_lines_go_to_file_and_stdout_in_order(tmp_path: Path) -> None:
    stdout = io.BytesIO()
    writer = LogWriter(tmp_path / "logs", stdout)
    lines = [DAY % number for number in range(1000)]
    for line in lines:
        writer.write(line)
    writer.close()

    assert (tmp_path / "logs" / "execution_20251209.log").read_bytes() == b"\n".join(lines) + b"\n"
    assert stdout.getvalue() == b"\n".join(lines) + b"\n"
    assert writer.health() == {"ok": True, "detail": str(tmp_path / "logs")}


def test_each_line_goes_into_the_file_of_its_utc_day(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.write(DAY % 1)
    writer.write(NEXT % 2)
    writer.write(NEXT % 3)
    writer.close()

    assert (tmp_path / "execution_20251209.log").read_bytes() == DAY % 1 + b"\n"
    assert (tmp_path / "execution_20251210.log").read_bytes() == NEXT % 2 + b"\n" + NEXT % 3 + b"\n"


def test_the_thread_writes_without_being_asked(tmp_path: Path) -> None:
    written = threading.Event()

    class Watched(io.BytesIO):
        def write(self, data: object, /) -> int:
            written.set()
            return 0

    writer = LogWriter(tmp_path, Watched())
    writer.write(DAY % 1)

    assert written.wait(10)
    writer.close()


def write_many(writer: LogWriter) -> None:
    for number in range(2000):
        writer.write(DAY % number)


def test_lines_of_many_threads_are_all_there(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    threads = [threading.Thread(target=lambda: write_many(writer)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    assert len((tmp_path / "execution_20251209.log").read_bytes().splitlines()) == 8000


def test_a_removed_file_is_made_again(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.write(DAY % 1)
    writer.flush()
    (tmp_path / "execution_20251209.log").unlink()
    writer.write(DAY % 2)
    writer.close()

    assert (tmp_path / "execution_20251209.log").read_bytes() == DAY % 2 + b"\n"


def test_a_folder_that_cannot_be_made_costs_lines_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    writer = LogWriter(tmp_path / "logs")
    for number in range(3):
        writer.write(DAY % number)
        writer.flush()
    health = writer.health()
    writer.close()

    assert not health["ok"]
    assert "3 lines lost" in health["detail"]
    assert capsys.readouterr().err.count("log lines are being lost") == 1


def test_a_closed_pipe_costs_lines_on_stdout_only(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        writer = LogWriter(tmp_path, stdout)
        writer.write(DAY % 1)
        writer.close()

    assert "stdout: 1 lines lost" in writer.health()["detail"]
    assert (tmp_path / "execution_20251209.log").read_bytes() == DAY % 1 + b"\n"


def test_a_reader_that_stopped_reading_does_not_hold_up_the_file(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as stdout:
        writer = LogWriter(tmp_path, stdout)
        for number in range(10_000):
            writer.write(DAY % number)
        writer.close()

    assert "its reader has stopped reading" in writer.health()["detail"]
    assert len((tmp_path / "execution_20251209.log").read_bytes().splitlines()) == 10_000


FULL_DISK = """
import resource, sys
from pathlib import Path
from router.logs.writer import LogWriter

line = b'{"ts":"2025-12-09T12:00:00Z","n":%04d}'
folder, limit = Path(sys.argv[1]), 1000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
writer = LogWriter(folder)
for number in range(100):
    writer.write(line % number)
writer.flush()
print(writer.health()["detail"])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.write(line % 9999)
writer.close()
"""


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=30, check=True
    )

    lines = (tmp_path / "execution_20251209.log").read_bytes().splitlines()
    whole = [line for line in lines if line.endswith(b"}")]
    assert whole[0].endswith(b'"n":0000}')
    assert whole[-1].endswith(b'"n":9999}'), "once there is room again, lines are written, each on a line of its own"
    assert f"{100 - (len(whole) - 1)} lines lost (File too large)" in child.stdout
    assert child.stderr.count("log lines are being lost") == 1
