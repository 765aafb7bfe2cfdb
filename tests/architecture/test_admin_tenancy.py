"""No page of the admin shows or changes another tenant's row: every registered model, through every way in."""

import json
import re
from contextlib import nullcontext
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.forms import ModelChoiceField, modelform_factory
from django.urls import reverse
from django.utils import timezone
from django_celery_beat import models as beat

from campaigns.models import (
    Approval,
    Batch,
    Campaign,
    Dispatch,
    Import,
    Keyword,
    ListMember,
    Preflight,
    RawEvent,
    Receipt,
    Recipient,
    RecipientList,
    RefusedRow,
    Reply,
    ReviewedReply,
    Run,
    Template,
    Trouble,
)
from compliance import consent
from compliance.models import (
    AutomaticTexts,
    Blackout,
    CapWindow,
    Consent,
    ErasedPerson,
    Limit,
    NotTextable,
    OptInCount,
    Permit,
    RegionalHold,
    Suppression,
    TrafficCount,
)
from providers.models import Pin, Price, ProviderAccount, Registration, Sender
from smsplatform.tenancy.admin_scope import OperatorsOnly, OperatorsWrite, TenantScopedAdmin
from smsplatform.tenancy.admin_verbs import VerbsAdmin
from smsplatform.tenancy.models import (
    ApiKey,
    AuditEvent,
    Brand,
    Installation,
    Membership,
    Retention,
    Role,
    Tenant,
    User,
)
from tests import world
from tracking.models import Click, Link

pytestmark = pytest.mark.django_db

OPERATORS = {
    Installation,
    RegionalHold,
    beat.ClockedSchedule,
    beat.CrontabSchedule,
    beat.IntervalSchedule,
    beat.PeriodicTask,
    beat.SolarSchedule,
}
# What a manager may not add: facts, what is above tenants, and who may do what (an owner's).
NOT_ADDED_BY_MANAGERS = {
    Approval, AuditEvent, Batch, CapWindow, Click, Dispatch, ErasedPerson, Link, Membership, NotTextable, OptInCount, Permit,
    Preflight, RawEvent, Receipt, RefusedRow, Reply, Retention, ReviewedReply, Run, Tenant, TrafficCount, Trouble, User,
}  # fmt: skip

UNUSED = {"groups", "user_permissions"}  # Django's permissions decide nothing here


