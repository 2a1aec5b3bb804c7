"""An episode is one alert, whoever is blocked in it; the next one is another."""

from __future__ import annotations

import asyncio

from router.clock import VirtualClock
from router.domain.enums import Severity
from router.execution.alarm import _MOST, QUIET_S, Alarm


def made() -> tuple[Alarm, VirtualClock, list[str]]:
    raised: list[str] = []

    def raise_alert(severity: Severity, topic: str, message: str) -> str:
        raised.append(f"{severity} {topic} {message}")
        return f"alert {len(raised)}"

    clock = VirtualClock()
    return Alarm(raise_alert, clock), clock, raised


def test_an_episode_is_alerted_once_and_again_when_it_lasts() -> None:
    alarm, clock, raised = made()
    ids = [alarm.once(("paper", "max_exposure"), Severity.HIGH, "risk", f"order {number}") for number in range(1000)]
    assert set(ids) == {"alert 1"}
    assert raised == ["HIGH risk order 0"]
    asyncio.run(clock.advance(QUIET_S))
    assert alarm.once(("paper", "max_exposure"), Severity.HIGH, "risk", "still") == "alert 2"


def test_another_key_or_an_episode_that_ended_is_alerted_at_once() -> None:
    alarm, _, raised = made()
    alarm.once(("a",), Severity.LOW, "t", "1")
    alarm.once(("b",), Severity.LOW, "t", "2")
    alarm.over(("a",))
    alarm.over(("never",))
    assert alarm.once(("a",), Severity.LOW, "t", "3") == "alert 3"
    assert len(raised) == 3


def test_names_from_outside_do_not_fill_the_memory() -> None:
    alarm, _, raised = made()
    for number in range(_MOST + 10):
        alarm.once((str(number),), Severity.LOW, "t", "x")
    assert len(alarm._raised) == _MOST
    alarm.once((str(_MOST),), Severity.LOW, "t", "x")
    assert len(raised) == _MOST + 10, "the newest are remembered"
