"""Asking a provider whether it knows our credentials, without sending anything."""

import socket

import pytest

from providers import checking
from providers.models import ProviderAccount
from tests import world
from tests.campaigns.commands.shell import ask, failed, refused, run
from tests.vendor import Vendor

pytestmark = pytest.mark.django_db


def answering(status, body=b"{}"):
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


@pytest.fixture
def closed():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_knows_good_credentials_and_sends_nothing(simulator):
    simulator.script("token-acme")
    world.make(base_url=simulator.url)
    assert run("test_account acme main").strip() == "main: Simulator knows these credentials"
    assert ask("test_account acme main")["is_fine"] is True
    assert simulator.ledger()["posts"] == 0


def test_knows_bad_credentials(simulator):
    simulator.script("token-acme", password="another")
    world.make(base_url=simulator.url)
    out, problem = failed("test_account acme main --json")
    assert problem == "main: Simulator refuses these credentials (HTTP 401); enter them again"
    assert '"is_fine": false' in out


@pytest.mark.parametrize(
    ("status", "is_fine", "told"),
    [
        (200, True, "Simulator knows these credentials"),
        (204, True, "Simulator knows these credentials"),
        (401, False, "Simulator refuses these credentials (HTTP 401); enter them again"),
        (403, False, "Simulator refuses these credentials (HTTP 403); enter them again"),
        (302, None, "Simulator answered HTTP 302, which says nothing about the credentials"),
        (404, None, "Simulator answered HTTP 404, which says nothing about the credentials"),
        (500, None, "Simulator answered HTTP 500, which says nothing about the credentials"),
    ],
)
def test_says_what_an_answer_means(status, is_fine, told):
    with Vendor([answering(status)]) as vendor:
        checked = checking.check(world.make(base_url=vendor.url).account)
    assert checked == checking.Checked(is_fine, told)
    [request] = vendor.requests
    assert request.startswith(b"GET ")


def test_says_what_to_do_when_nobody_answers(closed):
    account = world.make(base_url=closed).account
    assert checking.check(account) == checking.Checked(
        False, f"no answer: ConnectionError; is the address {closed} right, and can this machine reach it?"
    )


def test_says_so_where_nobody_can_be_asked():
    credentials = {"webhook_token": "t", "user": "u", "password": "p"}
    world.make(provider="smtp", base_url="smtp://127.0.0.1:1", credentials=credentials)
    told = ask("test_account acme main")
    assert told["is_fine"] is None
    assert told["told"] == "E-mail (SMTP) cannot be asked without sending something; send yourself a message"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"secret": "garbage"}, "not in CREDENTIAL_KEYS; enter the credentials again"),
        ({"options": {"no_such": "x"}}, "its settings cannot be used: "),
        ({"provider": "pigeon"}, "its settings cannot be used: No provider 'pigeon'"),
        ({"provider": "twilio"}, "its settings cannot be used: "),  # other credentials than it has
    ],
)
def test_says_what_cannot_be_used(changed, told):
    acme = world.make()
    ProviderAccount.objects.filter(pk=acme.account.pk).update(**changed)
    _, problem = failed("test_account acme main")
    assert told in problem
    assert "token-acme" not in problem


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nobody main", "tenant: there is no tenant 'nobody'"),
        ("acme other", "ACCOUNT: acme has no provider account 'other'; `manage.py create_provider_account` makes one"),
    ],
)
def test_is_refused(line, said):
    world.make()
    assert said in refused(f"test_account {line}")
