"""No live path exists in what is shipped: no executor, no host, and an edited register still sends nothing (spec §5).

The wheel is built from this tree and looked at unpacked, alone. Each check is shown to find what it looks for: a wheel
with that fault in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.governance.wheel import foreign_hosts, live_names, live_words, unknown_executors

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("wheel_child.py")
LOCKED = '"live_order_execution": "locked"'
APPROVED = '"live_order_execution": "approved"'
_REGISTER = "router/governance/go_no_go.py"
_EXECUTORS = "router/execution/environments.py"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built offline and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture
def changed(unpacked: Path, tmp_path: Path) -> Callable[[Mapping[str, tuple[str, str]]], Path]:
    """Return a copy of the wheel with text replaced, by file; "" is replaced at the end: that adds."""

    def change(changes: Mapping[str, tuple[str, str]]) -> Path:
        root = tmp_path / "changed"
        shutil.copytree(unpacked, root)
        for name, (old, new) in changes.items():
            path = root / name
            text = path.read_text() if path.exists() else ""
            assert not old or text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
            path.write_text(text.replace(old, new) if old else text + new)
        return root

    return change


# -- what is in the files -------------------------------------------------------------------------------------

CHECKS = (unknown_executors, live_names, live_words, foreign_hosts)


@pytest.mark.parametrize("check", CHECKS)
def test_the_wheel_holds_nothing_live(unpacked: Path, check: Callable[[Path], list[str]]) -> None:
    assert (unpacked / "router/executors/paper.py").is_file()
    assert (unpacked / "router/config/config.toml").is_file()
    assert check(unpacked) == []


PLANTED: list[tuple[Callable[[Path], list[str]], str, str, str, str]] = [
    # the check, the file, what is replaced there, by what, and what must be said
    (
        unknown_executors,
        "router/executors/direct.py",
        "",
        "from router.executors.paper import PaperExecutor\nclass Direct(PaperExecutor):\n    pass\n",
        "class Direct works orders",
    ),
    (
        unknown_executors,
        "router/operations/helper.py",
        "",
        "class Helper:\n    def submit(self): ...\n    def cancel(self): ...\n    def look_up(self): ...\n",
        "class Helper works orders",
    ),
    (
        unknown_executors,
        "router/executors/other.py",
        "",
        "from router.executors import base\nclass ShadowExecutor(base.OrderExecutor):\n    pass\n",
        "other.py: class ShadowExecutor works orders",
    ),
    (live_names, "router/executors/live.py", "", '"""Trade."""\n', "router/executors/live.py: live"),
    (live_names, "router/executors/paper.py", "class PaperExecutor:", "class LiveVenue:", "LiveVenue"),
    (live_names, "router/app.py", "", "\n\ndef send_live() -> None: ...\n", "send_live"),
    (
        live_words,
        _EXECUTORS,
        "Environment.TESTNET.value: _testnet,",
        "Environment.TESTNET.value: _testnet, Environment.LIVE.value: _testnet,",
        "Environment.LIVE.value",
    ),
    (
        live_words,
        _EXECUTORS,
        "Environment.TESTNET.value: _testnet,",
        'Environment.TESTNET.value: _testnet, "live": _testnet,',
        "environments.py:",
    ),
    (live_words, "router/executors/shadow.py", "", '\n    environment = "live"\n', "environment = 'live'"),
    (live_words, "router/app.py", "", '\n\ndef run(env: str = "live") -> None: ...\n', "app.py:"),
    (live_words, "router/app.py", "", '\n\nstart(environment="live")\n', "app.py:"),
    (foreign_hosts, "router/app.py", "", '\nURL = "https://api.binance.com/api/v3"\n', "api.binance.com"),
    (
        foreign_hosts,
        "router/app.py",
        "",
        '\nHOST = b"api.kraken.com"\n',
        "api.kraken.com",
    ),
    (foreign_hosts, "router/app.py", "", '\nHOST = f"https://{NAME}"\n', "https://"),
    (foreign_hosts, "router/app.py", "", '\nHOST = "54.12.13.14"\n', "54.12.13.14"),
    (foreign_hosts, "router/app.py", "", '\nURL = "wss://www.okx.com:8443/ws"\n', "router/app.py: www.okx.com"),
    (
        foreign_hosts,
        "router/executors/testnet/profiles.py",
        "https://testnet.binance.vision",
        "https://api.binance.com",
        "api.binance.com",
    ),
    (foreign_hosts, "router/config/config.toml", "", '\n# base_url = "https://api.bybit.com"\n', "api.bybit.com"),
    (foreign_hosts, "router/config/hosts.json", "", '{"bybit": "stream.bybit.com"}\n', "stream.bybit.com"),
]


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "said"), PLANTED, ids=[f"{row[0].__name__}-{row[4]}" for row in PLANTED]
)
def test_what_is_planted_is_found(
    changed: Callable[[Mapping[str, tuple[str, str]]], Path],
    check: Callable[[Path], list[str]],
    file: str,
    old: str,
    new: str,
    said: str,
) -> None:
    if file.endswith("profiles.py"):
        old, new = f'"{old}",\n            "wss://ws-api', f'"{new}",\n            "wss://ws-api'
    assert any(said in line for line in check(changed({file: (old, new)})))


# -- what it does ---------------------------------------------------------------------------------------------


def tried(root: Path, home: Path) -> dict[str, Any]:
    """Return what a process came to that has only the package in ``root``, elsewhere and without our environment."""
    home.mkdir()
    child = [sys.executable, "-I", "-S", "-X", "utf8", str(CHILD), str(root), sysconfig.get_path("purelib"), str(home)]
    ended = subprocess.run(child, cwd=home, env={}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert Path(found["from"]).is_relative_to(root)
    return found


def complaints(found: Mapping[str, Any], lock: str) -> list[str]:
    """Return what is wrong with a wheel whose register says ``lock`` of live."""
    status = "BLOCKED_BY_ENVIRONMENT" if lock == "approved" else "BLOCKED_BY_GOVERNANCE"
    wanted = {"status": status, "executor_called": False, "lock": lock, "open": []}
    said = [f"answered {result}" for result in found["results"] if result != wanted]
    if found["executors"] != ["paper", "shadow", "testnet"]:
        said.append(f"executors {found['executors']}")
    if not found["refused"] or found["command"] != 4:
        said.append("configuration enables live")
    return said + [f"network {event}" for event in found["touched"]]


def test_the_wheel_as_it_is_sends_nothing_live(unpacked: Path, tmp_path: Path) -> None:
    found = tried(unpacked, tmp_path / "home")
    assert len(found["results"]) == 5
    assert complaints(found, "locked") == []


def test_the_wheel_with_an_edited_register_sends_nothing_live(
    changed: Callable[[Mapping[str, tuple[str, str]]], Path], tmp_path: Path
) -> None:
    found = tried(changed({_REGISTER: (LOCKED, APPROVED)}), tmp_path / "home")
    assert len(found["results"]) == 5
    assert complaints(found, "approved") == []


_OPENED: Mapping[str, tuple[str, str]] = {
    _REGISTER: (LOCKED, APPROVED),
    "router/settings/schema.py": (
        'environments: tuple[Literal["paper", "shadow", "testnet"], ...]',
        'environments: tuple[Literal["paper", "shadow", "testnet", "live"], ...]',
    ),
}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "configuration enables live"),
        (
            {_EXECUTORS: ("Environment.TESTNET.value: _testnet,", '"live": _simulated(PaperExecutor),')},
            "'executor_called': True",
        ),
        (
            {"router/executors/shadow.py": ("", "\nimport socket\nsocket.socket().connect_ex(('127.0.0.1', 9))\n")},
            "network",
        ),
    ],
    ids=["a configuration that may", "an executor too", "a socket"],
)
def test_a_wheel_whose_locks_are_broken_is_found(
    changed: Callable[[Mapping[str, tuple[str, str]]], Path],
    tmp_path: Path,
    more: Mapping[str, tuple[str, str]],
    said: str,
) -> None:
    root = changed({**_OPENED, **more})
    schema = root / "router/settings/schema.py"
    schema.write_text(schema.read_text().replace('"live" in raw', '"moon" in raw'))
    dispatch = root / "router/execution/dispatch.py"
    dispatch.write_text(
        dispatch.read_text().replace("assert Environment.LIVE not in", "assert Environment.TESTNET not in")
    )
    assert any(said in line for line in complaints(tried(root, tmp_path / "home"), "approved"))
