"""Rotating the keys of credentials: half done, unreadable, and while accounts are sending."""

import pytest
from cryptography.fernet import Fernet

from campaigns import receipts, webhooks
from campaigns.states import State
from providers.management.commands import rotate_credentials
from providers.models import ProviderAccount
from smsplatform.common import crypto
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, failed, run
from tests.promises import hooks
from tests.promises.together import Gate, Job, gated

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@pytest.fixture(autouse=True)
def keys(settings):
    """Call it to have other keys, newest first."""

    def are(*keys):
        settings.CREDENTIAL_KEYS = list(keys)

    are(OLD)
    return are


def tokens():
    return [
        crypto.decrypt(each.secret, tenant_id=each.tenant_id)["token"]
        for each in ProviderAccount.objects.order_by("pk")
    ]


@pytest.mark.django_db
class TestRotation:
    @pytest.fixture(autouse=True)
    def _accounts(self, keys):
        """Two accounts under the old key, one under the new one already."""
        world.make("a"), world.make("b")
        keys(NEW, OLD)
        world.make("c")

    def test_puts_all_under_the_newest_key(self, keys):
        assert ask("rotate_credentials --actor ann") == {"rotated": 2, "kept": 1, "unreadable": [], "dry_run": False}
        keys(NEW)  # the old one is dropped
        assert tokens() == ["token-a", "token-b", "token-c"]
        assert list(AuditEvent.objects.values_list("actor", "verb", "target")) == [
            ("ann", "credentials.rotated", "2 accounts")
        ]

    def test_changes_nothing_the_second_time(self):
        run("rotate_credentials")
        before = list(ProviderAccount.objects.order_by("pk").values())
        assert "0 accounts are encrypted with the newest key, 3 were already" in run("rotate_credentials")
        assert list(ProviderAccount.objects.order_by("pk").values()) == before
        assert AuditEvent.objects.count() == 1

    def test_counts_only_when_told_so(self, keys):
        before = list(ProviderAccount.objects.order_by("pk").values())
        assert "2 accounts would be encrypted with the newest key, 1 were" in run("rotate_credentials --dry-run")
        assert list(ProviderAccount.objects.order_by("pk").values()) == before
        assert not AuditEvent.objects.exists()

    def test_goes_on_where_it_was_stopped(self, keys, monkeypatch):
        monkeypatch.setattr(rotate_credentials, "_AT_ONCE", 1)
        original, pages = rotate_credentials._rotate, iter([None, KeyboardInterrupt()])

        def interrupted(*args, **options):
            if (stop := next(pages)) is not None:
                raise stop
            return original(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(rotate_credentials, "_rotate", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run("rotate_credentials")
        assert tokens() == ["token-a", "token-b", "token-c"]  # half rotated: both keys are there
        assert AuditEvent.objects.count() == 1
        assert ask("rotate_credentials")["rotated"] == 1
        keys(NEW)
        assert tokens() == ["token-a", "token-b", "token-c"]

    @pytest.mark.parametrize("why", ["another key", "another tenant", "garbage", "nothing"])
    def test_names_what_cannot_be_read_and_does_the_rest(self, keys, why):
        keys(OTHER if why == "another key" else OLD)
        lost = ProviderAccount.objects.get(tenant__slug="a")
        secrets = {"garbage": "garbage", "nothing": ""}
        tenant_id = 0 if why == "another tenant" else lost.tenant_id
        lost.secret = secrets.get(why, crypto.encrypt({"token": "t"}, tenant_id=tenant_id))
        lost.save()
        keys(NEW, OLD)
        out, problem = failed("rotate_credentials")
        assert "1 accounts are encrypted with the newest key, 1 were already." in out
        assert problem == (
            "CREDENTIAL_KEYS: the credentials of main of a cannot be read with any of them; put the old key back,"
            " or enter the credentials again in the admin"
        )
        assert ProviderAccount.objects.get(pk=lost.pk).secret == lost.secret
        keys(NEW)
        assert [crypto.is_newest(secret) for secret in _secrets("b", "c")] == [True, True]


def _secrets(*slugs):
    return ProviderAccount.objects.filter(tenant__slug__in=slugs).values_list("secret", flat=True)


class TestNewest:
    @pytest.mark.parametrize(("now", "is_newest"), [((OLD,), True), ((NEW, OLD), False), ((OLD, NEW), True)])
    def test_is_what_the_first_key_wrote(self, keys, now, is_newest):
        token = crypto.encrypt({}, tenant_id=1)
        keys(*now)
        assert crypto.is_newest(token) is is_newest

    @pytest.mark.parametrize("now", [(NEW,), (NEW, OTHER)])
    def test_what_no_key_wrote_is_refused(self, keys, now):
        token = crypto.encrypt({}, tenant_id=1)
        keys(*now)
        with pytest.raises(crypto.UndecryptableSecret):
            crypto.is_newest(token)


@pytest.mark.django_db(transaction=True)
def test_sending_goes_on(keys, simulator, monkeypatch):
    """A worker has the account and is about to post when it is rotated; its report comes after that."""
    from providers import delivery

    simulator.script("token-acme", receipts=None)
    monkeypatch.setattr(webhooks, "_nudge", lambda: None)
    monkeypatch.setattr(webhooks, "_remembered", {})
    acme = world.make(base_url=simulator.url)
    [person] = acme.recipients(1)
    campaign_run = acme.run()
    assert hooks.call(acme, hooks.report(None, id_="before")) == 204  # the webhook remembers the account
    gate = Gate()
    gated(monkeypatch, delivery.Poster, "post", gate)
    keys(NEW, OLD)
    worker = Job(world.work)
    gate.wait()
    assert ask("rotate_credentials")["rotated"] == 1
    keys(NEW)
    gate.open()
    worker.result()
    assert world.states(campaign_run) == {State.ACCEPTED: 1}
    from campaigns.models import Dispatch

    assert hooks.call(acme, hooks.report(Dispatch.objects.get(number=person.number).pk)) == 204
    receipts.apply_events()
    assert world.states(campaign_run) == {State.DELIVERED: 1}
    acme.campaign(name="second")
    second = acme.run(key="2")
    world.work()
    assert world.states(second) == {State.ACCEPTED: 1}
