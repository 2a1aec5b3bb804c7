"""`router bench watchers` watches every open order it says it watches; how fast is not tested."""

from __future__ import annotations

import json

import pytest

from router.cli import main


def test_every_open_order_is_looked_up_in_every_window(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "watchers", "--open-orders", "200", "--open-orders", "400", "--json"]) == 0

    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["open_orders"], row["looked_up"]) for row in rows] == [(200, 400), (400, 800)]  # at 25 s and at 50 s
    assert all(row["bytes_per_order"] < 400 for row in rows)
    assert all(row["due_us"] > 0 for row in rows)


def test_the_table_names_bytes_and_growth(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "watchers", "--open-orders", "50"]) == 0

    shown = capsys.readouterr().out
    assert "bytes/order" in shown
    assert "cost per due order, most over fewest open orders: 1.00 x" in shown


def test_no_open_orders_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "watchers", "--open-orders", "0"]) == 2
    assert "--open-orders must be above 0" in capsys.readouterr().err