class Rows:
    """One tenant's rows: at least one of every registered model that belongs to a tenant."""

    def __init__(self, slug):
        self.world = w = world.make(slug)
        tenant, brand = w.tenant, w.brand
        person = w.recipient(first_name=slug)
        campaign = w.campaign(f"Hello from {slug}", name=f"{slug} sale")
        run = w.run(campaign)
        dispatch = Dispatch.objects.of_run(run.pk).get()
        now = timezone.now()
        user = User.objects.create_user(f"person@{slug}.example", name=f"Ms {slug}", is_staff=True)
        raw = RawEvent.objects.create(
            tenant=tenant, account=w.account, method="POST", url=f"http://{slug}", body=slug.encode()
        )
        source = Import.objects.create(tenant=tenant, list=w.people, file=f"{slug}.csv")
        reply = Reply.objects.create(
            tenant=tenant, brand=brand, raw=raw, account=w.account, number=person.number, to="+1888", text=slug,
            kind="review", received_at=now, review_until=now,
        )  # fmt: skip
        self.member = user
        self.of = {
            Tenant: tenant,
            Brand: brand,
            User: user,
            Membership: Membership.objects.create(tenant=tenant, user=user, role=Role.VIEWER),
            ApiKey: ApiKey.issue(tenant=tenant, name=f"{slug} key", owner=user)[0],
            AuditEvent: AuditEvent.objects.create(tenant=tenant, actor=f"somebody@{slug}", verb="looked", target=slug),
            ProviderAccount: w.account,
            Sender: w.sender,
            Registration: Registration.objects.create(tenant=w.tenant, brand=w.brand, name=f"C-{w.tenant.slug}"),
            Pin: Pin.objects.create(tenant=w.tenant, brand=w.brand, account=w.account, reason="a contract"),
            Suppression: Suppression.objects.create(
                tenant=tenant, brand=brand, number=f"+1303555{tenant.pk:04d}", reason=f"{slug} asked", source="test"
            ),
            Blackout: Blackout.objects.create(
                tenant=tenant, brand=brand, first_on="2027-01-01", last_on="2027-01-02", note=f"{slug} rests"
            ),
            CapWindow: CapWindow.objects.create(
                tenant=tenant, subject=f"brand:{slug}", starts_at=now, ends_at=now + timedelta(days=1), used=3, amount=4
            ),
            Limit: w.limit("brand", 5, note=f"{slug} wants it"),
            NotTextable: NotTextable.objects.create(
                tenant=tenant, number=f"+1404555{tenant.pk:04d}", reason="landline", provider=slug, code="30006"
            ),
            TrafficCount: TrafficCount.objects.create(
                tenant=tenant, subject=f"range:+1505555{slug}", starts_at=now, held_at=now
            ),
            OptInCount: OptInCount.objects.create(tenant=tenant, country="US", day=now.date(), asked=1),
            ErasedPerson: ErasedPerson.objects.create(
                tenant=tenant, keyed=f"{slug}:1", reason=f"{slug} letter", asked_by=slug, asked_at=now
            ),
            Retention: Retention.objects.create(tenant=tenant),
            Permit: Permit.objects.create(
                dispatch_id=dispatch.pk, tenant=tenant, brand=brand, number=person.number, is_person_capped=True
            ),
            Consent: Consent.objects.get(
                pk=consent.record(
                    brand=brand, number=person.number, event=consent.Event.REVOKED, source=consent.Source.API,
                    occurred_at=now, now=now, identity=f"Ms {slug}",
                )
            ),
            Recipient: person,
            RecipientList: w.people,
            ListMember: ListMember.objects.get(recipient=person),
            Import: source,
            RefusedRow: RefusedRow.objects.create(tenant=tenant, source=source, line=3, reason="empty", detail=slug),
            Template: campaign.template,
            Campaign: campaign,
            Run: run,
            Approval: Approval.objects.create(
                tenant=tenant, campaign=campaign, version=run.version, fingerprint=slug, people=1, asked_by=f"ann@{slug}",
                asked_at=now, expires_at=now,
            ),
            Preflight: Preflight.objects.create(
                tenant=tenant, campaign=campaign, version=run.version, at=now, created_by=f"ann@{slug}"
            ),
            Price: Price.objects.create(tenant=tenant, account=w.account, country="US", micros=7900),
            Batch: Batch.objects.get(run=run),
            Dispatch: dispatch,
            Trouble: Trouble.objects.create(dispatch_id=dispatch.pk, tenant=tenant, kind="dead"),
            RawEvent: raw,
            Receipt: Receipt.objects.create(
                tenant=tenant, raw=raw, place=0, dispatch_id=dispatch.pk, flight=1, status="sent", detail=slug, received_at=now
            ),
            Reply: reply,
            ReviewedReply: ReviewedReply.objects.get(pk=reply.pk),
            Keyword: Keyword.objects.create(tenant=tenant, brand=brand, word=f"join {slug}", people=w.people),
            AutomaticTexts: AutomaticTexts.objects.create(tenant=tenant, brand=brand, program=f"{slug} deals"),
            Link: Link.objects.create(
                code=f"c{slug}"[:10], host=f"{slug}.example", tenant=tenant, dispatch_id=dispatch.pk, position=0,
                destination=f"http://{slug}.example", created_at=now, expires_at=now,
            ),
            Click: Click.objects.create(
                tenant=tenant, code=f"c{slug}"[:10], dispatch_id=dispatch.pk, method="GET", user_agent=slug
            ),
        }  # fmt: skip
        self.marks = [slug, person.number, str(run.pk), str(dispatch.pk), dispatch.pk.hex, w.account.key]

    def show_in(self, response):
        """Return which of the tenant's marks an answer shows."""
        body = b"".join(response) if response.streaming else response.content
        text = body.decode().lower()
        return [mark for mark in self.marks if mark.lower() in text]


