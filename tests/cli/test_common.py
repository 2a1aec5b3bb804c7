"""How answers are shown, to people and to programs."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from router.cli.common import ExitCode, fail, plain_number, say, show_json, show_table


def test_the_exit_codes_are_the_contracts() -> None:
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 5, 10]
    assert ExitCode.table().count(" · ") == 6


@pytest.mark.parametrize(
    ("number", "text"),
    [("1E+2", "100"), ("0.10", "0.1"), ("100", "100"), ("1e-8", "0.00000001"), ("-0.50", "-0.5"), ("0.00", "0")],
)
def test_numbers_are_plain(number: str, text: str) -> None:
    assert plain_number(Decimal(number)) == text
    assert plain_number(None) == "–"


def test_json_keeps_decimals_exact(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": Decimal("0.10"), "b": [None]})

    assert json.loads(capsys.readouterr().out) == {"a": "0.10", "b": [None]}


def test_a_piped_table_keeps_one_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("Name", "Text"), [("[bold]", "word " * 40), ("b", None)])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("[bold]"), "what looks like markup is text"
    assert "–" in lines[3]


def test_a_failure_without_anybody_to_hear_it_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, _: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    silenced: list[object] = []
    monkeypatch.setattr("sys.stderr", Gone())
    monkeypatch.setattr("router.cli.common._silence", silenced.append)

    assert fail(ExitCode.ERROR, "text") == 1
    assert len(silenced) == 1


def test_no_strategy_key_commands_the_operators_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "x\033]0;pwn\007\033[2J\r\n\u202ey"
    say(f"⚠️ {hostile}")
    show_table(["Strategy"], [[hostile]])
    shown = capsys.readouterr().out
    assert "⚠️ x" in shown
    assert not set("\033\007\r\u202e") & set(shown)
    assert "2J\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}y" in shown
