"""The plain vendor: what it takes besides JSON, and what it answers when asked."""

import pytest

from providers.adapters.base import HttpReply, Outcome, Question, ReceiptStatus
from providers.adapters.base_template import TemplateCredentials
from providers.adapters.base_template_options import TemplateOptions
from providers.adapters.http_template import HttpTemplateAdapter
from tests.providers.adapters.test_http_template import SIMULATED
from tests.providers.simulated import PERSON, SENDER, platform, runs

FORM = {
    "content_type": "form",
    "body": "to={to}\nfrom={from}\ntext={text}\nreference={reference}\ncallback={status_url}",
}
QUERY = {
    "method": "GET",
    "path": "/send?key={api_key}&to={to_digits}&from={from_digits}&text={text}&reference={reference}&callback={status_url}",
    "headers": "",
}


def plain(here, **options):
    """Return an adapter that proves webhooks by the token in the address, unlike the page's example."""
    options = {**SIMULATED["options"], "hmac_header": "", **options}
    return HttpTemplateAdapter(
        TemplateCredentials("t&ken", "hush"), here.root + "/http/main", TemplateOptions(**options)
    )


@pytest.mark.parametrize("options", [FORM, QUERY], ids=["form", "query"])
@runs
async def test_takes_forms_and_queries_and_reports_to_the_address_with_the_token(options):
    async with platform(hooks=True) as here:
        adapter = plain(here, **options)
        result = await here.send(adapter, 3, text="Grüße & +1=2?")
        assert result.outcome is Outcome.ACCEPTED
        events = await here.events(adapter, 2)
        assert [event.status for event in events] == [ReceiptStatus.SENT, ReceiptStatus.DELIVERED]
        assert {event.reference for event in events} == {f"{3:032x}00000001"}
        [entry] = (await here.control("GET", "/_control/ledger/messages"))["messages"]
        assert (entry["text"], entry["to"], entry["sender"]) == ("Grüße & +1=2?", PERSON, SENDER)


@pytest.mark.parametrize("options", [{}, FORM, QUERY], ids=["json", "form", "query"])
@runs
async def test_an_empty_text_is_refused_by_its_code(options):
    async with platform() as here:
        result = await here.send(plain(here, **options), text="")
        assert (result.outcome, result.code) == (Outcome.REJECTED_PERMANENT, "E10")


async def asked(here, call):
    async with here.session.request(call.method, call.url, headers=dict(call.headers)) as answer:
        return HttpReply(answer.status, {}, await answer.read())


@runs
async def test_tells_by_its_reference_what_it_has():
    async with platform() as here:
        adapter = plain(here)
        result = await here.send(adapter, 9)
        for number, ids in ((9, [result.provider_id]), (8, [])):
            question = Question(f"{number:032x}00000001", PERSON, SENDER, "Hello", None)
            found = adapter.found(question, await asked(here, adapter.look_up(question)))
            assert [finding.provider_id for finding in found] == ids


@runs
async def test_a_check_needs_a_key():
    async with platform() as here:
        assert (await asked(here, plain(here).check())).status == 200
        assert (await asked(here, plain(here, headers="").check())).status == 401
