"""``router serve``: the router in the foreground, its log lines on stdout.

This module must not know how the process is composed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from router.app import serve as run
from router.cli.common import DEFAULTS, Common, settle_heap


async def serve(*, common: Common = DEFAULTS) -> None:
    """Run the router until SIGTERM or Ctrl-C. Log lines go to stdout and to the log file, as JSON."""
    settle_heap()
    await run(common.settings(), started=_say_where, stdout=sys.stdout.buffer)


def _say_where(socket: Path) -> None:
    print(f"router: taking orders on {socket}; Ctrl-C stops it", file=sys.stderr, flush=True)