TENANTS = sorted(
    [model for model in admin.site._registry if model not in OPERATORS], key=lambda model: model._meta.label
)
each_model = pytest.mark.parametrize("model", TENANTS, ids=lambda model: model.__name__)


@pytest.fixture
def own():
    return Rows("acme")


@pytest.fixture
def foreign():
    return Rows("zebra")


def log_in(client, rows, role):
    user = User.objects.create_user(f"{role}@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=rows.world.tenant, role=role)
    client.force_login(user)
    return client


@pytest.fixture
def manager(client, own):
    return log_in(client, own, Role.MANAGER)


@pytest.fixture
def owner(client, own):
    return log_in(client, own, Role.OWNER)


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=[quote(one) for one in args])


def values(row):
    return type(row)._default_manager.filter(pk=row.pk).values().get()


def test_knows_rows_of_every_registered_model(own):
    """A newly registered model must be added to `Rows.of` (or to OPERATORS, if no tenant may see it)."""
    assert set(own.of) | OPERATORS == set(admin.site._registry)


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model.__name__)
def test_every_admin_is_scoped_and_uses_nothing_that_is_not(model):
    its_admin = admin.site.get_model_admin(model)
    assert isinstance(its_admin, TenantScopedAdmin | OperatorsOnly)
    if model in OPERATORS:
        assert isinstance(its_admin, OperatorsOnly)
        return
    assert not its_admin.raw_id_fields  # this widget prints the name of whatever id it is given
    assert not its_admin.list_editable  # saves rows without asking for the role in each one's tenant
    assert not its_admin.date_hierarchy  # reads the whole table
    verbs = {verb.name for verb in its_admin.verbs} if isinstance(its_admin, VerbsAdmin) else set()
    assert {name for _, name, _ in its_admin._get_base_actions()} - verbs <= {"delete_selected"}


@each_model
def test_lists_own_rows_and_no_others(model, manager, own, foreign):
    response = manager.get(url(model, "changelist"))
    assert response.status_code == 200
    listed = {row.pk for row in response.context["cl"].result_list}
    assert own.of[model].pk in listed
    assert foreign.of[model].pk not in listed
    assert foreign.show_in(response) == []


@each_model
def test_filters_and_searches_find_no_foreign_row(model, manager, own, foreign):
    asked = {"q": [*foreign.marks, str(foreign.of[model].pk)]}
    for field in model._meta.get_fields():
        related = getattr(field, "related_model", None)
        if related in foreign.of:
            asked[f"{field.name}__id__exact"] = asked[f"{field.name}"] = [str(foreign.of[related].pk)]
    asked["run__id"] = [str(foreign.of[Run].pk)]
    for name, terms in asked.items():
        for term in terms:
            response = manager.get(url(model, "changelist"), {name: term})
            assert response.status_code in {200, 302, 400}
            if response.status_code == 200:
                assert foreign.of[model].pk not in {row.pk for row in response.context["cl"].result_list}
                said = [mark for mark in foreign.show_in(response) if mark.lower() not in term.lower()]
                assert said == [], (name, term)


@each_model
def test_offers_no_foreign_choices(model, manager, own, foreign):
    response = manager.get(url(model, "add"), {"provider": "simulator"})
    assert response.status_code == (403 if model in NOT_ADDED_BY_MANAGERS else 200)
    assert foreign.show_in(response) == []
    pages = [response, manager.get(url(model, "change", own.of[model].pk))]
    assert pages[1].status_code == 200
    assert foreign.show_in(pages[1]) == []
    for page in pages:
        for form in forms_of(page):
            for name, field in form.fields.items():
                if isinstance(field, ModelChoiceField):
                    row = foreign.of.get(field.queryset.model)
                    assert row is None or not field.queryset.filter(pk=row.pk).exists(), name


