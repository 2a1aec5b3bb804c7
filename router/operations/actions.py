"""The status table: what each of the 14 statuses means, what to do about it, by when (runbook §4, §5.3).

`router explain`, the operators' page, the README and the alerts all read it here. German is the runbook's own
wording. Severity follows the icon as in runbook §8.3 (🚨 CRITICAL, ⚠️ MEDIUM, 🔧 and 📝 LOW), but what only
happens in an order's normal life (a cancel, a partial fill, an expiry) raises none: its deadline is enough.
A violation's own severity (drawdown is CRITICAL) comes with the violation. This module must not know orders,
results or where an answer is shown.
"""

from __future__ import annotations

import difflib
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec

from router.domain.enums import ExecutionStatus
from router.errors import RouterError

Category = Literal["bug", "expected_block", "governance_protection"]
Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW"]
Language = Literal["en", "de"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "de")

_S = ExecutionStatus
_OK, _LOOK, _NOTE, _FIX, _ALARM = "✅", "⚠️", "📝", "🔧", "🚨"


class StatusAction(msgspec.Struct, frozen=True, kw_only=True):
    """What a status means and asks of the operator, in one language.

    Args:
        status: one of the 14.
        meaning: what has happened.
        icon: ✅ nothing to do, 📝 note, ⚠️ look, 🔧 fix, 🚨 act now.
        action: what the operator does.
        deadline: by when, in words; "–" where there is none.
        sla_s: the same in seconds; None where there is none.
        severity: of the alert it raises; None where it raises none.
        category: runbook §5; None where the logs decide it, or nothing was refused.
    """

    status: ExecutionStatus
    meaning: str
    icon: str
    action: str
    deadline: str
    sla_s: int | None
    severity: Severity | None
    category: Category | None


class _Facts(NamedTuple):
    """What is the same in every language."""

    icon: str
    sla_s: int | None = None
    severity: Severity | None = None
    category: Category | None = None


class _Words(NamedTuple):
    meaning: str
    action: str
    deadline: str = "–"


_FACTS: Final = MappingProxyType(
    {
        _S.PENDING: _Facts(_OK),
        _S.SUBMITTED: _Facts(_OK, 30),
        _S.FILLED: _Facts(_OK),
        _S.PARTIALLY_FILLED: _Facts(_LOOK, 300),
        _S.CANCELLED: _Facts(_NOTE),
        _S.REJECTED: _Facts(_LOOK, 300, "MEDIUM", "expected_block"),
        _S.SUCCESS: _Facts(_OK),
        _S.BLOCKED_BY_GOVERNANCE: _Facts(_OK, None, "LOW", "governance_protection"),
        _S.BLOCKED_BY_RISK: _Facts(_LOOK, 300, "MEDIUM", "governance_protection"),
        _S.BLOCKED_BY_SAFETY: _Facts(_LOOK, 300, "MEDIUM", "governance_protection"),
        _S.BLOCKED_BY_ENVIRONMENT: _Facts(_LOOK, 300, "MEDIUM", "expected_block"),
        _S.INVALID: _Facts(_FIX, 900, "LOW"),
        _S.ERROR: _Facts(_ALARM, 300, "CRITICAL", "bug"),
        _S.EXPIRED: _Facts(_NOTE),
    }
)

_ENGLISH: Final = MappingProxyType(
    {
        _S.PENDING: _Words(
            "The order was created and waits for submission",
            "No action: a normal state on the way",
        ),
        _S.SUBMITTED: _Words(
            "The order was handed to the executor or venue",
            "No action: wait for the confirmation of a fill",
            "Check for an update within 30 s",
        ),
        _S.FILLED: _Words("The order was executed in full", "No action: success"),
        _S.PARTIALLY_FILLED: _Words(
            "The order was executed in part",
            "Check the log: watch the remaining quantity",
            "Check within 5 min",
        ),
        _S.CANCELLED: _Words(
            "The order was cancelled, by the system or by hand",
            "Check the log: document the reason",
        ),
        _S.REJECTED: _Words(
            "The order was refused by the venue or executor",
            "Check the rejection's reason, reschedule if appropriate",
            "Analyse within 5 min",
        ),
        _S.SUCCESS: _Words("The order was handed to the executor successfully", "No action needed"),
        _S.BLOCKED_BY_GOVERNANCE: _Words(
            "A governance lock holds (e.g. live is locked)",
            "Expected with env=live: no action. In any other environment: check the configuration",
        ),
        _S.BLOCKED_BY_RISK: _Words(
            "A risk limit is violated (drawdown, position size, …)",
            "Check the risk configuration, analyse the limits and the current exposure",
            "Analyse within 5 min",
        ),
        _S.BLOCKED_BY_SAFETY: _Words(
            "The SafetyGuard blocked the order",
            "Check the SafetyGuard's log, analyse the cause",
            "Analyse within 5 min",
        ),
        _S.BLOCKED_BY_ENVIRONMENT: _Words(
            "The environment check failed (e.g. wrong environment for the operation)",
            "Check the environment's configuration, choose the right environment if need be",
            "Analyse within 5 min",
        ),
        _S.INVALID: _Words(
            "The input is invalid (quantity ≤ 0, unknown symbol)",
            "Debug the strategy's or sizing logic",
            "Fix within 15 min",
        ),
        _S.ERROR: _Words(
            "Unexpected error in the pipeline or an executor",
            "Collect logs, analyse the stack trace, open an incident",
            "At once (< 5 min)",
        ),
        _S.EXPIRED: _Words(
            "The order has expired (e.g. its time in force has passed)",
            "Check the order's parameters, reschedule if appropriate",
        ),
    }
)

