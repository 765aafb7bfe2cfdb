"""A number that must be known again is kept as its HMAC under a pepper, also after the pepper was changed."""

import hashlib
import hmac

import pytest
from django.core.exceptions import ImproperlyConfigured

from smsplatform.common import crypto

OLD, NEW = "an-old-pepper-that-is-long-enough-0", "a-new-pepper-that-is-long-enough-00"
NUMBER = "+12025550123"


def test_is_hmac_sha256_over_the_e164_number(settings):
    settings.NUMBER_PEPPERS = [OLD]
    version, digest = crypto.keyed(NUMBER).split(":")
    assert digest == hmac.new(OLD.encode(), NUMBER.encode(), hashlib.sha256).hexdigest()
    assert version == hashlib.sha256(OLD.encode()).hexdigest()[:8]
    assert len(crypto.keyed(NUMBER)) == 73
    assert digest != hashlib.sha256(NUMBER.encode()).hexdigest()


def test_is_known_again_after_the_pepper_was_changed(settings):
    settings.NUMBER_PEPPERS = [OLD]
    kept = crypto.keyed(NUMBER)
    settings.NUMBER_PEPPERS = [NEW, OLD]
    assert crypto.keyed(NUMBER) != kept
    assert crypto.all_keyed([NUMBER, "+12025550124"])[kept] == NUMBER
    assert len(crypto.all_keyed([NUMBER, "+12025550124"])) == 4
    settings.NUMBER_PEPPERS = [NEW]
    assert kept not in crypto.all_keyed([NUMBER])


def test_mail_addresses_have_one_spelling(settings):
    assert crypto.keyed("Ana@Example.com") == crypto.keyed("ana@example.com")


@pytest.mark.parametrize("peppers", [[], ["short"], [NEW, "short"]])
def test_a_pepper_that_is_missing_or_short_is_refused(settings, peppers):
    settings.NUMBER_PEPPERS = peppers
    with pytest.raises(ImproperlyConfigured, match=r"NUMBER_PEPPERS: .*openssl rand -hex 32"):
        crypto.keyed(NUMBER)
