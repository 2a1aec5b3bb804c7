"""The picture: whole in one file, harmless whatever a strategy is called, and readable by everyone."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.operations.shadow_picture import DRAWN_ORDERS, picture
from router.operations.shadow_report import NO_STRATEGY, build_report
from router.operations.shadow_table import FOOTNOTES, comparison, outcomes, prices
from tests.factories import PROPERTY
from tests.operations.shadow import HOSTILE, fill, lively, lively_report, pending

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads a page as a browser would; ``wrong`` tells what is left open or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def page() -> str:
    return picture(lively_report(400), "var/journal.db")


def test_it_is_one_whole_page_with_nothing_from_elsewhere_and_no_script(page: str) -> None:
    read = Page(page)
    assert read.wrong == []
    assert not {"script", "link", "img", "image", "iframe", "object", "use", "a"} & read.tags.keys()
    assert not [key for key, _ in read.attributes if key.startswith("on") or key in {"href", "src", "style"}]
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert "default-src 'none'; style-src 'unsafe-inline'" in read.values("content")


def test_it_reads_in_light_and_dark_and_by_a_screen_reader(page: str) -> None:
    read = Page(page)
    assert "@media(prefers-color-scheme:dark)" in page
    assert "color-scheme:light dark" in page
    assert read.values("lang") == ["en"]
    identities = read.values("id")
    assert len(identities) == len(set(identities))
    for labels in read.values("aria-labelledby"):
        assert set(labels.split()) <= set(identities)
    assert read.tags["svg"] == page.count('role="img"') + page.count('aria-hidden="true"')
    assert read.tags["caption"] == read.tags["table"] == 2 + 3
    assert {"col", "row"} == set(read.values("scope"))


def test_every_figure_of_the_tables_is_there_as_text(page: str) -> None:
    report, said = lively_report(400), "\n".join(Page(page).texts)
    for table in (outcomes, prices, comparison):
        for row in table(report.strategies).rows:
            for cell in row[1:]:
                assert all(part in said for part in cell.split(" · "))
    assert all(note in said for note in FOOTNOTES)


def test_colours_in_dark_and_light_are_told_apart_from_their_ground(page: str) -> None:
    """WCAG: at least 4.5 for text, 3 for marks; the weakest ground is the card or the page, whichever is nearer."""
    for scheme in re.findall(r"\{(--page[^}]+|color-scheme[^}]+)\}", page):
        colours = dict(re.findall(r"--(\w+):(#\w+)", scheme))
        for name, least in (("ink", 7), ("soft", 4.5), ("worse", 4.5), ("better", 4.5), ("even", 3)):
            for ground in ("page", "card"):
                assert contrast(colours[name], colours[ground]) >= least, (name, ground)


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_hostile_name_is_only_a_name(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert HOSTILE.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd") in Page(page).texts


@PROPERTY
@given(st.text(max_size=200), st.text(max_size=20))
def test_whatever_things_are_called_the_page_stays_whole(strategy: str, symbol: str) -> None:
    events = [pending(strategy_key=strategy, symbol=symbol), fill(102, fee_currency=symbol, fee="0.1")]
    read = Page(made := picture(build_report(events), strategy))
    assert read.wrong == []
    plain = Page(picture(build_report([pending(), fill(102, fee="0.1")]), "x"))
    del read.tags["br"]  # a fee in another currency has a line of its own
    assert read.tags == plain.tags
    assert made.encode().decode() == made


def test_a_panel_says_in_a_sentence_what_it_shows() -> None:
    events = [
        pending("U1", price="100"), fill("100.5", 1, "U1", seconds=2),
        pending("U2", price="100"), fill("100.1", "0.5", "U2", leaves="0.5", seconds=4),
        pending("U3", price="100"),
    ]  # fmt: skip
    said = (
        "1 of 3 orders would have filled, 1 in part; on average 30.00 bp worse than decided; half of the fills began "
    )
    assert f"{said}within 3 s." in picture(build_report(events), "x")
    assert "0 of 1 order would have filled.<" in picture(build_report([pending()]), "x")
    gained = picture(build_report([pending(price="100"), fill("99")]), "x")
    assert "on average 100.00 bp better than decided; half of the fills began at once." in gained
    assert "Orders without a strategy" in picture(build_report([pending(strategy_key=None)]), "x")
    assert NO_STRATEGY in picture(build_report([pending(strategy_key=None)]), "x")


def test_many_orders_and_strategies_stay_a_reasonable_file_that_says_what_it_left_out() -> None:
    names = tuple(f"strategy {number:03}" for number in range(60))
    made = picture(build_report(lively(12_000, names)), "x")
    assert len(made) < 1_500_000
    assert made.count("<section aria-labelledby") == 20
    assert "Charts are drawn for the 20 strategies with most orders; the tables hold all." in made
    assert all(name in made for name in names)
    one = picture(build_report(lively(12_000, ("only",))), "x")
    assert len(one) < 1_500_000
    assert f"Drawn are {DRAWN_ORDERS:,}, evenly picked." in one
    assert f"{DRAWN_ORDERS // 4:,} of 3,000 orders, evenly picked" in one


def test_a_strategy_of_many_symbols_shows_those_with_most_orders() -> None:
    events = [pending(f"U{n}{m}", symbol=f"S{n}/USD") for n in range(6) for m in range(n + 1)]
    made = picture(build_report(events), "x")
    assert re.findall(r"<b>(S\d)/USD", made) == ["S5", "S4", "S3", "S2"]
    assert "Prices are drawn for the 4 of 6 symbols with most orders." in made


def test_without_orders_it_is_still_a_page() -> None:
    assert Page(picture(build_report([]), "x")).wrong == []


def test_the_same_report_makes_the_same_bytes(page: str) -> None:
    assert picture(lively_report(400), "var/journal.db") == page
