"""Who answers keywords on a sender: what was entered, or what is usual for its kind."""

import pytest

from compliance.keywords.answering import OptOutMode
from providers.adapters import ADAPTERS
from providers.models import ProviderAccount, Sender


def sender(address="+12125550123", provider="twilio", **values):
    return Sender(address=address, account=ProviderAccount(provider=provider), **values)


def test_the_modes_are_those_of_the_rules():
    assert set(Sender.OptOutMode.values) == set(OptOutMode)


@pytest.mark.parametrize(
    ("values", "mode", "is_short_code"),
    [
        ({}, "provider_default", False),
        ({"address": "+18885550123"}, "network_tollfree", False),
        ({"address": "+18335550123"}, "network_tollfree", False),
        ({"address": "+18235550123"}, "provider_default", False),
        (
            {"address": "+18885550123", "kind": "long_code"},
            "provider_default",
            False,
        ),  # as entered, whatever it looks like
        ({"kind": "toll_free"}, "network_tollfree", False),
        ({"address": "72345"}, "self", True),
        ({"address": "MG0123456789abcdef0123456789abcdef", "kind": "short_code"}, "self", True),
        ({"address": "72345", "opt_out_mode": "provider_default"}, "provider_default", True),
        ({"address": "+18885550123", "opt_out_mode": "self"}, "self", False),
        ({"address": "ACME", "kind": "alphanumeric"}, "provider_default", False),
    ],
)
def test_the_usual_mode_follows_from_the_kind(values, mode, is_short_code):
    assert (sender(**values).keyword_mode, sender(**values).is_short_code) == (mode, is_short_code)


@pytest.mark.parametrize(
    ("provider", "mode", "has", "lacks"),
    [
        ("twilio", "", {"STOP", "REVOKE", "YES", "INFO"}, {"REMOVE", "OPT OUT"}),
        ("plivo", "", {"STOP ALL", "UNSUB", "GO"}, {"REVOKE", "OPTOUT"}),
        ("vonage_sms", "", set(), {"STOP"}),
        ("vonage_sms", "provider_advanced", {"STOP", "HELP"}, {"REVOKE"}),
        ("vonage_messages", "provider_advanced", {"STOP", "HELP"}, {"REVOKE"}),
        ("twilio", "self", set(), {"STOP"}),
        ("twilio", "network_tollfree", {"STOP"}, set()),
        ("nobody knows", "", set(), {"STOP"}),
    ],
)
def test_each_vendor_answers_its_own_words(provider, mode, has, lacks):
    """Facts §1.1."""
    words = sender(provider=provider, opt_out_mode=mode).answered_words
    assert has <= words
    assert not lacks & words


@pytest.mark.parametrize("slug", ADAPTERS)
def test_words_of_every_adapter_are_words(slug):
    kind = ADAPTERS[slug]
    for word in kind.answered_words | kind.words_of_opt_out_service:
        assert word == word.strip().upper()
        assert word
    assert isinstance(kind.answers_beginnings, bool)
