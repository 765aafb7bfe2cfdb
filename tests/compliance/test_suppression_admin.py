"""The admin of "do not text": added by managers, one or many, and released only with a reason."""

import pytest
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from compliance import suppression, suppression_admin
from compliance.models import Suppression
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Brand, Membership, Role
from tests import world

pytestmark = pytest.mark.django_db

ADD, LISTED, BULK = (f"admin:compliance_suppression_{page}" for page in ("add", "changelist", "list"))
BECAUSE = "asked for it in shop 4"


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def log_in(client, acme):
    def logged_in(role):
        user = get_user_model().objects.create_user(f"{role}@acme.example", is_staff=True)
        Membership.objects.create(user=user, tenant=acme.tenant, role=role)
        client.force_login(user)
        return client

    return logged_in


@pytest.fixture
def manager(log_in):
    return log_in(Role.MANAGER)


def typed(acme, **changes):
    said = {
        "brand": acme.brand.pk,
        "number": "+1 (212) 555-1234",
        "category": "",
        "reason": "opt_out",
        "source": "voice",
    }
    return {**said, "evidence": "call 77", **changes}


def errors(response):
    return response.context["adminform"].form.errors


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def page_of(row):
    return reverse("admin:compliance_suppression_change", args=[row.pk])


def release(client, row, because=BECAUSE, verb="release"):
    do = reverse("admin:compliance_suppression_do", args=[row.pk, verb])
    return client.post(do, {"because": because}, follow=True)


def stored(acme, **changes):
    given = {"number": "+12125551234", "reason": "opt_out", "source": "reply", "now": database.now(), **changes}
    brand = given.pop("brand", acme.brand)
    suppression.suppress(brand=brand, **given)
    return Suppression.objects.latest("id")


# -- one person -----------------------------------------------------------------------------------------------------


def test_a_manager_adds_one_which_nobody_changes_or_deletes(manager, acme):
    assert manager.post(reverse(ADD), typed(acme)).status_code == 302
    row = Suppression.objects.get()
    assert (row.number, row.scope, row.tenant, row.brand) == ("+12125551234", "brand", acme.tenant, acme.brand)
    assert (row.reason, row.source, row.evidence, row.created_by) == (
        "opt_out",
        "voice",
        "call 77",
        "manager@acme.example",
    )
    assert row.renewed_at == row.created_at
    assert "suppressed already, for the same reason" in str(errors(manager.post(reverse(ADD), typed(acme))))
    assert manager.post(page_of(row), typed(acme, number="+12125550000")).status_code == 403
    deletion = reverse("admin:compliance_suppression_delete", args=[row.pk])
    assert manager.post(deletion, {"post": "yes"}).status_code == 403
    assert Suppression.objects.get().number == "+12125551234"


@pytest.mark.parametrize("reason", ["opt_out", "complaint"])
@pytest.mark.parametrize("page", [ADD, BULK])
def test_nobody_is_added_for_a_brand_at_which_one_only_looks(manager, acme, page, reason):
    other = world.make("zebra")
    user = get_user_model().objects.get(email="manager@acme.example")
    Membership.objects.create(user=user, tenant=other.tenant, role=Role.VIEWER)
    data = typed(other, reason=reason) | {"numbers": "+12125551234", "tenant": other.tenant.pk}
    shown = manager.post(reverse(page), data)
    assert (shown.status_code, Suppression.objects.count()) == (200, 0)
    assert other.brand.slug not in manager.get(reverse(page)).content.decode()
    manager.post(reverse(page), data | {"brand": acme.brand.pk})
    assert Suppression.objects.count() == (page == ADD or reason == "opt_out")


def test_it_is_on_the_trail_without_the_number(manager, acme):
    manager.post(reverse(ADD), typed(acme))
    [event] = AuditEvent.objects.filter(verb="number.suppressed")
    assert (event.actor, event.tenant, event.detail["evidence"]) == ("manager@acme.example", acme.tenant, "call 77")
    assert "5551234" not in str((event.target, event.detail)).replace("-", "")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"number": "hello"}, "number", "write it like +12125550123"),
        ({"brand": ""}, "brand", "required"),
        ({"reason": ""}, "reason", "required"),
        ({"reason": "provider_blocked"}, "reason", "not one of the available choices"),
        ({"source": "telepathy"}, "source", "not one of the available choices"),
        ({"reason": "complaint", "evidence": ""}, "evidence", "holds for every client"),
        ({"reason": "complaint", "category": "marketing"}, "category", "every category"),
    ],
)
def test_says_what_is_wrong(manager, acme, changes, field, words):
    found = errors(manager.post(reverse(ADD), typed(acme, **changes)))
    assert words in str(found[field])
    assert not Suppression.objects.exists()