def forms_of(page):
    if page.status_code != 200 or not page.context or "adminform" not in page.context:
        return []
    inlines = [each.formset for each in page.context["inline_admin_formsets"]]
    return [page.context["adminform"].form, *(form for each in inlines for form in [*each.forms, each.empty_form])]


@each_model
def test_autocompletes_no_foreign_row(model, manager, own, foreign):
    for field in (*model._meta.fields, *model._meta.many_to_many):
        if field.is_relation and field.related_model in foreign.of:
            its = foreign.of[field.related_model]
            for term in ("", "zebra", getattr(its, "number", "zebra")):
                where = {
                    "app_label": model._meta.app_label,
                    "model_name": model._meta.model_name,
                    "field_name": field.name,
                }
                response = manager.get(reverse("admin:autocomplete"), {**where, "term": term})
                assert response.status_code in {200, 403, 404}
                if response.status_code == 200:
                    found = json.loads(response.content)["results"]
                    assert str(its.pk) not in {each["id"] for each in found}
                    assert foreign.show_in(response) == []


def pages_of_a_row(model):
    """Every address under which the admin of a model looks up a row."""
    return [
        (pattern.name, pattern.pattern.converters)
        for pattern in admin.site.get_model_admin(model).get_urls()
        if pattern.name and {"object_id", "id"} & set(pattern.pattern.converters)  # the nameless one leads to "change"
    ]


@each_model
def test_no_page_of_a_foreign_row_opens_or_works(model, owner, own, foreign):
    row = foreign.of[model]
    before = values(row)
    pages = pages_of_a_row(model)
    assert {f"{model._meta.app_label}_{model._meta.model_name}_{name}" for name in ("change", "delete", "history")} <= {
        name for name, _ in pages
    }
    its_admin = admin.site.get_model_admin(model)
    verbs = [verb.name for verb in getattr(its_admin, "verbs", ())] or ["anything"]
    for name, converters in pages:
        for verb in verbs if "verb" in converters else [None]:
            row_id = "id" if "id" in converters else "object_id"
            args = {row_id: quote(row.pk)} | ({"verb": verb} if verb else {})
            address = reverse(f"admin:{name}", kwargs=args)
            for ask in (owner.get, owner.post):
                response = ask(
                    address, {"post": "yes", "name": "taken over", "launch_key": "2026-01-01T00:00:00Z-00000000"}
                )
                assert response.status_code in {302, 403, 404, 405}, address
                assert [mark for mark in foreign.show_in(response) if mark not in address] == []
                if response.status_code == 302:
                    assert response.url == reverse("admin:index")
                    shown = owner.get(response.url)  # Django says that a row with this id does not exist
                    assert foreign.of[model].pk == row.pk
                    assert [mark for mark in foreign.show_in(shown) if mark not in address] == []
    assert values(row) == before


