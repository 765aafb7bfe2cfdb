"""Which senders US carriers block for want of a registration."""

import pytest

from providers import registering
from providers.adapters import ADAPTERS
from providers.models import ProviderAccount, Registration, Sender
from tests import world


def sender(address="+12125550123", provider="twilio", **values):
    return Sender(address=address, account=ProviderAccount(provider=provider), **values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "long_code"},
        {"countries": ["CA", "US"]},
        {"provider": "http_template"},
        {"address": "+14572345678"},  # an area code that is newer than the library
    ],
)
def test_warns_of_a_us_long_code(values):
    told = registering.warning(sender(**values))
    assert told == f"{values.get('address', '+12125550123')}: {registering.WORDS}; {registering.REMEDY}."


@pytest.mark.parametrize(
    "values",
    [
        {"registration_id": 1},
        {"is_active": False},
        {"address": "+18885550123"},
        {"address": "+18885550123", "kind": "long_code"},
        {"kind": "toll_free"},
        {"kind": "short_code"},
        {"address": "72345"},
        {"address": "ACME"},
        {"address": "MG0123456789abcdef0123456789abcdef"},
        {"address": "+14165550123"},  # Canada
        {"address": "+18765550123"},  # Jamaica
        {"address": "+447911123456"},
        {"address": "+1212555012"},
        {"countries": ["CA"]},
        {"provider": "simulator"},
        {"provider": "smtp", "address": "news@acme.example"},
        {"provider": "nobody knows"},
    ],
)
def test_is_silent_about_all_others(values):
    assert registering.warning(sender(**values)) == ""


def test_one_adapter_reaches_nobody():
    assert [slug for slug, kind in ADAPTERS.items() if kind.is_simulated] == ["simulator"]


@pytest.mark.django_db
def test_lists_the_active_ones_of_everybody():
    acme = world.make()
    real, other = (
        world.make(slug, provider="twilio", credentials={"account_sid": "AC1", "auth_token": "t"})
        for slug in ("real", "other")
    )
    registration = Registration.objects.create(tenant=real.tenant, brand=real.brand, name="C1")
    for each, address, values in (
        (acme, "+12125550120", {}),
        (real, "+12125550122", {}),
        (real, "+12125550121", {}),
        (real, "+12125550123", {"registration": registration}),
        (real, "+12125550124", {"is_active": False}),
        (other, "+12125550125", {"kind": "long_code"}),
        (other, "+12125550126", {"kind": "toll_free"}),
    ):
        Sender.objects.create(tenant=each.tenant, brand=each.brand, account=each.account, address=address, **values)
    assert [str(each) for each in registering.blocked()] == ["+12125550121", "+12125550122", "+12125550125"]