def test_one_category_only(manager, acme):
    manager.post(reverse(ADD), typed(acme, category="marketing"))
    assert Suppression.objects.get().scope == "category"


def test_addresses_in_any_case(manager, acme):
    manager.post(reverse(ADD), typed(acme, number="Ana.B@Example.com", source="email"))
    assert Suppression.objects.get().number == "ana.b@example.com"


def test_a_grave_reason_holds_for_every_client_and_stays_on_the_managers_trail(manager, acme):
    assert manager.post(reverse(ADD), typed(acme, reason="legal_threat", source="letter")).status_code == 302
    row = Suppression.objects.get()
    assert (row.scope, row.tenant, row.brand, row.created_by) == ("platform", None, None, "manager@acme.example")
    assert AuditEvent.objects.get(verb="number.suppressed").tenant == acme.tenant
    assert manager.get(page_of(row)).status_code == 302  # what stands above clients is the operators'


def test_another_clients_brand_is_refused(manager, acme):
    rival = world.make("rival")
    assert "brand" in errors(manager.post(reverse(ADD), typed(acme, brand=rival.brand.pk)))
    assert not Suppression.objects.exists()


def test_superusers_suppress_a_number_for_every_client(admin_client, acme):
    data = typed(acme, brand="", reason="operator", source="operator", evidence="")
    assert admin_client.post(reverse(ADD), data).status_code == 302
    assert Suppression.objects.get().scope == "platform"
    assert errors(admin_client.post(reverse(ADD), data))


@pytest.mark.parametrize("term", ["+12125551234", "(212) 555-1234", "212.555.1234"])
def test_a_number_is_found_however_it_is_written(manager, acme, term):
    stored(acme)
    stored(acme, number="+12125559999")
    page = manager.get(reverse(LISTED), {"q": term})
    assert [row.number for row in page.context["cl"].result_list] == ["+12125551234"]
    assert not manager.get(reverse(LISTED), {"q": "hello"}).context["cl"].result_list


def test_the_list_says_what_holds_and_why(manager, acme):
    stored(acme, category="marketing")
    text = manager.get(reverse(LISTED)).content.decode()
    assert "Acme, marketing only" in text
    assert "asked for no more texts" in text
    assert reverse(BULK) in text
    for live, count in (("yes", 1), ("no", 0)):
        assert len(manager.get(reverse(LISTED), {"live": live}).context["cl"].result_list) == count


# -- the way back ---------------------------------------------------------------------------------------------------


def test_a_manager_releases_with_a_reason_that_is_audited(manager, acme):
    row = stored(acme)
    assert 'name="because"' in manager.get(page_of(row)).content.decode()
    assert "is released" in told(release(manager, row))
    row.refresh_from_db()
    assert (row.released_by, row.released_because) == ("manager@acme.example", BECAUSE)
    [event] = AuditEvent.objects.filter(verb="number.released")
    assert (event.tenant, event.detail["because"]) == (acme.tenant, BECAUSE)
    page = manager.get(page_of(row)).content.decode()
    assert 'name="because"' not in page
    assert BECAUSE in page


@pytest.mark.parametrize("because", ["", "no"])
def test_nothing_is_released_without_a_reason(manager, acme, because):
    row = stored(acme)
    assert "say why in 10 to 200 characters" in told(release(manager, row, because))
    row.refresh_from_db()
    assert row.released_at is None


@pytest.mark.parametrize("role", [Role.VIEWER])
def test_a_viewer_releases_and_adds_nothing(log_in, acme, role):
    viewer, row = log_in(role), stored(acme)
    assert release(viewer, row).status_code == 403
    assert viewer.get(reverse(ADD)).status_code == 403
    assert viewer.get(reverse(BULK)).status_code == 403
    assert reverse(BULK) not in viewer.get(reverse(LISTED)).content.decode()
    row.refresh_from_db()
    assert row.released_at is None


def test_nobody_releases_many_at_once(manager, acme):
    stored(acme)
    form = manager.get(reverse(LISTED)).context["action_form"]
    assert form is None or "release" not in str(form)


def test_only_superusers_release_what_holds_for_every_client(manager, admin_client, acme, client):
    row = stored(acme, reason="complaint")
    for verb in ("release", "release-everywhere"):
        assert release(manager, row, verb=verb).status_code in {302, 404}
    row.refresh_from_db()
    assert row.released_at is None
    assert "is released" in told(release(admin_client, row, verb="release-everywhere"))
    row.refresh_from_db()
    assert row.released_at is not None