_GERMAN: Final = MappingProxyType(
    {
        _S.PENDING: _Words(
            "Order wurde erstellt, wartet auf Submission",
            "Keine Aktion – normaler Zwischenzustand",
        ),
        _S.SUBMITTED: _Words(
            "Order wurde an den Executor/Exchange übergeben",
            "Keine Aktion – Warten auf Fill-Bestätigung",
            "Innerhalb von 30s auf Update prüfen",
        ),
        _S.FILLED: _Words("Order vollständig ausgeführt", "Keine Aktion – Erfolgsfall"),
        _S.PARTIALLY_FILLED: _Words(
            "Order teilweise ausgeführt",
            "Log prüfen – Rest-Quantity überwachen",
            "Innerhalb von 5 Min. prüfen",
        ),
        _S.CANCELLED: _Words(
            "Order wurde storniert (durch System oder manuell)",
            "Log prüfen – Grund dokumentieren",
        ),
        _S.REJECTED: _Words(
            "Order wurde von Exchange/Executor abgelehnt",
            "Rejection-Reason prüfen, ggf. Re-Scheduling",
            "Innerhalb von 5 Min. analysieren",
        ),
        _S.SUCCESS: _Words("Order erfolgreich an Executor übergeben", "Keine Aktion nötig"),
        _S.BLOCKED_BY_GOVERNANCE: _Words(
            "Governance-Lock greift (z.B. Live gesperrt)",
            "Erwartetes Verhalten bei `env=live` – keine Aktion. Bei anderen Envs: Config prüfen",
        ),
        _S.BLOCKED_BY_RISK: _Words(
            "Risk-Limit verletzt (Drawdown, Position-Size, etc.)",
            "Risk-Config prüfen, Limit-Werte und aktuelle Exposure analysieren",
            "Innerhalb von 5 Min. analysieren",
        ),
        _S.BLOCKED_BY_SAFETY: _Words(
            "SafetyGuard hat geblockt",
            "SafetyGuard-Logs prüfen, Ursache analysieren",
            "Innerhalb von 5 Min. analysieren",
        ),
        _S.BLOCKED_BY_ENVIRONMENT: _Words(
            "Environment-Check fehlgeschlagen (z.B. falsches Env für Operation)",
            "Environment-Config prüfen, ggf. korrektes Env wählen",
            "Innerhalb von 5 Min. analysieren",
        ),
        _S.INVALID: _Words(
            "Ungültige Eingabe (quantity ≤ 0, unbekanntes Symbol)",
            "Strategy-/Sizing-Logik debuggen",
            "Innerhalb von 15 Min. fixen",
        ),
        _S.ERROR: _Words(
            "Unerwarteter Fehler in Pipeline oder Executor",
            "Logs sammeln, Stacktrace analysieren, Incident eröffnen",
            "Sofort (< 5 Min.)",
        ),
        _S.EXPIRED: _Words(
            "Order ist abgelaufen (z.B. TimeInForce überschritten)",
            "Order-Parameter prüfen, ggf. Re-Scheduling",
        ),
    }
)


def _table(
    words: MappingProxyType[ExecutionStatus, _Words],
) -> MappingProxyType[ExecutionStatus, StatusAction]:
    return MappingProxyType(
        {
            status: StatusAction(status=status, **words[status]._asdict(), **_FACTS[status]._asdict())
            for status in ExecutionStatus
        }
    )


_TABLES: Final = MappingProxyType({"en": _table(_ENGLISH), "de": _table(_GERMAN)})


def explain(status: ExecutionStatus | str, lang: str = "en") -> StatusAction:
    """Return what ``status`` means and asks of the operator, in English ("en") or German ("de").

    Raises:
        RouterError: there is no such status (the nearest one is named) or no such language.
    """
    return status_table(lang)[_status(status)]


def status_table(lang: str = "en") -> MappingProxyType[ExecutionStatus, StatusAction]:
    """Return all 14 entries in the runbook's order; raises RouterError for a language there is not."""
    if lang not in _TABLES:
        raise RouterError(f'unknown language "{lang}"; there are {" and ".join(_TABLES)}')
    return _TABLES[lang]


def _status(name: str) -> ExecutionStatus:
    word = name.strip().upper().replace("-", "_").replace(" ", "_")
    if word in ExecutionStatus.__members__:
        return ExecutionStatus[word]
    near = difflib.get_close_matches(word, ExecutionStatus.__members__, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "statuses are " + ", ".join(ExecutionStatus)
    raise RouterError(f'unknown status "{name}"; {hint}')
