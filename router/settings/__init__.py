"""Typed settings: one TOML file, the environment and the command line become one frozen, checked object.

``load`` puts the layers together and is the package's only reader of the environment; ``schema`` and ``safety``
hold the keys, bounds and defaults, ``section`` what they are made of; ``fit`` checks single values and ``words``
explains them; ``toml`` reads any of the package's TOML files exactly; ``show`` is what may be displayed. This
package must not know what any setting is for.
"""

from router.settings.fit import decimal_from
from router.settings.load import load_settings
from router.settings.safety import Safety, SafetyOverride, Strategy
from router.settings.schema import (
    Alerts,
    Execution,
    Gateway,
    Governance,
    MarketData,
    Paper,
    Settings,
    StaticQuote,
    Testnet,
    Watchers,
)
from router.settings.show import redacted_url, settings_schema, settings_to_builtins
from router.settings.toml import display_path, dotted, toml_table, unknown_key_error

__all__ = [
    "Alerts",
    "Execution",
    "Gateway",
    "Governance",
    "MarketData",
    "Paper",
    "Safety",
    "SafetyOverride",
    "Settings",
    "StaticQuote",
    "Strategy",
    "Testnet",
    "Watchers",
    "decimal_from",
    "display_path",
    "dotted",
    "load_settings",
    "redacted_url",
    "settings_schema",
    "settings_to_builtins",
    "toml_table",
    "unknown_key_error",
]
