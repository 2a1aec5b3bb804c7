"""The README says what the code does: its status table, its commands, its strategy."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from router.cli import _COMMANDS, _GROUPS
from router.operations.actions import status_table

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_status_table_is_the_one_operators_are_told() -> None:
    table = README.partition("<!-- statuses")[2].partition("<!-- end of statuses")[0]
    shown = [line for line in table.splitlines() if "`" in line and line.startswith("|")]

    assert shown == [
        f"| {row.icon} `{row.status}` | {row.meaning} | {row.action} | {row.deadline} |"
        for row in status_table("en").values()
    ]


def test_every_command_in_the_readme_exists_and_every_command_is_in_it() -> None:
    named = set(re.findall(r"^sh tools/router (\w+)", README, re.MULTILINE))

    assert named == {*_COMMANDS, *_GROUPS}


def test_the_strategy_in_the_readme_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTER_HOME", str(tmp_path / "state"))
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    scope: dict[str, object] = {}

    exec(compile(code[1].replace("asyncio.run(main())", ""), "README.md", "exec"), scope)
    main = scope["main"]
    assert callable(main)
    asyncio.run(main())

    assert "SUCCESS FILLED" in capsys.readouterr().out
