"""Settings as the rest of the package and its users see them: one call, one object, errors for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import router.settings
from router.errors import ConfigError
from router.settings import Settings, load_settings

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_public_names_are_there_and_sorted() -> None:
    assert router.settings.__all__ == sorted(router.settings.__all__)
    for name in router.settings.__all__:
        assert hasattr(router.settings, name)


def test_a_day_in_an_operators_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTER_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("ROUTER__SAFETY__PRICE_COLLAR_PCT", "off")
    (tmp_path / "mine.toml").write_text('[market_data]\nsource = "static"\n', encoding="utf-8")
    settings = load_settings("mine.toml", overrides={"gateway.port": 0})
    assert settings.market_data.source == "static"
    assert settings.home_path == tmp_path / "state"
    assert settings.safety.price_collar_pct is None
    assert settings.gateway.port == 0
    assert settings.source == tmp_path / "mine.toml"
    assert settings.resolve("risk_limits.toml") == tmp_path / "risk_limits.toml"
    assert load_settings(settings) is settings


def test_the_documented_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text('[execution]\nenvironmnt = "paper"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={})
    assert str(caught.value) == (
        "config/config.toml: execution.environmnt is not a known key; did you mean execution.environment?"
    )


def test_no_setting_can_enable_live(tmp_path: Path) -> None:
    path = tmp_path / "live.toml"
    path.write_text('[execution]\nenvironments = ["paper", "live"]\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="locked by governance and has no executor"):
        load_settings(path, environ={})
    assert "live_order_execution" not in str(Settings().governance)


def test_only_the_loader_reads_the_environment() -> None:
    """`os.environ` and `os.getenv` appear in one module of the package."""
    readers = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "router" / "settings").rglob("*.py")
        if "os.environ" in path.read_text(encoding="utf-8") or "getenv" in path.read_text(encoding="utf-8")
    }
    assert readers == {"router/settings/load.py"}


def test_settings_are_a_leaf_of_the_package() -> None:
    """Loading the modules alone must not pull in any other package of ours or a heavy dependency."""
    code = (
        "import sys, types; root = types.ModuleType('router'); root.__path__ = [sys.argv[1]]; "
        "sys.modules['router'] = root; import router.settings; "
        "print(*sorted(n for n in sys.modules if n.startswith(('router', 'ccxt', 'aiohttp'))))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(REPOSITORY / "router")], capture_output=True, text=True, check=True
    )
    assert [name for name in result.stdout.split() if not name.startswith("router.settings")] == [
        "router",
        "router.errors",
    ]
