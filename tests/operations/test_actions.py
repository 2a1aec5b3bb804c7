"""The status table against the runbook's, word for word, and what `explain` answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.domain.enums import ExecutionStatus
from router.errors import RouterError
from router.operations.actions import LANGUAGES, StatusAction, explain, status_table

EXPECTED: Final = {
    "PENDING": ("✅", None, None, None),
    "SUBMITTED": ("✅", 30, None, None),
    "FILLED": ("✅", None, None, None),
    "PARTIALLY_FILLED": ("⚠️", 300, None, None),
    "CANCELLED": ("📝", None, None, None),
    "REJECTED": ("⚠️", 300, "MEDIUM", "expected_block"),
    "SUCCESS": ("✅", None, None, None),
    "BLOCKED_BY_GOVERNANCE": ("✅", None, "LOW", "governance_protection"),
    "BLOCKED_BY_RISK": ("⚠️", 300, "MEDIUM", "governance_protection"),
    "BLOCKED_BY_SAFETY": ("⚠️", 300, "MEDIUM", "governance_protection"),
    "BLOCKED_BY_ENVIRONMENT": ("⚠️", 300, "MEDIUM", "expected_block"),
    "INVALID": ("🔧", 900, "LOW", None),
    "ERROR": ("🚨", 300, "CRITICAL", "bug"),
    "EXPIRED": ("📝", None, None, None),
}

RUNBOOK: Final = {
    "PENDING": (
        "Order wurde erstellt, wartet auf Submission",
        "✅ Keine Aktion – normaler Zwischenzustand",
        "–",
    ),
    "SUBMITTED": (
        "Order wurde an den Executor/Exchange übergeben",
        "✅ Keine Aktion – Warten auf Fill-Bestätigung",
        "Innerhalb von 30s auf Update prüfen",
    ),
    "FILLED": ("Order vollständig ausgeführt", "✅ Keine Aktion – Erfolgsfall", "–"),
    "PARTIALLY_FILLED": (
        "Order teilweise ausgeführt",
        "⚠️ Log prüfen – Rest-Quantity überwachen",
        "Innerhalb von 5 Min. prüfen",
    ),
    "CANCELLED": (
        "Order wurde storniert (durch System oder manuell)",
        "📝 Log prüfen – Grund dokumentieren",
        "–",
    ),
    "REJECTED": (
        "Order wurde von Exchange/Executor abgelehnt",
        "⚠️ Rejection-Reason prüfen, ggf. Re-Scheduling",
        "Innerhalb von 5 Min. analysieren",
    ),
    "SUCCESS": ("Order erfolgreich an Executor übergeben", "✅ Keine Aktion nötig", "–"),
    "BLOCKED_BY_GOVERNANCE": (
        "Governance-Lock greift (z.B. Live gesperrt)",
        "✅ Erwartetes Verhalten bei `env=live` – keine Aktion. Bei anderen Envs: Config prüfen",
        "–",
    ),
    "BLOCKED_BY_RISK": (
        "Risk-Limit verletzt (Drawdown, Position-Size, etc.)",
        "⚠️ Risk-Config prüfen, Limit-Werte und aktuelle Exposure analysieren",
        "Innerhalb von 5 Min. analysieren",
    ),
    "BLOCKED_BY_SAFETY": (
        "SafetyGuard hat geblockt",
        "⚠️ SafetyGuard-Logs prüfen, Ursache analysieren",
        "Innerhalb von 5 Min. analysieren",
    ),
    "BLOCKED_BY_ENVIRONMENT": (
        "Environment-Check fehlgeschlagen (z.B. falsches Env für Operation)",
        "⚠️ Environment-Config prüfen, ggf. korrektes Env wählen",
        "Innerhalb von 5 Min. analysieren",
    ),
    "INVALID": (
        "Ungültige Eingabe (quantity ≤ 0, unbekanntes Symbol)",
        "🔧 Strategy-/Sizing-Logik debuggen",
        "Innerhalb von 15 Min. fixen",
    ),
    "ERROR": (
        "Unerwarteter Fehler in Pipeline oder Executor",
        "🚨 Logs sammeln, Stacktrace analysieren, Incident eröffnen",
        "Sofort (< 5 Min.)",
    ),
    "EXPIRED": (
        "Order ist abgelaufen (z.B. TimeInForce überschritten)",
        "📝 Order-Parameter prüfen, ggf. Re-Scheduling",
        "–",
    ),
}


def as_runbook_row(entry: StatusAction) -> tuple[str, str, str]:
    return entry.meaning, f"{entry.icon} {entry.action}", entry.deadline


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_status_has_its_icon_deadline_severity_and_category(lang: str) -> None:
    found = {
        str(status): (entry.icon, entry.sla_s, entry.severity, entry.category)
        for status, entry in status_table(lang).items()
    }
    assert found == EXPECTED
    assert list(found) == [str(status) for status in ExecutionStatus]


def test_german_is_the_runbooks_own_wording() -> None:
    assert {str(status): as_runbook_row(entry) for status, entry in status_table("de").items()} == RUNBOOK


def test_the_expectations_here_are_the_runbooks_where_it_is_at_hand() -> None:
    """Compares with the document itself (ROUTER_RUNBOOK, or beside the repository) when there is one."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "runbook.md"
    path = Path(os.environ.get("ROUTER_RUNBOOK", beside))
    assert runbook_rows(path.read_text(encoding="utf-8") if path.is_file() else as_markdown(RUNBOOK)) == RUNBOOK