# -- a whole list ---------------------------------------------------------------------------------------------------

LIST = {"reason": "do_not_text_list", "source": "list", "category": "", "evidence": "CRM export 7"}


def test_a_pasted_list_is_suppressed_and_flaws_are_told_by_line(manager, acme):
    pasted = "2122345678\nAna@Example.com\nnobody\n+1 212 234 5679, Bob\n2122345678\n911"
    page = manager.post(reverse(BULK), {**LIST, "brand": acme.brand.pk, "numbers": pasted})
    numbers = sorted(Suppression.objects.values_list("number", flat=True))
    assert numbers == ["+12122345678", "+12122345679", "ana@example.com"]
    assert set(Suppression.objects.values_list("brand", "reason", "source", "evidence", "created_by")) == {
        (acme.brand.pk, "do_not_text_list", "list", "CRM export 7", "manager@acme.example")
    }
    done = page.context["done"]
    assert (done["new"], done["known"], done["refused"]) == (3, 0, 2)
    assert [flaw.line for flaw in done["flaws"]] == [3, 6]
    assert "Correct these lines and enter them again" in page.content.decode()
    [event] = AuditEvent.objects.filter(verb="numbers.suppressed")
    assert (event.target, event.tenant, event.detail["refused"]) == ("3 numbers, 3 of them new", acme.tenant, 2)
    again = manager.post(reverse(BULK), {**LIST, "brand": acme.brand.pk, "numbers": pasted})
    assert (again.context["done"]["new"], again.context["done"]["known"]) == (0, 3)


def test_an_uploaded_list_is_suppressed(manager, acme):
    file = SimpleUploadedFile("list.csv", "\ufeffphone;name\n2122345678;Ána\n".encode())
    page = manager.post(reverse(BULK), {**LIST, "brand": acme.brand.pk, "numbers": "", "file": file})
    assert page.context["done"]["new"] == 1
    assert Suppression.objects.get().number == "+12122345678"


def test_only_so_many_flaws_are_listed(manager, acme, monkeypatch):
    monkeypatch.setattr(suppression_admin, "_SHOWN_FLAWS", 2)
    page = manager.post(reverse(BULK), {**LIST, "brand": acme.brand.pk, "numbers": "\n".join(["1"] * 5)})
    assert (len(page.context["done"]["flaws"]), page.context["done"]["more"]) == (2, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"numbers": ""}, "Give either a file or the numbers themselves."),
        ({"numbers": "2122345678", "file": True}, "Give either a file or the numbers themselves."),
        ({"numbers": "2122345678", "evidence": ""}, "required"),
        (
            {"numbers": "2122345678", "reason": "complaint"},
            "not one of the available choices",
        ),  # one by one, with proof
        ({"numbers": "1\n2\n3\n4"}, "4 lines are more than 3; divide the list"),
        ({"file": True, "numbers": "", "large": True}, "The file is larger than"),
    ],
)
def test_says_what_is_wrong_with_a_list(manager, acme, changes, words, monkeypatch):
    monkeypatch.setattr(suppression_admin, "_MOST_LINES", 3)
    data = {**LIST, "brand": acme.brand.pk, **changes}
    if data.pop("large", False):
        monkeypatch.setattr(suppression_admin, "_MOST_BYTES", 5)
    if data.pop("file", False):
        data["file"] = SimpleUploadedFile("list.txt", b"2122345678\n")
    page = manager.post(reverse(BULK), data)
    assert words in str(page.context["form"].errors)
    assert not Suppression.objects.exists()


def test_a_list_is_only_for_brands_one_manages(manager, acme):
    rival = world.make("rival")
    page = manager.get(reverse(BULK))
    assert "Rival" not in page.content.decode()
    refused = manager.post(reverse(BULK), {**LIST, "brand": rival.brand.pk, "numbers": "2122345678"})
    assert "brand" in refused.context["form"].errors
    assert not Suppression.objects.exists()


def test_superusers_choose_among_all_brands(admin_client, acme):
    rival = world.make("rival")
    admin_client.post(reverse(BULK), {**LIST, "brand": rival.brand.pk, "numbers": "2122345678"})
    assert Suppression.objects.get().tenant == rival.tenant


def test_the_policy_of_a_brand_is_an_owners_or_managers_to_set(manager, acme):
    page = manager.get(reverse("admin:tenancy_brand_change", args=[acme.brand.pk])).content.decode()
    assert "optout_scope_policy" in page
    assert Brand.objects.get(pk=acme.brand.pk).optout_scope_policy == "all"
