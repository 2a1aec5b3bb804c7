"""A router on paper with a market that stands still, for the gateway's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.settings import Settings, load_settings
from tests.pipelines import QUIET


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        environ={},
        overrides={
            "execution.home": str(tmp_path / "home"),
            "market_data.source": "static",
            "market_data.static": {"BTC/USD": {"bid": "49999.5", "ask": "50000.5"}},
            **QUIET,
        },
    )
