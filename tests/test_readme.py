"""The README says what the code does: its status table, its commands, its strategy."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from router.cli import _COMMANDS, _GROUPS
from router.domain.diagram import mermaid
from router.operations.actions import status_table

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_status_table_is_the_one_operators_are_told() -> None:
    table = README.partition("<!-- statuses")[2].partition("<!-- end of statuses")[0]
    shown = [line for line in table.splitlines() if "`" in line and line.startswith("|")]

    assert shown == [
        f"| {row.icon} `{row.status}` | {row.meaning} | {row.action} | {row.deadline} |"
        for row in status_table("en").values()
    ]


def test_the_state_diagram_is_drawn_from_the_table() -> None:
    shown = README.partition("<!-- lifecycle")[2].partition("<!-- end of lifecycle")[0]

    assert shown.partition("```mermaid\n")[2].partition("\n```")[0] == mermaid()


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


def test_the_strategy_test_in_the_readme_runs_and_can_fail(tmp_path: Path) -> None:
    code = re.search(r"<!-- virtual.*?```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    for number, text in enumerate((code[1], code[1].replace('price="49000"', 'price="51000"'))):  # the second fills
        scope: dict[str, object] = {}
        exec(compile(text, "README.md", "exec"), scope)
        test = scope["test_it_gives_up_after_an_hour"]
        assert callable(test)
        if number == 0:
            test(tmp_path / "0")
        else:
            with pytest.raises(AssertionError):
                test(tmp_path / "1")
