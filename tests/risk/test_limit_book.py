"""What an operator sets counts until the file's own value changes; a wrong file or value changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.events import AnyEvent, LimitChanged
from router.errors import ConfigError, ExecutionPipelineError
from router.execution.standing import Standing
from router.logs import get_logger
from router.risk.limit_book import LimitBook
from router.risk.limits import read_limits
from tests.factories import PROPERTY, D
from tests.risk.desk import Desk
from tests.risk.test_limits import LINES, write

WHO = {"operator": "anna", "reason": "a test"}
STRATEGIES = ("maker",)


class Run(Desk):
    """A book on one file, over restarts."""

    def __init__(self, folder: Path, **lines: str) -> None:
        super().__init__()
        self.folder = folder
        self.file(**lines)
        self.restart()

    def file(self, **lines: str) -> None:
        self.path = write(self.folder, **LINES | lines)

    def restart(self) -> None:
        """Start anew with what the journal holds."""
        before = self.events
        self.standing = Standing(self.journal, self.clock, get_logger(), self.alert)
        for event in before:
            self.standing.replay(event)
        self.book = LimitBook([self.path], STRATEGIES, self.standing)
        self.book.start()

    @property
    def changes(self) -> list[tuple[str, str | None, str | None, str, str, bool]]:
        return [
            (each.key, each.old, each.new, each.operator, each.reason, each.is_override)
            for each in self.events
            if isinstance(each, LimitChanged)
        ]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def names(events: list[AnyEvent]) -> list[str]:
    return [event.event for event in events]


def test_the_first_start_remembers_the_files_and_the_next_has_nothing_to_say(run: Run) -> None:
    assert names(run.events) == ["limits_read"]
    assert run.standing.filed == run.book.flat()
    assert run.book.flat()['max_order_quantity."BTC/USD"'] == "2"
    run.restart()
    assert names(run.events) == ["limits_read"]
    assert run.book.current == read_limits([run.path])


def test_a_wrong_file_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"max_exposure must be"):
        Run(tmp_path, max_exposure='"nan"')


def test_a_limit_that_is_set_counts_at_once_and_after_a_restart_and_is_on_record(run: Run) -> None:
    before = run.book.current
    assert run.book.set("max_exposure", "0.50", **WHO) == ("1", "0.5")
    assert run.book.current.max_exposure == D("0.5")
    assert before.max_exposure == D(1), "what was handed out does not change"
    assert run.changes == [("max_exposure", "1", "0.5", "anna", "a test", True)]
    assert run.book.set("max_exposure", "0.4", **WHO) == ("0.5", "0.4")
    for _ in range(2):
        run.restart()
        assert (run.book.current.max_exposure, run.book.current.max_drawdown) == (D("0.4"), D("0.05"))
    assert run.book.overrides == {"max_exposure": "0.4"}


@pytest.mark.parametrize(
    ("key", "value", "old", "name"),
    [
        ("max_open_orders", "7", "20000", "max_open_orders"),
        ("max_position_size.BTC/USD", "3", "5", 'max_position_size."BTC/USD"'),
        ('max_position_size."ETH/USD"', "3", None, 'max_position_size."ETH/USD"'),
        ("environments.testnet.max_open_orders", "7", None, "environments.testnet.max_open_orders"),
        ("strategies.maker.max_order_quantity.default", "0.1", None, "strategies.maker.max_order_quantity.default"),
    ],
)
def test_every_kind_of_limit_can_be_set(run: Run, key: str, value: str, old: str | None, name: str) -> None:
    assert run.book.set(key, value, **WHO) == (old, value)
    assert run.book.flat()[name] == run.book.overrides[name] == value
    run.restart()
    assert run.book.flat()[name] == value


def test_what_is_set_for_an_environment_or_a_strategy_is_theirs_alone(run: Run) -> None:
    run.book.set("environments.paper.max_exposure", "0.3", **WHO)
    run.book.set("strategies.maker.max_exposure", "0.2", **WHO)
    current = run.book.current
    assert (current.max_exposure, current.for_environment("paper").max_exposure) == (D(1), D("0.3"))
    assert current.for_environment("paper").strategies["maker"].max_exposure == D("0.2")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("max_exposur", "1", "did you mean max_exposure?"),
        ("max_exposure", "-1", "max_exposure must be a number above 0"),
        ("max_exposure", "NaN", "max_exposure must be a number above 0"),
        ("max_drawdown", "1.1", "max_drawdown must be at most 1"),
        ("max_open_orders", "1.5", "must be a whole number"),
        ("environments.moon.max_exposure", "1", "environments.moon is no environment"),
        ("strategies.nobody.max_exposure", "1", "strategies.nobody is no registered strategy"),
        ("strategies.maker.max_order_notional", "100001", "is above the account's own max_order_notional 100000"),
        ("base_currency", "EUR", "is read at the start only"),
        ("fixed_rates.EUR", "2", "is read at the start only"),
        ("max_exposure.", "1", "is no key"),
    ],
)
def test_what_cannot_be_changes_nothing(run: Run, key: str, value: str, says: str) -> None:
    before = run.book.current
    with pytest.raises(ConfigError, match=r"^risk set: ") as caught:
        run.book.set(key, value, **WHO)
    assert says in str(caught.value)
    assert run.book.current is before
    assert run.changes == []


def test_nobody_sets_a_limit_without_a_name_and_a_reason(run: Run) -> None:
    run.standing.operators = ["anna"]
    for who in ({**WHO, "operator": ""}, {**WHO, "reason": " "}, {**WHO, "operator": "bert"}):
        with pytest.raises(ExecutionPipelineError):
            run.book.set("max_exposure", "0.5", **who)
    assert (run.changes, run.book.current.max_exposure) == ([], D(1))


def test_an_account_can_be_made_tighter_than_its_strategies(tmp_path: Path) -> None:
    run = Run(tmp_path, **{"strategies.maker.max_exposure": '"0.5"'})
    run.book.set("max_exposure", "0.1", **WHO)
    run.restart()
    assert (run.book.current.max_exposure, run.book.current.strategies["maker"].max_exposure) == (D("0.1"), D("0.5"))


def test_the_files_own_new_value_ends_what_an_operator_set(run: Run) -> None:
    run.book.set("max_exposure", "0.5", **WHO)
    run.book.set("max_drawdown", "0.04", **WHO)
    run.file(max_exposure='"0.8"', max_daily_loss='"0.02"')
    assert run.book.reload("r") == {"max_exposure": ("0.5", "0.8"), "max_daily_loss": ("0.03", "0.02")}
    current = run.book.current
    assert (current.max_exposure, current.max_drawdown, current.max_daily_loss) == (D("0.8"), D("0.04"), D("0.02"))
    assert run.changes[2:] == [
        ("max_daily_loss", "0.03", "0.02", "configuration", "r", False),
        ("max_exposure", "0.5", "0.8", "configuration", "r", False),
    ]
    assert run.book.overrides == {"max_drawdown": "0.04"}
    run.restart()
    assert run.book.current == current


def test_a_file_that_changed_while_nothing_ran_counts_and_is_on_record(run: Run) -> None:
    run.book.set("max_exposure", "0.5", **WHO)
    run.file(max_exposure='"0.8"')
    run.restart()
    assert run.book.current.max_exposure == D("0.8")
    assert run.changes[1:] == [("max_exposure", "0.5", "0.8", "configuration", "read from the files", False)]
    run.file()
    run.restart()
    assert run.book.current.max_exposure == D(1), "the operator's value does not come back"


def test_another_way_to_write_the_same_number_is_no_change(run: Run) -> None:
    run.book.set("max_exposure", "0.5", **WHO)
    run.file(max_exposure="1.000", max_drawdown='"5e-2"')
    assert run.book.reload("r") == {}
    assert run.book.current.max_exposure == D("0.5")


def test_a_limit_that_left_the_file_is_gone(tmp_path: Path) -> None:
    run = Run(tmp_path, **{"strategies.maker.max_exposure": '"0.5"'})
    run.file()
    assert run.book.reload("r") == {"strategies.maker.max_exposure": ("0.5", None)}
    assert run.book.current.strategies == {}


@pytest.mark.parametrize(
    "lines",
    [
        {"max_exposure": '"-1"'},
        {"max_exposure": '"0.5"', "max_drawdwn": '"0.1"'},
        {"max_exposure": '"0.5"', "strategies.nobody.max_exposure": '"0.1"'},
        {"max_exposure": '"0.5"', "strategies.maker.max_order_notional": '"1000000"'},
        {"max_exposure": '"0.5"', "max_drawdown": "["},
        {"max_exposure": '"0.5"', "base_currency": '"EUR"'},
        {"max_exposure": '"0.5"', "fixed_rates.EUR": "2"},
    ],
)
def test_a_reload_is_all_or_nothing(run: Run, lines: dict[str, str]) -> None:
    before, events = run.book.current, run.events
    run.file(**lines)
    with pytest.raises(ConfigError, match=str(run.path)):
        run.book.reload("r")
    assert run.book.current is before
    assert run.book.flat()["max_exposure"] == "1"
    assert run.events == events
    write(run.folder, max_exposure='"0.5"')
    with pytest.raises(ConfigError, match=r"base_currency, .* missing"):
        run.book.reload("r")
    assert run.events == events
    run.path.unlink()
    with pytest.raises(ConfigError, match="no such file"):
        run.book.reload("r")
    assert run.book.current is before


def test_what_was_set_for_a_strategy_that_is_not_registered_any_more_limits_nobody(run: Run) -> None:
    run.book.set("strategies.maker.max_exposure", "0.5", **WHO)
    book = LimitBook([run.path], (), run.standing)
    book.start()
    assert (book.current.strategies, book.overrides) == ({}, {})


FILED = st.sampled_from(["0.2", "0.4", "0.6"])
SET = st.sampled_from(["0.1", "0.3", "0.5"])


@PROPERTY
@given(st.lists(st.one_of(st.tuples(st.just("set"), SET), st.tuples(st.sampled_from(["reload", "restart"]), FILED))))
def test_the_last_word_counts_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    run = Run(tmp_path_factory.mktemp("book"), max_exposure='"0.2"')
    filed = counts = "0.2"
    for what, value in steps:
        if what == "set":
            run.book.set("max_exposure", value, **WHO)
            counts = value
        else:
            run.file(max_exposure=f'"{value}"')
            run.restart() if what == "restart" else run.book.reload("r")
            counts, filed = (counts if value == filed else value), value
        assert run.book.flat()["max_exposure"] == counts
        assert run.book.current.max_exposure == D(counts)
    told = [new for _, _, new, *_ in run.changes]
    assert (told or ["0.2"])[-1] == counts, "the journal tells what counts"
