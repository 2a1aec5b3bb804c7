"""What a strategy asks for, exactly as it asked.

An intent may hold nonsense (None, NaN, unknown words, foreign objects): constructing or decoding one never
raises, because only validation may answer (spec §3). This module must not know what is valid.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Context, Decimal
from typing import Any

import msgspec
from msgspec.structs import astuple, force_setattr

_REPR_LIMIT = 200
_EXACTLY = Context(prec=200)
_NUMBERS = frozenset({"quantity", "price"})
_WORDS = frozenset({"side", "order_type", "time_in_force"})
_NUMBER_LIMIT = 100  # characters; longer text is not a number anybody meant
_NUMBER_BITS = 1000  # an int beyond is no number either, and with millions of digits takes minutes to convert
_SHORT, _SPARE = 1000, 400  # bytes that cannot nest too deeply; levels that must be left to read it again


class OrderIntent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A strategy's wish; every field may be wrong, validation says which.

    Args:
        symbol: ccxt unified, e.g. ``"BTC/USD"``.
        side: ``OrderSide`` or ``"buy"``/``"sell"``.
        quantity: base units; int, float, str and Decimal become an exact Decimal (0.1 is 0.1).
        order_type: ``"market"`` or ``"limit"``.
        price: quote units per base unit; required for limit orders, the decision price of a market order.
        time_in_force: GTC, IOC, FOK, DAY or GTD.
        expire_at: aware datetime or ISO text, for GTD.
        strategy_key: who asks; limits, logs and cancels are scoped by it.
        intent_id: idempotency key, 1-64 printable ASCII characters; one is made when absent.
        environment: executor for this order; absent means the pipeline's.
        reduce_only: refuse unless the order strictly reduces the position.
        post_only: refuse rather than take liquidity.
        metadata: copied to the journal, not interpreted.
    """

    symbol: Any = None
    side: Any = None
    quantity: Any = None
    order_type: Any = "market"
    price: Any = None
    time_in_force: Any = "GTC"
    expire_at: Any = None
    strategy_key: Any = None
    intent_id: Any = None
    environment: Any = None
    reduce_only: Any = False
    post_only: Any = False
    metadata: Any = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make numbers exact and keep a copy of the metadata, so that the caller cannot change a sent intent."""
        force_setattr(self, "quantity", exact(self.quantity))
        if self.price is not None:
            force_setattr(self, "price", exact(self.price))
        force_setattr(self, "metadata", _copied(self.metadata))


def exact(value: Any) -> Any:
    """Return a number or numeric text as the Decimal it reads as; anything else comes back unchanged.

    A float becomes its shortest decimal text, the number its author wrote. Booleans are not numbers here, nor is
    anything of more than 100 characters, which becomes its text: what the journal holds must read the same again.
    """
    try:
        return _exact(value)
    except Exception:  # noqa: BLE001 -- not a number, or a foreign object, which may raise anything
        return value


def _exact(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() > _NUMBER_BITS:
        return safe_repr(value)
    if isinstance(value, Decimal | int):
        number = Decimal(value)
        return number if len(text := str(number)) <= _NUMBER_LIMIT else text
    if isinstance(value, float):
        return Decimal(float.__repr__(value))
    if isinstance(value, str) and len(value) <= _NUMBER_LIMIT and value.isascii() and "_" not in value:
        return Decimal(value.strip())
    return value


def _copied(metadata: Any) -> Any:
    try:
        return dict(metadata) if isinstance(metadata, dict) else metadata
    except Exception:  # noqa: BLE001 -- a foreign mapping may raise anything
        return metadata


def intent_from(thing: object) -> OrderIntent:
    """Return ``thing`` as an intent; garbage becomes an empty intent that shows what was received.

    A mapping is read field by field; unknown fields are kept in ``metadata["unknown_fields"]``, where
    validation finds them.
    """
    try:
        if isinstance(thing, OrderIntent):
            return thing
        if isinstance(thing, dict):
            return _from_mapping(thing)
    except Exception:  # noqa: BLE001, S110 -- a foreign object may raise anything
        pass
    return OrderIntent(order_type=None, time_in_force=None, metadata={"received": safe_repr(thing)})


def _from_mapping(thing: dict[Any, Any]) -> OrderIntent:
    known = {key: value for key, value in thing.items() if key in OrderIntent.__struct_fields__}
    unknown = [safe_repr(key) for key in thing if key not in OrderIntent.__struct_fields__]
    if unknown:
        metadata = known.get("metadata")
        known["metadata"] = {
            **(metadata if isinstance(metadata, dict) else {}),
            "unknown_fields": unknown,
        }
    return OrderIntent(**known)


def safe_repr(thing: object) -> str:
    """Return a short text of any object, even of one whose ``repr`` raises."""
    try:
        text = str.encode(repr(thing), errors="backslashreplace").decode()  # a lone surrogate cannot be stored
    except Exception as error:  # noqa: BLE001 -- a foreign object may raise anything
        text = f"<{type(thing).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= _REPR_LIMIT else text[: _REPR_LIMIT - 1] + "…"


def same_content(first: OrderIntent, second: OrderIntent) -> bool:
    """Whether two intents ask for the same thing.

    Neither the zeros of a number (0.1 is 0.10), nor the case of a word, nor a default that was written out, nor the
    order of metadata's keys make a difference.
    """
    return _content(first) == _content(second)


def _content(intent: OrderIntent) -> bytes:
    fields = msgspec.json.decode(_encoder.encode(astuple(intent)))
    named = zip(OrderIntent.__struct_fields__, fields, strict=True)
    return msgspec.json.encode([_canonical(name, value) for name, value in named], order="deterministic")


def _canonical(field: str, value: Any) -> Any:
    if field in _WORDS and isinstance(value, str):
        return value.lower()
    number = exact(value) if field in _NUMBERS else value
    return number.normalize(_EXACTLY) if isinstance(number, Decimal) and number.is_finite() else value


def encode_intent(intent: OrderIntent) -> bytes:
    """Encode a storable intent as JSON, foreign objects as their short text."""
    return _encoder.encode(intent)


def storable(intent: OrderIntent) -> bool:
    """Whether the intent can be encoded as it is, foreign objects as their short text, and read again."""
    return _keeps(intent)


def plain(intent: OrderIntent) -> OrderIntent:
    """Return the intent with every field that JSON cannot hold replaced by its short text."""
    fields = {}
    for name in OrderIntent.__struct_fields__:
        value = getattr(intent, name)
        if not _keeps(value):
            value = {"received": safe_repr(value)} if name == "metadata" else safe_repr(value)
        fields[name] = value
    return OrderIntent(**fields)


def _keeps(value: object) -> bool:
    """Whether JSON holds the value, nested no deeper than a restart can read from under its own calls."""
    try:
        payload = _encoder.encode(value)
        if len(payload) > _SHORT:
            msgspec.json.decode(b"[" * _SPARE + payload + b"]" * _SPARE)
    except Exception:  # noqa: BLE001 -- a foreign object may raise anything
        return False
    return True


def json_form(thing: object) -> str:
    """Return what JSON holds for a foreign object: the plain value of a str, Decimal or datetime, else a short text."""
    if isinstance(thing, str):
        return str.__str__(thing)
    if isinstance(thing, Decimal):
        return str(Decimal(thing))
    return datetime.isoformat(thing) if isinstance(thing, datetime) else safe_repr(thing)


_encoder = msgspec.json.Encoder(enc_hook=json_form, decimal_format="string")
