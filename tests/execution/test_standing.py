"""Standing orders: in force at once, lifted once durable, never weakened by a control, the same when replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from router.clock import VirtualClock
from router.domain.control import Controls, HaltScope
from router.domain.enums import Severity
from router.domain.events import Halted, LimitChanged, LimitsRead, SessionClosed, decode_event
from router.errors import ExecutionPipelineError
from router.execution.standing import Standing
from router.journal.memory import MemoryJournal
from router.logs import get_logger
from tests.execution.world import NOON
from tests.factories import PROPERTY

ALL, ENVIRONMENT, STRATEGY, SYMBOL, VENUE = HaltScope
WHO: dict[str, Any] = {"operator": "anna", "reason": "a test"}
TODAY = NOON.date()


class Desk:
    """Standing orders on a journal in memory, and what they told others."""

    def __init__(self) -> None:
        self.clock = VirtualClock(NOON)
        self.journal = MemoryJournal(self.clock)
        self.alerts: list[tuple[Severity, str, str]] = []
        self.peaks: list[tuple[str, date, Decimal]] = []
        self.standing = Standing(self.journal, self.clock, get_logger(), self._alert, self)

    def recount(self, environment: str, day: date, equity: Decimal) -> None:
        self.peaks.append((environment, day, equity))

    def recount_strategy(self, environment: str, strategy: str, day: date, gained: Decimal) -> None:
        self.peaks.append((f"{environment} {strategy}", day, gained))

    def _alert(self, severity: Severity, topic: str, message: str) -> str:
        self.alerts.append((severity, topic, message))
        return f"alert {len(self.alerts)}"

    def write(self) -> None:
        asyncio.run(self.journal.flush())

    @property
    def events(self) -> list[Any]:
        self.write()
        return [decode_event(row.payload) for row in self.journal.rows]

    @property
    def today(self) -> date:
        return self.clock.now().date()

    def blocked(self, strategy: str | None = "maker", symbol: str = "BTC/USD", environment: str = "paper") -> bool:
        return self.standing.blocking(environment, strategy, symbol, "binance") is not None


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- halts -----------------------------------------------------------------------------------------------------


def test_a_halt_is_in_force_at_once_recorded_and_alerted(desk: Desk) -> None:
    halt = desk.standing.halt(STRATEGY, "maker", **WHO)

    assert desk.blocked(), "before anything is on disk"
    assert (halt.operator, halt.reason, halt.at, halt.alert_id) == ("anna", "a test", NOON, "alert 1")
    severity, topic, message = desk.alerts[0]
    assert (severity, topic) == (Severity.CRITICAL, "halt")
    assert "strategy maker, by anna: a test" in message
    assert [event.halt for event in desk.events] == [halt]


@pytest.mark.parametrize(
    ("scope", "name", "inside", "outside"),
    [
        (ALL, "", {}, None),
        (ENVIRONMENT, "paper", {}, {"environment": "shadow"}),
        (STRATEGY, "maker", {}, {"strategy": "taker"}),
        (STRATEGY, "maker", {"symbol": "ETH/USD"}, {"strategy": None}),
        (SYMBOL, "BTC/USD", {"strategy": None}, {"symbol": "BTC/USDT"}),
        (VENUE, "binance", {"environment": "shadow"}, None),
    ],
)
def test_a_halt_covers_its_scope_and_nothing_else(
    desk: Desk, scope: HaltScope, name: str, inside: dict[str, Any], outside: dict[str, Any] | None
) -> None:
    desk.standing.halt(scope, name, **WHO)

    assert desk.blocked(**inside)
    assert outside is None or not desk.blocked(**outside)
    assert desk.standing.blocking("paper", "taker", "ETH/EUR", "kraken") is None or scope in {ALL, ENVIRONMENT}


def test_a_name_of_one_scope_is_none_of_another(desk: Desk) -> None:
    desk.standing.halt(STRATEGY, "BTC/USD", **WHO)
    desk.standing.halt(VENUE, "paper", **WHO)
    assert not desk.blocked()


def test_the_widest_halt_is_named_but_a_strict_one_before_one_that_lets_reducing_pass(desk: Desk) -> None:
    strict = desk.standing.halt(SYMBOL, "BTC/USD", **WHO)
    lax = desk.standing.halt(ALL, **WHO, allow_reducing=True)
    assert desk.standing.blocking("paper", "maker", "BTC/USD", "binance") == strict, "or a reducing order would pass"
    assert desk.standing.blocking("paper", "maker", "ETH/USD", "binance") == lax
    desk.standing.halt(VENUE, "binance", **WHO, allow_reducing=True)
    assert desk.standing.blocking("paper", "maker", "ETH/USD", "binance") == lax
    desk.standing.resume(VENUE, "binance", **WHO)
    desk.write()
    wide = desk.standing.halt(ENVIRONMENT, "paper", **WHO)
    assert desk.standing.blocking("paper", "maker", "BTC/USD", "binance") == wide
    assert desk.standing.in_force() == [lax, wide, strict]


def test_the_last_operators_terms_count(desk: Desk) -> None:
    desk.standing.halt(ALL, **WHO)
    again = desk.standing.halt(ALL, operator="berta", reason="let them out", allow_reducing=True)
    assert list(desk.standing.halts.values()) == [again]
    assert len([event for event in desk.events if isinstance(event, Halted)]) == 2


def test_a_control_never_weakens_what_is_in_force(desk: Desk) -> None:
    desk.standing.halt(ALL, **WHO, cancel=True)
    halt = desk.standing.halt(ALL, operator="router", reason="excess", allow_reducing=True, control="A12")
    assert (halt.allow_reducing, halt.cancel, halt.control) == (False, True, "A12")


def test_a_control_that_goes_on_firing_adds_nothing(desk: Desk) -> None:
    first = desk.standing.halt(STRATEGY, "maker", operator="router", reason="1000 fills", control="P11")
    for _ in range(100):
        assert desk.standing.halt(STRATEGY, "maker", operator="router", reason="more", control="P11") == first
    assert (len(desk.events), len(desk.alerts)) == (1, 1)


def test_resuming_lifts_exactly_its_scope_and_says_what_is_halted_when_there_is_none(desk: Desk) -> None:
    kill, maker = desk.standing.halt(ALL, **WHO), desk.standing.halt(STRATEGY, "maker", **WHO)
    with pytest.raises(
        ExecutionPipelineError, match=r"no halt of strategy taker\. Halted now: everything, strategy maker"
    ):
        desk.standing.resume(STRATEGY, "taker", **WHO)
    assert desk.standing.resume(STRATEGY, "maker", **WHO) == maker
    desk.write()
    assert desk.standing.in_force() == [kill]
    assert desk.blocked(), "the lower level does not override the higher"
    assert desk.standing.resume(ALL, **WHO) == kill
    desk.write()
    assert not desk.blocked()
    with pytest.raises(ExecutionPipelineError, match="Halted now: nothing"):
        desk.standing.resume(ALL, **WHO)


def test_what_is_lifted_stays_in_force_until_that_is_durable(desk: Desk) -> None:
    desk.standing.halt(SYMBOL, "BTC/USD", **WHO)
    desk.standing.close_session("paper", **WHO)
    desk.write()
    desk.standing.resume(SYMBOL, "BTC/USD", **WHO)
    desk.standing.open_session("paper", **WHO)
    assert desk.blocked(), "a crash now would bring the halt back"
    assert desk.standing.closed("paper", TODAY) is not None
    with pytest.raises(ExecutionPipelineError, match="not closed"):
        desk.standing.open_session("paper", **WHO)  # again
    assert [halt.what for halt in desk.standing.in_force()] == ["symbol BTC/USD"]
    assert desk.standing.state() == Controls(), "the journal's state has no halt any more"
    desk.write()
    assert not desk.blocked()
    assert desk.standing.closed("paper", TODAY) is None
    assert desk.standing.in_force() == []


# -- who and why -----------------------------------------------------------------------------------------------

ORDERS: dict[str, Callable[..., object]] = {
    "halt": lambda standing, **who: standing.halt(ALL, **who),
    "resume": lambda standing, **who: standing.resume(SYMBOL, "BTC/USD", **who),
    "close": lambda standing, **who: standing.close_session("shadow", **who),
    "open": lambda standing, **who: standing.open_session("paper", **who),
    "set": lambda standing, **who: standing.set_override("max_exposure", "1", "2", **who),
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"operator": ""}, "operator"),
        ({"operator": "  "}, "operator"),
        ({"operator": "a\nb"}, "operator"),
        ({"operator": "a" * 65}, "operator"),
        ({"operator": None}, "operator"),
        ({"reason": ""}, "reason"),
        ({"reason": "\x1b[2J"}, "reason"),
        ({"reason": "r" * 501}, "reason"),
    ],
)
def test_nothing_is_ordered_without_a_name_and_a_reason(
    desk: Desk, name: str, change: dict[str, Any], key: str
) -> None:
    desk.standing.halt(SYMBOL, "BTC/USD", operator="a" * 64, reason="r" * 500)
    desk.standing.close_session("paper", **WHO)
    before = desk.standing.state(), len(desk.events), len(desk.alerts)
    with pytest.raises(ExecutionPipelineError, match=f"^{key} must be"):
        ORDERS[name](desk.standing, **WHO | change)
    assert (desk.standing.state(), len(desk.events), len(desk.alerts)) == before


@pytest.mark.parametrize("name", ORDERS)
def test_only_the_named_operators_may_order_where_some_are_named(desk: Desk, name: str) -> None:
    desk.standing.halt(SYMBOL, "BTC/USD", **WHO)
    desk.standing.close_session("paper", **WHO)
    desk.standing.operators = ("berta", "carl")
    before = desk.standing.state()
    with pytest.raises(ExecutionPipelineError, match=r"anna is not an operator here.*berta, carl"):
        ORDERS[name](desk.standing, **WHO)
    assert desk.standing.state() == before
    ORDERS[name](desk.standing, operator="berta", reason="hers to decide")
    assert desk.standing.state() != before


def test_what_halts_and_closes_by_itself_needs_no_permission(desk: Desk) -> None:
    desk.standing.operators = ("berta",)
    desk.standing.halt(ALL, operator="router", reason="excess", control="A12")
    desk.standing.close_session("paper", operator="router", reason="lost", violation="Drawdown limit breached")
    assert desk.blocked()
    assert desk.standing.closed("paper", TODAY) is not None


@pytest.mark.parametrize(("scope", "name"), [(ALL, "paper"), (SYMBOL, ""), (STRATEGY, "")])
def test_a_halt_has_a_name_but_that_of_everything(desk: Desk, scope: HaltScope, name: str) -> None:
    with pytest.raises(ExecutionPipelineError, match="name"):
        desk.standing.halt(scope, name, **WHO)
    assert desk.standing.state() == Controls()


# -- sessions --------------------------------------------------------------------------------------------------


def test_a_closure_for_a_day_ends_with_that_utc_day_and_any_other_never(desk: Desk) -> None:
    desk.standing.close_session("paper", operator="router", reason="r", violation="Daily loss limit reached", day=TODAY)
    lasting = desk.standing.close_session("shadow", **WHO)
    assert desk.standing.closed("paper", TODAY) is not None
    assert desk.standing.closed("paper", TODAY - timedelta(1)) is not None, "a clock set back opens nothing"
    assert desk.standing.closed("paper", TODAY + timedelta(1)) is None
    assert desk.standing.closed("shadow", TODAY + timedelta(36_500)) == lasting
    assert desk.standing.closed("testnet", TODAY) is None


def test_a_closure_is_never_weakened_by_another(desk: Desk) -> None:
    limit: dict[str, Any] = {"operator": "router", "reason": "r"}
    drawdown = desk.standing.close_session("paper", **limit, violation="Drawdown limit breached", alert_id="a")
    assert desk.standing.close_session("paper", **limit, violation="Daily loss limit reached", day=TODAY) == drawdown
    assert desk.standing.close_session("paper", **limit, violation="Drawdown limit breached") == drawdown
    mine = desk.standing.close_session("paper", **WHO)
    assert (mine.operator, mine.violation, mine.day) == ("anna", "Drawdown limit breached", None)
    assert (drawdown.alert_id, mine.alert_id, len(desk.alerts)) == ("a", "alert 1", 1)
    assert len([event for event in desk.events if isinstance(event, SessionClosed)]) == 2


def test_a_day_is_closed_once_and_an_operator_may_close_for_longer(desk: Desk) -> None:
    lost: dict[str, Any] = {
        "operator": "router",
        "reason": "r",
        "violation": "Daily loss limit reached",
        "alert_id": "a",
    }
    first = desk.standing.close_session("paper", **lost, day=TODAY)
    assert desk.standing.close_session("paper", **lost, day=TODAY) == first
    assert desk.standing.close_session("paper", **lost, day=TODAY - timedelta(1)) == first
    assert len(desk.events) == 1
    assert desk.standing.close_session("paper", **WHO).day is None
    asyncio.run(desk.clock.advance(86400))
    assert desk.standing.closed("paper", desk.today) is not None


def test_a_session_that_is_open_or_has_become_so_is_not_opened(desk: Desk) -> None:
    with pytest.raises(ExecutionPipelineError, match="paper is not closed"):
        desk.standing.open_session("paper", **WHO)
    desk.standing.close_session("paper", **WHO, day=TODAY)
    asyncio.run(desk.clock.advance(86400))
    with pytest.raises(ExecutionPipelineError, match="paper is not closed"):
        desk.standing.open_session("paper", **WHO)


def test_the_peak_that_counts_from_an_opening_on_is_told_live_and_in_replay(desk: Desk) -> None:
    desk.standing.close_session("paper", **WHO)
    desk.standing.open_session("paper", **WHO, peak_equity=Decimal("90000.5"))
    assert desk.peaks == [("paper", TODAY, Decimal("90000.5"))]
    again = Desk()
    for event in desk.events:
        again.standing.replay(event)
    assert again.peaks == desk.peaks


# -- limits ----------------------------------------------------------------------------------------------------


def test_an_operators_limit_counts_until_the_files_own_changes(desk: Desk) -> None:
    assert desk.standing.limits_read({"a": "1", "b": "1"}) == [], "the first time there is nothing to compare with"
    desk.standing.set_override("a", "1", "2", **WHO)
    assert desk.standing.limits_read({"a": "1", "b": "1"}) == []
    assert desk.standing.limits_read({"a": "1", "b": "3"}) == ["b"]
    assert desk.standing.overrides == {"a": "2"}
    assert desk.standing.limits_read({"a": "5", "c": "4"}) == ["a", "b", "c"]
    assert (desk.standing.overrides, desk.standing.filed) == ({}, {"a": "5", "c": "4"})
    changes = [event for event in desk.events if isinstance(event, LimitChanged)]
    assert [(each.key, each.old, each.new, each.operator, each.is_override) for each in changes] == [
        ("a", "1", "2", "anna", True),
        ("b", "1", "3", "configuration", False),
        ("a", "2", "5", "configuration", False),  # the value that counted
        ("b", "3", None, "configuration", False),
        ("c", None, "4", "configuration", False),
    ]
    assert len([event for event in desk.events if isinstance(event, LimitsRead)]) == 3


def test_an_override_is_taken_back(desk: Desk) -> None:
    desk.standing.set_override("a", "1", "2", **WHO)
    desk.standing.set_override("a", "2", None, **WHO)
    assert desk.standing.overrides == {}


# -- any story -------------------------------------------------------------------------------------------------

Step: TypeAlias = tuple[str, dict[str, Any]]
scopes = st.sampled_from([(ALL, ""), (SYMBOL, "BTC/USD"), (SYMBOL, "ETH/USD"), (STRATEGY, "maker"), (VENUE, "binance")])
where = st.sampled_from(["paper", "shadow"])
limits = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"))
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("halt"),
            st.fixed_dictionaries(
                {"where": scopes, "allow_reducing": st.booleans(), "cancel": st.booleans()},
                optional={"control": st.sampled_from(["P11", "A12"])},
            ),
        ),
        st.tuples(st.just("resume"), st.fixed_dictionaries({"where": scopes})),
        st.tuples(
            st.just("close_session"),
            st.fixed_dictionaries(
                {"environment": where, "day": st.sampled_from([None, TODAY, TODAY + timedelta(1)])},
                optional={"violation": st.sampled_from(["Drawdown", "Daily loss"])},
            ),
        ),
        st.tuples(
            st.just("open_session"),
            st.fixed_dictionaries({"environment": where, "peak_equity": st.sampled_from([None, Decimal(7)])}),
        ),
        st.tuples(
            st.just("set_override"),
            st.fixed_dictionaries(
                {"key": st.sampled_from("abc"), "old": st.none(), "new": st.sampled_from("12") | st.none()}
            ),
        ),
        st.tuples(st.just("limits_read"), st.fixed_dictionaries({"filed": limits})),
        st.tuples(st.just("time"), st.fixed_dictionaries({"seconds": st.integers(1, 90_000)})),
        st.tuples(st.just("write"), st.just({})),
    ),
    max_size=40,
)


def live(desk: Desk, what: str, how: dict[str, Any]) -> None:
    how = dict(how)
    with suppress(ExecutionPipelineError):  # what is refused changes nothing either
        if what in {"halt", "resume"}:
            getattr(desk.standing, what)(*how.pop("where"), **WHO, **how)
        elif what == "limits_read":
            desk.standing.limits_read(how["filed"])
        else:
            getattr(desk.standing, what)(**WHO, **how)


def strictness(desk: Desk) -> dict[Any, tuple[bool, bool]]:
    return {key: (not halt.allow_reducing, halt.cancel) for key, halt in desk.standing.halts.items()}


@hypothesis_settings(PROPERTY, max_examples=300)
@given(steps, st.integers(0, 40))
def test_any_story_replayed_or_restored_half_way_leads_to_the_same_state(story: list[Step], cut: int) -> None:
    desk, states = Desk(), {0: Controls()}
    for what, how in story:
        before, closed = (
            strictness(desk),
            {name: desk.standing.closed(name, desk.today) for name in ("paper", "shadow")},
        )
        if what == "time":
            asyncio.run(desk.clock.advance(**how))
        elif what == "write":
            desk.write()
        else:
            live(desk, what, how)
        after = strictness(desk)
        if what != "resume" and (what != "halt" or "control" in how):
            assert all(key in after and after[key] >= was for key, was in before.items()), "something got laxer"
        for name in closed if what == "close_session" else ():
            was, now = closed[name], desk.standing.closed(name, desk.today)
            assert was is None or (
                now is not None and (now.day is None or (was.day is not None and now.day >= was.day))
            )
        states[desk.journal.next_seq - 1] = desk.standing.state()
    events = desk.events

    full, half = Desk(), Desk()
    start = max(seq for seq in states if seq <= cut)
    half.standing.restore(states[start])
    for event in events:
        full.standing.replay(event)
        if event.seq in states:
            assert full.standing.state() == states[event.seq], "lived and replayed differ"
        if event.seq > start:
            half.standing.replay(event)
    assert full.standing.state() == half.standing.state() == desk.standing.state()
    assert full.standing.in_force() == half.standing.in_force() == desk.standing.in_force()
    assert full.peaks == desk.peaks
