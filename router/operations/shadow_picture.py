"""The shadow report as one HTML file: a panel of charts per strategy, and all of it again as tables.

It is whole: no script, nothing from anywhere else, and a policy in it that forbids both. It can be read in light
and dark, on paper, by screen readers and without colours. Same report, same bytes. This module must not know the
journal, nor how a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from router.operations.shadow_chart import LEGEND, mark, price_chart, slippage_chart, text, time_chart
from router.operations.shadow_report import NO_STRATEGY, ShadowOrder, ShadowReport, StrategySummary
from router.operations.shadow_table import (
    FOOTNOTES,
    Table,
    bp_text,
    comparison,
    outcomes,
    prices,
    remarks,
    time_text,
)

DRAWN_ORDERS: Final = 2000
"""At most so many orders are drawn one by one in a file; more are picked evenly, and the picture says so."""
_PANELS: Final = 20  # strategies with charts, those with most orders; the tables hold all
_SYMBOLS: Final = 4  # price charts of one strategy, the symbols with most orders

_STYLE: Final = """
:root{color-scheme:light dark;--page:#f6f5f1;--card:#fff;--ink:#1d2430;--soft:#5c6675;--line:#dcdad2;
--worse:#b8430a;--better:#0b6e78;--even:#68707d}
@media(prefers-color-scheme:dark){:root{--page:#12161c;--card:#1b2129;--ink:#e8eaed;--soft:#a1abb8;--line:#343d49;
--worse:#ff9a52;--better:#45c8d2;--even:#9aa4b2}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1160px;margin:0 auto;padding:32px 20px 48px}
h1{font-size:30px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:21px;margin:0 0 4px;overflow-wrap:anywhere}
p{margin:0 0 12px;max-width:80ch}
.soft,figcaption,footer{color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px 24px;margin:20px 0}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:8px 32px}
figure{margin:14px 0 4px;min-width:0}
figcaption{font-size:14px}
figcaption b{color:var(--ink);font-weight:600}
figcaption b::after{content:" · "}
figure.wide{overflow-x:auto}
figure.wide svg{min-width:720px;overflow:hidden}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font:12px system-ui,sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums;
paint-order:stroke;stroke:var(--card);stroke-width:3px}
svg text.worse{fill:var(--worse);font-weight:600}
svg text.better{fill:var(--better);font-weight:600}
.worse{fill:var(--worse)}.better{fill:var(--better)}.even{fill:var(--even)}
.never{fill:none;stroke:var(--even);stroke-width:1.6}
path.worse,path.better,path.even{fill-opacity:.8}
.tie{fill:none;stroke-width:1.2;stroke-opacity:.55}
.tie.worse{stroke:var(--worse)}.tie.better{stroke:var(--better)}.tie.even{stroke:var(--even)}
.decided{fill:var(--card);stroke:var(--soft);stroke-width:1.2}
.axis,.zero{stroke:var(--soft);fill:none}
.zero{stroke-dasharray:3 3}
.grid{stroke:var(--line);fill:none}
.lane{fill:var(--line);fill-opacity:.35}
.legend{display:flex;flex-wrap:wrap;gap:4px 22px;font-size:14px;padding:0;margin:8px 0 0;list-style:none}
.legend .mark{display:inline-block;width:15px;height:15px;vertical-align:-2px;margin-right:5px}
.scroll{overflow-x:auto;margin:14px 0 4px}
table{border-collapse:collapse;font-size:14px;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding-bottom:4px}
th,td{text-align:right;vertical-align:baseline;padding:5px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
thead th{color:var(--soft);font-weight:500}
tbody th{font-weight:600}
th.left,td.left{text-align:left}
th:first-child,td:first-child{padding-left:0}
footer{font-size:13.5px}
footer p{margin:0 0 4px;max-width:none}
@media print{section{break-inside:avoid}}
"""


def picture(report: ShadowReport, source: str) -> str:
    """Return the whole HTML file; ``source`` names what the report was made from."""
    panels = sorted(report.strategies, key=lambda each: -each.orders)[:_PANELS]
    by_strategy: dict[str, list[ShadowOrder]] = {each.strategy: [] for each in panels}
    for order in report.orders:
        if order.strategy in by_strategy:
            by_strategy[order.strategy].append(order)
    share = DRAWN_ORDERS // max(1, len(panels))
    body = [
        _header(report, source),
        *(_panel(f"s{n}", each, by_strategy[each.strategy], share) for n, each in enumerate(panels)),
        _footer(report, len(panels)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(report.environment.capitalize())} report</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _header(report: ShadowReport, source: str) -> str:
    moments = [order.decided_at for order in report.orders]
    span = f", decided {min(moments):%Y-%m-%d %H:%M:%S} to {max(moments):%Y-%m-%d %H:%M:%S} UTC" if moments else ""
    marks = "".join(f"<li>{mark(kind)}{words}</li>" for kind, words in LEGEND.items())
    return (
        f"<header><h1>{text(report.environment.capitalize())} orders: decided, and what would have come of it</h1>"
        f'<p class="soft">{_count(len(report.orders), "order")} of {len(report.strategies)} '
        f"{'strategy' if len(report.strategies) == 1 else 'strategies'}{span}. From {text(source)}.</p>"
        f'<ul class="legend">{marks}</ul></header>'
        f"<section>{_table(outcomes(report.strategies))}{_table(prices(report.strategies))}</section>\n"
    )


def _panel(name: str, summary: StrategySummary, orders: Sequence[ShadowOrder], share: int) -> str:
    by_symbol: dict[str, list[ShadowOrder]] = {}
    for order in orders:
        by_symbol.setdefault(order.symbol, []).append(order)
    symbols = sorted(by_symbol, key=lambda each: (-len(by_symbol[each]), each))
    shown = symbols[:_SYMBOLS]
    charts = [
        price_chart(each, by_symbol[each], f"{name}-price{n}", share // len(shown)) for n, each in enumerate(shown)
    ]
    if len(shown) < len(symbols):
        charts.append(
            f'<p class="soft">Prices are drawn for the {_SYMBOLS} of {len(symbols)} symbols with most orders.</p>'
        )
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">{text(_named(summary))}</h2>'
        f"<p>{text(_verdict(summary))}</p>"
        f'<div class="pair">{slippage_chart(orders, f"{name}-slippage")}'
        f"{time_chart(orders, f'{name}-time', share)}</div>"
        + "".join(charts)
        + _table(comparison([summary]), skip=1)
        + "</section>\n"
    )


def _verdict(summary: StrategySummary) -> str:
    """Say in a sentence what the panel shows."""
    said = f"{summary.filled:,} of {_count(summary.orders, 'order')} would have filled"
    if summary.partly:
        said += f", {summary.partly:,} in part"
    if summary.slippage_mean_bps is not None:
        mean = summary.slippage_mean_bps
        how = (
            "exactly as decided"
            if bp_text(mean) == "0.00"
            else f"{bp_text(abs(mean))[1:]} bp " + ("worse than decided" if mean > 0 else "better than decided")
        )
        said += f"; on average {how}"
    if summary.first_fill_median_s is not None:
        first = time_text(summary.first_fill_median_s)
        said += f"; half of the fills began {first if first == 'at once' else f'within {first}'}"
    return f"{said}."


def _named(summary: StrategySummary) -> str:
    return summary.strategy if summary.strategy != NO_STRATEGY else "Orders without a strategy"


def _table(table: Table, skip: int = 0) -> str:
    """Return the table without its first ``skip`` columns."""
    css = [' class="left"' if title in table.left else "" for title in table.titles]
    head = "".join(f'<th scope="col"{css[n]}>{text(title)}</th>' for n, title in enumerate(table.titles) if n >= skip)
    rows = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row"{css[n]}>{text(cell)}</th>'
            if n == skip
            else f"<td{css[n]}>{text(cell).replace(' · ', '<br>')}</td>"
            for n, cell in enumerate(row)
            if n >= skip
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(table.caption)}"><table>'
        f"<caption>{text(table.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _footer(report: ShadowReport, panels: int) -> str:
    notes: Iterable[str] = (*remarks(report), *FOOTNOTES)
    if panels < len(report.strategies):
        notes = (f"Charts are drawn for the {panels} strategies with most orders; the tables hold all.", *notes)
    return f"<footer>{''.join(f'<p>{text(note)}</p>' for note in notes)}</footer>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
