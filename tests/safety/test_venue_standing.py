"""P16: no new order to a venue that is halted."""

from __future__ import annotations

from router.safety.venue_standing import VenueStanding
from router.settings import Safety
from tests.factories import order, submission


def test_an_order_is_objected_to_for_as_long_as_its_venue_is_halted() -> None:
    why: list[str | None] = ["binance is banned until 12:00", None]
    control = VenueStanding({"testnet": lambda: why.pop(0)})
    asked = submission(order(), environment="testnet")
    assert control.objection(asked, Safety()) == "binance is banned until 12:00"
    assert control.objection(asked, Safety()) is None


def test_a_halted_venue_stops_no_other_environment() -> None:
    control = VenueStanding({"testnet": lambda: "banned"})
    for environment in ("paper", "shadow"):
        assert control.objection(submission(order(), environment=environment), Safety()) is None
    assert VenueStanding({}).objection(submission(order(), environment="testnet"), Safety()) is None


def test_its_id_is_the_catalogues_and_its_limit_is_said() -> None:
    assert VenueStanding.id.startswith("P16_")
    assert VenueStanding({}).limit(Safety()) == "a venue that takes orders"
