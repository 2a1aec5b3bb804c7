"""The one chain: its stages in their order, and what a venue says reaches the stage that it is for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from router import ExecutionPipeline, ExecutionResult, ExecutionStatus, OrderIntent
from router.execution.chain import STAGES
from router.journal.memory import MemoryJournal
from router.virtual import LoopClock, run
from tests.execution.remote import LOOPBACK, Remote, remotes
from tests.factories import D
from tests.pipelines import resting, settings

S = ExecutionStatus


def test_the_stages_are_the_contracts() -> None:
    assert STAGES == ("boundary", "validation", "governance", "safety", "risk")


def submit(tmp_path: Path, made: list[Remote], wanted: OrderIntent) -> ExecutionResult:
    async def main(clock: LoopClock) -> ExecutionResult:
        configured = settings(tmp_path, LOOPBACK, limits={"max_order_notional": "10000"})
        async with ExecutionPipeline("testnet", configured, clock=clock, journal=MemoryJournal(clock)) as pipeline:
            return await pipeline.submit_order(wanted)

    result = run(main)
    assert len(made[0].handed) == result.executor_called
    return result


def test_an_order_that_nothing_is_in_the_way_of_is_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = remotes(monkeypatch)
    result = submit(tmp_path, made, resting())
    assert (result.status, result.executor_called) == (S.SUCCESS, True)


def test_what_the_venue_does_not_list_is_invalid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = submit(tmp_path, remotes(monkeypatch, rules={}), resting())
    assert (result.status, result.validation_error) == (S.INVALID, "Symbol not tradable")


def test_no_order_goes_to_a_halted_venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = submit(tmp_path, remotes(monkeypatch, halt="toy is banned"), resting())
    assert (result.status, result.reason) == (S.BLOCKED_BY_SAFETY, "toy is banned")
    assert result.violation == "P16_venue_standing"


def test_the_first_stage_that_objects_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thing after another is put right; what is still wrong behind it answers then."""
    wrong = {"rules": {}, "broken": OSError("cut"), "halt": "banned"}
    greedy = resting(quantity=1)
    answers = []
    for index in range(4):
        left = dict(list(wrong.items())[index:])
        with monkeypatch.context() as patch:
            answers.append(submit(tmp_path / str(index), remotes(patch, **left), greedy).status)
    assert answers == [S.INVALID, S.BLOCKED_BY_ENVIRONMENT, S.BLOCKED_BY_SAFETY, S.BLOCKED_BY_RISK]


def test_the_venues_own_steps_count_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = remotes(monkeypatch)

    async def main(clock: LoopClock) -> list[str | None]:
        configured = settings(tmp_path, LOOPBACK)
        async with ExecutionPipeline("testnet", configured, clock=clock, journal=MemoryJournal(clock)) as pipeline:
            ours = pipeline.instruments["BTC/USD"]
            made[0].rules = {"BTC/USD": msgspec.structs.replace(ours, tick_size=D(3))}
            return [
                (await pipeline.submit_order(resting(environment=environment))).validation_error
                for environment in ("testnet", "paper")
            ]

    assert run(main) == ["Price is not a multiple of tick size 3", None]