def runbook_rows(text: str) -> dict[str, tuple[str, str, str]]:
    """The rows of the table in runbook §4.1."""
    section = text.split("### 4.1", 1)[1].split("###", 1)[0]
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in section.splitlines()]
    return {cells[0].strip("`"): (cells[1], cells[2], cells[3]) for cells in rows if cells[0].startswith("`")}


def as_markdown(table: dict[str, tuple[str, str, str]]) -> str:
    return "### 4.1\n" + "\n".join(f"| `{name}` | {' | '.join(cells)} |" for name, cells in table.items())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_deadlines_in_words_and_in_seconds_agree(lang: str) -> None:
    words = {None: "–", 30: "30", 300: "5 ", 900: "15 "}
    for entry in status_table(lang).values():
        assert words[entry.sla_s] in entry.deadline
        assert (entry.sla_s is None) == (entry.deadline == "–")


def test_both_languages_say_something_and_not_the_same() -> None:
    for status in ExecutionStatus:
        english, german = explain(status, "en"), explain(status, "de")
        assert english.meaning
        assert english.action
        assert english.meaning != german.meaning
        assert english.action != german.action
        assert not set("äöüß") & set(english.meaning + english.action + english.deadline)


@given(status=st.sampled_from(ExecutionStatus), data=st.data())
def test_a_status_is_found_however_it_is_typed(status: ExecutionStatus, data: st.DataObject) -> None:
    typed = data.draw(
        st.sampled_from([status.lower(), f" {status} ", status.replace("_", "-"), status.replace("_", " ")])
    )
    assert explain(typed) is explain(status)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("FILED", 'unknown status "FILED"; did you mean FILLED?'),
        (
            "blocked_by_govenance",
            'unknown status "blocked_by_govenance"; did you mean BLOCKED_BY_GOVERNANCE?',
        ),
        ("xyz", 'unknown status "xyz"; statuses are PENDING, SUBMITTED, '),
    ],
)
def test_an_unknown_status_is_refused_with_the_nearest_name(typed: str, message: str) -> None:
    with pytest.raises(RouterError) as caught:
        explain(typed)
    assert str(caught.value).startswith(message)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(RouterError, match='unknown language "fr"; there are en and de'):
        explain("FILLED", "fr")


def test_entries_are_json_and_cannot_be_changed() -> None:
    entry = explain("ERROR")
    assert msgspec.json.decode(msgspec.json.encode(entry), type=StatusAction) == entry
    with pytest.raises(AttributeError):
        entry.sla_s = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        status_table()[ExecutionStatus.ERROR] = entry  # type: ignore[index]