@each_model
def test_no_action_reaches_a_foreign_row(model, owner, own, foreign):
    row = foreign.of[model]
    before = values(row)
    page = owner.get(url(model, "changelist"))
    form = page.context["action_form"]
    offered = [name for name, _ in form.fields["action"].choices if name] if form else []
    for name in offered:
        for everything in ("0", "1"):
            response = owner.post(
                url(model, "changelist"),
                {"action": name, "_selected_action": [str(row.pk)], "select_across": everything, "index": "0"},
            )
            assert response.status_code in {200, 302}
            assert foreign.show_in(response) == []
    owner.post(
        url(model, "changelist"),
        {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes", "index": "0"},
    )
    assert values(row) == before


@each_model
def test_a_viewer_sees_and_changes_nothing(model, client, own):
    viewer = log_in(client, own, Role.VIEWER)
    row = own.of[model]
    before = values(row)
    assert viewer.get(url(model, "changelist")).status_code == 200
    assert viewer.get(url(model, "change", row.pk)).status_code == 200
    assert viewer.get(url(model, "add")).status_code == 403
    assert viewer.post(url(model, "change", row.pk), {"name": "taken over"}).status_code == 403
    assert viewer.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    for verb in getattr(admin.site.get_model_admin(model), "verbs", ()):
        assert viewer.post(url(model, "do", row.pk, verb.name)).status_code == 403
    assert values(row) == before


ADDED = [
    model
    for model, its_admin in ((model, admin.site.get_model_admin(model)) for model in TENANTS)
    if its_admin.add_role is not None and not isinstance(its_admin, OperatorsWrite)
]


@pytest.mark.parametrize("model", ADDED, ids=lambda model: model.__name__)
def test_nothing_is_added_where_one_only_looks(model, owner, own, foreign, rf):
    """Whatever tenant a form arrives at, and by whatever way, the role in it is asked once more."""
    its_admin, request = admin.site.get_model_admin(model), rf.post(url(model, "add"))
    request.user = User.objects.get(email="owner@acme.example")
    Membership.objects.create(user=request.user, tenant=foreign.world.tenant, role=Role.VIEWER)
    for rows, is_added in ((own, True), (foreign, False)):
        row = model._default_manager.get(pk=rows.of[model].pk)
        form = modelform_factory(model, fields=[])(instance=row)
        with nullcontext() if is_added else pytest.raises(PermissionDenied):
            its_admin.save_form(request, form, change=False)


@each_model
def test_a_person_without_a_tenant_sees_nothing(model, client, own):
    client.force_login(User.objects.create_user("stranger@example.com", is_staff=True))
    assert client.get(url(model, "changelist")).status_code == 403
    assert client.get(url(model, "change", own.of[model].pk)).status_code in {302, 403}
    assert own.show_in(client.get(reverse("admin:index"))) == []


@pytest.mark.parametrize("model", sorted(OPERATORS, key=lambda model: model.__name__), ids=lambda model: model.__name__)
def test_what_is_above_tenants_is_closed_to_owners(model, owner):
    assert owner.get(url(model, "changelist")).status_code == 403
    assert owner.get(url(model, "add")).status_code == 403
    assert (
        re.search(rf"/{model._meta.app_label}/{model._meta.model_name}/", owner.get("/admin/").content.decode()) is None
    )


@each_model
def test_secrets_cannot_be_asked_for_by_filtering(model, manager, own, foreign):
    for name in admin.site.get_model_admin(model).secret_fields:
        response = manager.get(url(model, "changelist"), {f"{name}__startswith": "a"})
        assert response.status_code == 400


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model.__name__)
def test_a_superuser_opens_every_page(model, admin_client, own, foreign):
    assert admin_client.get(url(model, "changelist")).status_code == 200
    added = admin_client.get(url(model, "add"), {"provider": "simulator"})
    assert added.status_code == (
        200 if admin.site.get_model_admin(model).has_add_permission(added.wsgi_request) else 403
    )
    row = foreign.of.get(model) or (Installation.objects.get() if model is Installation else None)
    if row is not None:
        listed = admin_client.get(url(model, "changelist"), {"q": str(row.pk)} if model is Dispatch else {})
        assert row.pk in {each.pk for each in listed.context["cl"].result_list}
        assert admin_client.get(url(model, "change", row.pk)).status_code == 200
        assert admin_client.get(url(model, "history", row.pk)).status_code == 200


def test_every_choice_of_every_model_is_among_the_registered_ones():
    """A foreign key to a model without an admin would have no one to scope its choices: it may be read-only at most."""
    for model in TENANTS:
        for field in (*model._meta.fields, *model._meta.many_to_many):
            is_choice = isinstance(field, models.ForeignKey | models.ManyToManyField)
            if is_choice and field.related_model not in admin.site._registry and field.name not in UNUSED:
                assert admin.site.get_model_admin(model).add_role is None or not field.editable, (model, field.name)
