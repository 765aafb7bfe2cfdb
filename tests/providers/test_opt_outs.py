"""What each vendor says of a person who opted out there is understood as that, and nothing else is."""

import pytest

from providers.adapters import ADAPTERS
from providers.adapters.base import Inbound, OptOut, Outcome, Receipt, ReceiptStatus, Result
from tests.providers.adapters import (
    test_http_template,
    test_plivo,
    test_simpletexting,
    test_simulator,
    test_sinch,
    test_slooce,
    test_twilio,
    test_vonage_messages,
    test_vonage_sms,
)
from tests.providers.adapters.test_vonage_messages import problem


def twilio_report(code):
    form = {"MessageSid": test_twilio.SID, "MessageStatus": "failed", "To": "+1", "From": "+2"}
    return test_twilio.parse(form | {"ErrorCode": code})[0]


def twilio_message(kind):
    form = {"MessageSid": test_twilio.SID, "SmsStatus": "received", "From": "+12025550123", "To": "+12025550100"}
    return test_twilio.parse(form | {"Body": "no", "OptOutType": kind}, "https://sms.example/hooks/7/inbound")[0]


def vonage_report(code):
    return test_vonage_sms.parse(test_vonage_sms.RECEIPT | {"status": "failed", "err-code": code})[0]


def vonage_message_report(code):
    said = {"status": "undeliverable", "error": test_vonage_messages.error(code)}
    return test_vonage_messages.parse(test_vonage_messages.STATUS | said)[0]


def plivo_report(code):
    return test_plivo.parse(test_plivo.report(Status="failed", ErrorCode=code))[0]


def sinch_report(code):
    return test_sinch.parse(test_sinch.report(status="Rejected", code=code))[0]


def simulator_report(code):
    return test_simulator.parse(test_simulator.REPORT | {"status": "rejected", "code": code})[0]


# Each vendor's own words for it, by its answer (a Result), by a report (a Receipt), or by an event of its own.
SAID = {
    "twilio": [
        (test_twilio.read, (400, test_twilio.error(21610, 400)), "21610"),
        (twilio_report, ("21610",), "21610"),
        (twilio_message, ("STOP",), ""),
    ],
    "plivo": [(plivo_report, ("200",), "200")],
    "vonage_sms": [
        (test_vonage_sms.read, (test_vonage_sms.answer(test_vonage_sms.refusal("7")),), "7"),
        (vonage_report, ("9",), "9"),
    ],
    "vonage_messages": [
        (test_vonage_messages.read, (422, problem("/messages#1240")), "1240"),
        (test_vonage_messages.read, (422, problem("/messages#1050")), "1050"),
        (vonage_message_report, ("1240",), "1240"),
        (vonage_message_report, ("1050",), "1050"),
    ],
    "sinch": [(sinch_report, (61,), "61")],
    "simpletexting": [
        (
            lambda *told: test_simpletexting.parse(*told)[0],
            ("UNSUBSCRIBE_REPORT", {"contactId": test_simpletexting.ID, "phone": "8001234567"}),
            "",
        )
    ],
    "slooce": [(test_slooce.read, (403, test_slooce.response("invalid mt request")), "invalid mt request")],
    # A vendor's words are an account's settings here.
    "http_template": [(test_http_template.read, (403, test_http_template.refusal("E13")), "E13")],
    "simulator": [
        (test_simulator.read, (403, test_simulator.refusal("opted_out")), "opted_out"),
        (simulator_report, ("opted_out",), "opted_out"),
    ],
}
# Presets of the template, whose tests show the same setting; and e-mail, where there is no list at a vendor.
PRESETS = {"pineapple", "textback"}
WITHOUT = {"smtp"}

# What stands beside it in the vendors' lists, and is something else.
ELSE = [
    (test_twilio.read, (400, test_twilio.error(21211, 400))),  # no number
    (twilio_report, ("30004",)),  # blocked
    (twilio_report, ("30007",)),  # filtered
    (twilio_message, ("START",)),
    (twilio_message, ("HELP",)),
    (plivo_report, ("420",)),  # expired
    (plivo_report, ("70",)),  # unreachable for good
    (test_vonage_sms.read, (test_vonage_sms.answer(test_vonage_sms.refusal("6")),)),  # cannot be routed
    (vonage_report, ("14",)),  # blocked by the carrier
    (test_vonage_messages.read, (422, problem("/messages#1190"))),  # absent for good
    (vonage_message_report, ("1280",)),  # blocked by the carrier
    (sinch_report, (60,)),  # the sender is blocked
    (sinch_report, (62,)),  # a keyword is blocked
    (test_slooce.read, (403, test_slooce.response("invalid phonenumber"))),
    (test_simulator.read, (403, test_simulator.refusal("invalid_number"))),
]


def has_opted_out(event):
    if isinstance(event, Inbound):
        return event.answered_as == "stop"
    return isinstance(event, OptOut) or event.opted_out


def test_every_adapter_says_how_it_tells():
    assert set(SAID) | PRESETS | WITHOUT == set(ADAPTERS)


@pytest.mark.parametrize(
    ("ask", "told", "code"),
    [case for cases in SAID.values() for case in cases],
    ids=[f"{slug}-{place}" for slug, cases in SAID.items() for place, _ in enumerate(cases)],
)
def test_an_opt_out_is_understood(ask, told, code):
    event = ask(*told)
    assert has_opted_out(event)
    if isinstance(event, Result):
        assert (event.outcome, event.code) == (Outcome.REJECTED_PERMANENT, code)  # never another try
    if isinstance(event, Receipt):
        assert event.code == code
        assert event.status in {ReceiptStatus.REJECTED, ReceiptStatus.FAILED, ReceiptStatus.UNDELIVERED}


@pytest.mark.parametrize(("ask", "told"), ELSE)
def test_what_is_something_else_suppresses_nobody(ask, told):
    assert not has_opted_out(ask(*told))
