#!/usr/bin/env python
"""Serve a loopback venue on 127.0.0.1: a place to trade for development and for users without keys.

Prints one JSON line with its address and keys, and serves until it is told to end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # it is run as a script, from a checkout

from tools import bootstrap

if __name__ == "__main__":
    bootstrap.ready()

from tools.loopback.server import EXCHANGES, LoopbackVenue


def main() -> int:
    parser = argparse.ArgumentParser(prog="venue.py", description="Serve a loopback venue on 127.0.0.1.")
    parser.add_argument("--exchange", choices=sorted(EXCHANGES), required=True, help="whose API it speaks")
    parser.add_argument("--port", type=_port, default=0, help="0 takes a free one (default)")
    parser.add_argument("--seed", type=int, default=0, help="faults and the walk follow from it (default 0)")
    parser.add_argument("--walk", action="store_true", help="move every price a little each second")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        print(f"venue.py: cannot serve on port {options.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) >= 65_536:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return int(text)


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    async with LoopbackVenue(options.exchange, seed=options.seed, port=options.port, walk=options.walk) as venue:
        line = {"exchange": venue.name, "url": venue.url, "key": venue.key, "secret": venue.secret}
        print(json.dumps(line), flush=True)
        if options.until_eof:
            _watch_stdin(end)
        await end.wait()


def _watch_stdin(end: asyncio.Event) -> None:
    """Set ``end`` when standard input ends."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            end.set()

    try:
        loop.add_reader(0, read)
    except PermissionError:  # a file or /dev/null: nobody holds it open
        end.set()


if __name__ == "__main__":
    sys.exit(main())
