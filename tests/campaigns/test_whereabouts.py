"""Stored people are placed again from what their row tells, and nothing that is known better is forgotten."""

import pytest

from campaigns import whereabouts
from campaigns.whereabouts import Located


@pytest.mark.parametrize(
    ("number", "fields", "stored", "then"),
    [
        # From before states were kept.
        ("+13055550123", {}, ("America/New_York", "area_code", "unknown"), ("America/New_York;FL", "area_code", "area_code")),
        (
            "+12125550123", {"postal_code": "85001"}, ("America/New_York|America/Phoenix", "postal_code", "unknown"),
            ("America/New_York|America/Phoenix;AZ|NY", "postal_code", "postal_code"),
        ),
        ("+12125550123", {}, ("America/Denver", "explicit", "unknown"), ("America/Denver;NY", "explicit", "area_code")),
        ("+33612345678", {}, ("Europe/Paris", "country", "unknown"), ("Europe/Paris;fr", "country", "country")),
        ("+18005550123", {}, ("", "unknown", "unknown"), ("", "unknown", "unknown")),
        # What the row tells now.
        (
            "+12125550123", {"state": "TX"}, ("America/New_York;NY", "area_code", "area_code"),
            ("America/Chicago|America/Denver|America/New_York;NY|TX", "state", "state"),
        ),
        # What was told and the row does not repeat stays, zones and states.
        (
            "+12125550123", {}, ("America/Phoenix;AZ|NY", "postal_code", "postal_code"),
            ("America/Phoenix;AZ|NY", "postal_code", "postal_code"),
        ),
        ("+18005550123", {}, ("America/Denver;US", "explicit", "unknown"), ("America/Denver;US", "explicit", "unknown")),
        # A field that holds something else than a text tells nothing.
        (
            "+12125550123", {"state": 7, "postal_code": None}, ("America/New_York", "area_code", "unknown"),
            ("America/New_York;NY", "area_code", "area_code"),
        ),
    ],
)  # fmt: skip
def test_places_people_again(number, fields, stored, then):
    found = whereabouts.again(number=number, fields=fields, stored=Located(*stored))
    assert found == Located(*then)
    assert whereabouts.again(number=number, fields=fields, stored=found) == found
