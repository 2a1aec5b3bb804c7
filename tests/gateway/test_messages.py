"""Bodies are checked key by key before anybody acts on them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from router.gateway.messages import ProblemError, answer, fields_of, problem

KNOWN = {"name": str, "loud": bool}


def test_fields_are_those_that_were_given() -> None:
    assert fields_of({"name": "a", "loud": False}, KNOWN, ["name"]) == {"name": "a", "loud": False}
    assert fields_of({"name": None}, KNOWN) == {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (None, "JSON object"),
        ([], "JSON object"),
        ({"naem": "a"}, "Unknown key 'naem'; known are loud, name"),
        ({"name": 1}, "name must be text"),
        ({"loud": 1}, "loud must be true or false"),
        ({"loud": "true"}, "loud must be true or false"),
        ({}, "name is missing"),
        ({"name": "  "}, "name is missing"),
    ],
)
def test_what_is_wrong_is_named(body: Any, says: str) -> None:
    with pytest.raises(ProblemError, match=says) as raised:
        fields_of(body, KNOWN, ["name"])
    assert raised.value.status == 400


def test_answers_are_json_with_exact_numbers_and_problems_say_so() -> None:
    assert answer({"a": Decimal("0.10")}).body == b'{"a":"0.10"}'
    refused = problem(409, "no")
    assert (refused.status, refused.content_type) == (409, "application/problem+json")
    assert isinstance(refused.body, bytes)
    assert msgspec.json.decode(refused.body) == {"title": "Conflict", "status": 409, "detail": "no"}
