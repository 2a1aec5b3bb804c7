"""Shadow trading: nothing is routed; the same order is simulated beside the market, with a book of its own.

What it takes does not reduce what paper orders find, and the other way round. This module must not know how an
order trades (``fill_model``) or how its outcome is compared with the intent.
"""

from __future__ import annotations

from router.executors.paper import PaperExecutor


class ShadowExecutor(PaperExecutor):
    """A paper executor of its own for the environment ``shadow``; the arguments are the paper executor's."""

    venue_prefix = "S"
