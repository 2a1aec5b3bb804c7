"""`router bench gates` measures every gate and every control there is; how fast is not tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router import ExecutionPipeline
from router.cli import main
from router.execution.chain import STAGES
from tests.pipelines import settings


def test_every_gate_and_every_control_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "gates", "--orders", "50", "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    controls = ExecutionPipeline("paper", settings(tmp_path)).controls
    assert [row["name"] for row in report["gates"]] == [name for name in STAGES if name != "boundary"]
    assert [row["name"] for row in report["controls"]] == [each.id for each in controls]
    assert all(row["us"] > 0 for row in report["controls"])
    assert report["gates_us"] == pytest.approx(sum(row["us"] for row in report["gates"]))


def test_the_table_names_gates_and_controls(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "gates", "--orders", "20"]) == 0

    shown = capsys.readouterr().out
    assert "all gates" in shown
    assert "P03_price_collar" in shown


def test_no_orders_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "gates", "--orders", "0"]) == 2
    assert "--orders must be above 0" in capsys.readouterr().err
