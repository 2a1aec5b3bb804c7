"""`router bench` runs every row on the real chain and says what it measured; how fast is not tested."""

from __future__ import annotations

import json

import pytest

from router.cli import main


def test_every_row_is_measured_and_set_beside_the_floor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--intents", "200", "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    rows = [(row["name"], row["in_flight"]) for row in report["rows"]]
    assert rows == [
        (name, in_flight) for in_flight in (1000, 1) for name in ("durable, logged", "durable", "no journal")
    ]
    assert all(row["intents"] >= 100 and row["intents_per_s"] > 0 for row in report["rows"])
    assert all(0 < row["p50_us"] <= row["p99_us"] for row in report["rows"])
    assert report["floor_commit_p50_us"] > 0


def test_the_table_names_what_the_ratios_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--intents", "100"]) == 0

    shown = capsys.readouterr().out
    assert "intents/s" in shown
    assert "synchronous=FULL" in shown


def test_nothing_to_measure_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--intents", "0"]) == 2
    assert "--intents must be above 0" in capsys.readouterr().err
