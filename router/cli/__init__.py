"""The command ``router``: what there is to type, and how every failure ends.

Commands are named here and imported only when one is called, so that the answer to a small question comes at
once. Whatever goes wrong ends in one or two lines on stderr and an exit code of ``common.ExitCode``, never in
a traceback. This package must not decide anything about orders.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from cyclopts import App, CycloptsError

from router.cli.common import ExitCode, fail, report

_COMMANDS = {
    "serve": ("serve:serve", "Run the router until SIGTERM or Ctrl-C."),
    "demo": ("demo:demo", "Run two example strategies against a router on paper, and show what came of it."),
    "submit": ("orders:submit", "Send one order to the running router."),
    "orders": ("orders:orders", "List open and recently ended orders."),
    "order": ("orders:order", "Tell one order's story."),
    "amend": ("orders:amend", "Ask for another quantity or price of a working order."),
    "cancel": ("orders:cancel", "Cancel one order, or all that match."),
    "halt": ("operate:halt", "Stop new orders: everywhere, or in one environment, strategy, symbol or venue."),
    "resume": ("operate:resume", "End a halt."),
    "status": ("orders:status", "Tell how the running router is."),
    "explain": ("look:explain", "Say what a status means, what to do and by when."),
}
_GROUPS = {
    "governance": (
        "Show what is approved and locked, and who signed it off; without a subcommand, that.",
        {
            "": ("governance:governance", "Show which features are approved and which are locked."),
            "controls": ("governance:controls", "Report every control: its limit, its test, how often it acted."),
        },
    ),
    "session": (
        "Open or close an environment's session.",
        {
            "open": ("operate:session_open", "Open a closed session."),
            "close": ("operate:session_close", "Let only reduce-only orders pass."),
        },
    ),
    "risk": (
        "Show what is used of every limit; without a subcommand, that.",
        {
            "": ("risk:risk", "Show every account, and what it has used of its limits."),
            "set": ("risk:risk_set", "Set one limit until its value in the files changes."),
        },
    ),
    "journal": (
        "Check or export the journal, beside a running router too.",
        {
            "verify": ("look:journal_verify", "Check the hash chain and every event."),
            "export": ("look:journal_export", "Write every event as one JSON line."),
        },
    ),
    "shadow": (
        "Look at shadow orders, beside a running router too.",
        {"report": ("shadow:shadow_report", "Compare what was decided with what would have been filled.")},
    ),
    "bench": (
        "Measure what the router costs on this machine; without a subcommand, the chain.",
        {
            "": ("bench:bench", "Measure intents per second and latency on this machine."),
            "gates": ("bench_gates:bench_gates", "Measure what each gate and each control costs an order."),
            "watchers": ("bench_watchers:bench_watchers", "Measure the cost of watching open orders."),
            "paper": ("bench_paper:bench_paper", "Check the paper executor's fills against recordings."),
            "recovery": ("bench_recovery:bench_recovery", "Measure how long a start takes on a large journal."),
        },
    ),
    "config": (
        "Look at the configuration.",
        {
            "show": ("look:config_show", "Show the settings that count, secrets redacted."),
            "schema": ("look:config_schema", "Print the JSON Schema of config.toml."),
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = _app(arguments)(arguments)
        sys.stdout.flush()
    except CycloptsError as error:
        command = " ".join(["router", *(error.command_chain or ())])
        return fail(ExitCode.USAGE, f"{error}", f"Try: {command} --help")
    except BaseException as error:  # noqa: BLE001 - the outermost boundary: no traceback reaches a user
        return report(error)
    return code if isinstance(code, int) else ExitCode.DONE


def _app(arguments: Sequence[str]) -> App:
    app = App(
        name="router",
        help="An order router for paper, shadow and testnet. Live is locked.",
        help_epilogue=f"Exit codes: {ExitCode.table()}.",
        version=_version,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
    )
    for name, (target, text) in _COMMANDS.items():
        app.command(f"router.cli.{target}", name=name, help=text)
    for group, (text, commands) in _GROUPS.items():
        sub = App(name=group, help=text)
        for name, (target, about) in commands.items():
            if name:
                sub.command(f"router.cli.{target}", name=name, help=about)
            elif group in arguments:  # what a group does by itself is imported only when the group is named
                module, _, function = target.partition(":")
                sub.default(getattr(import_module(f"router.cli.{module}"), function))
        app.command(sub)
    return app


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - 30 ms that only --version needs

    try:
        return f"router {version('router')}"
    except PackageNotFoundError:
        return "router (not installed)"
