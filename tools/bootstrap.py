"""Lets `python tools/x.py` be run with any Python: the project's own takes over where this one lacks its packages.

It is read by old Pythons too, so it keeps to what they understand. It must not import anything that is not built in.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NEEDED = ("aiosqlite", "ccxt", "msgspec")


def ready() -> None:
    """Return when this Python can run the script; else run it with the project's, or say how to get that."""
    if sys.version_info >= (3, 11) and all(find_spec(name) for name in _NEEDED):
        return
    python = ROOT / ".venv" / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 -- the same script, on purpose
    print("Run `sh tools/router --help` once: it sets up what this script needs.", file=sys.stderr)
    sys.exit(1)
