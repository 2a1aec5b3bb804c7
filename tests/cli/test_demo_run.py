"""The demo's own machinery: turns are fair, the meter waits for every answer, and the last check can fail."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import anyio
import pytest

from router.cli import demo_run
from router.cli.common import CommandError
from router.cli.demo_run import Meter, Turns, _checked, _player_of, _slices
from router.domain.intent import OrderIntent
from router.execution.pipeline import ExecutionPipeline
from router.ids import client_order_id
from router.journal.audit import export
from tests.cli.test_demo_report import report


@pytest.mark.asyncio
async def test_each_turn_every_strategy_acts_once() -> None:
    turns, acted = Turns(2), []

    async def strategy(name: str, rounds: int) -> None:
        for _ in range(rounds):
            assert await turns.tick()
            await asyncio.sleep(0)
            acted.append(name)
        turns.leave()

    async with anyio.create_task_group() as group:
        group.start_soon(strategy, "a", 2)
        group.start_soon(strategy, "b", 3)
        for expected in (["a", "b"], ["a", "b"], ["b"]):
            acted.clear()
            await turns.play()
            assert sorted(acted) == expected
    assert turns.players == 0
    await turns.play()


@pytest.mark.asyncio
async def test_when_the_market_closes_everybody_goes_home() -> None:
    turns, said = Turns(1), []

    async def strategy() -> None:
        said.append(await turns.tick())
        turns.leave()

    async with anyio.create_task_group() as group:
        group.start_soon(strategy)
        await asyncio.sleep(0)
        turns.end()
    assert said == [False]


def test_ids_are_shared_out() -> None:
    assert [_player_of(number) for number in range(20)] == [0] * 5 + [1] * 4 + [2] + [0] * 5 + [1] * 4 + [2]


@pytest.mark.asyncio
async def test_the_meter_gives_up_on_an_answer_that_never_comes(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_run, "_PATIENCE_S", 0.01)
    async with ExecutionPipeline("paper", config) as pipeline:
        meter = Meter(set())
        await meter.send(pipeline, OrderIntent(intent_id="lost"))
        with pytest.raises(CommandError, match="1 intents wait"):
            await meter.settled(pipeline)


@pytest.mark.asyncio
async def test_an_id_without_or_with_two_answers_is_found(config: Path) -> None:
    async with ExecutionPipeline("paper", config) as pipeline:
        await pipeline.submit_order(OrderIntent(intent_id="one"))
    journal = str(pipeline.journal_path)
    one = {client_order_id("one"): "one"}

    assert _checked(report(journal=journal), one).ok
    checked = _checked(report(journal=journal), {**one, client_order_id("none"): "none"})
    assert not checked.ok
    assert checked.problems == ["none has 0"]

    twice = [*export(Path(journal))] * 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_run, "export", lambda _: twice)
        assert _checked(report(journal=journal), one).problems == ["one has 2"]


def test_a_recordings_length_is_told_from_its_first_and_last_row(tmp_path: Path) -> None:
    path = tmp_path / "a_quotes.csv.gz"
    path.write_bytes(gzip.compress(b"ts_recv_ns,x\n1000000000,1\n2000000000,2\n31000000000,3\n"))
    (tmp_path / "broken.csv").write_text("nothing\n")

    assert _slices([path]) == 300
    assert _slices([path, tmp_path / "broken.csv"]) == 0
