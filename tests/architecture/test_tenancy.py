"""Every table says whose its rows are."""

import pytest
from django.apps import apps
from django.db import models

from smsplatform.common.database import rows
from tests.architecture import source

# Rows that stand above tenants, and why.
OF_NOBODY = {
    "tenancy.Tenant": "is the tenant",
    "tenancy.User": "a person may work for several tenants; their memberships say for which",
    "tenancy.Installation": "the one row about the whole installation",
    "compliance.RegionalHold": "a state's emergency holds for every tenant; operators enter it",
    "tenancy.RetentionMark": "up to where tables are done, for all tenants that keep them equally long",
}
# Rows that live only as long as another one, which names the tenant.
OF_A_PARENT = {"campaigns.SeenNumber": "source"}
# Rows that may belong to a tenant or to all of them, and why.
OF_SOMEBODY_OR_ALL = {
    "compliance.Suppression": "a platform-wide one stands above tenants; a constraint ties scope and tenant together",
    "compliance.Limit": "one of the whole platform stands above tenants; a constraint ties subject and tenant together",
    "compliance.CapWindow": "the window of a limit of the whole platform",
    "compliance.NotTextable": "what an operator says of a number holds for everybody",
    "tenancy.AuditEvent": "what operators do to the installation belongs to no tenant",
    "tenancy.AuditSeal": "seals such events, too",
}
OURS = [model for model in apps.get_models() if model.__module__.split(".")[0] in source.PACKAGES]


def test_the_models_are_found():
    assert {model._meta.label for model in OURS} > {"campaigns.Dispatch", "compliance.Permit", "tracking.Link"}
    assert {*OF_NOBODY, *OF_SOMEBODY_OR_ALL} <= {model._meta.label for model in OURS}


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_a_model_names_its_tenant(model: type[models.Model]):
    fields = {field.name: field for field in model._meta.get_fields()}
    if model._meta.label in OF_NOBODY:
        assert "tenant" not in fields
        return
    if model._meta.label in OF_A_PARENT:
        parent = fields[OF_A_PARENT[model._meta.label]]
        assert parent.remote_field.on_delete is models.CASCADE
        assert not parent.null
        fields = {field.name: field for field in parent.related_model._meta.get_fields()}
    assert isinstance(fields["tenant"], models.ForeignKey)
    assert fields["tenant"].related_model is apps.get_model("tenancy.Tenant")
    assert fields["tenant"].null is (model._meta.label in OF_SOMEBODY_OR_ALL)


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_so_does_its_table(model: type[models.Model]):
    """The hot tables are made in SQL, so the model alone proves nothing."""
    found = dict(
        rows(
            "SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [model._meta.db_table],
        )
    )
    assert found
    if model._meta.label not in OF_NOBODY | OF_A_PARENT:
        assert found["tenant_id"] is (model._meta.label not in OF_SOMEBODY_OR_ALL)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_deleting_a_tenant_never_deletes_its_history(model: type[models.Model]):
    """Memberships, the work list of troubles and the state of breakers go with the tenant; whatever happened stays."""
    if model._meta.label in OF_NOBODY | OF_A_PARENT:
        return
    tenant = model._meta.get_field("tenant")
    if tenant.remote_field.on_delete is models.CASCADE:
        assert model._meta.label in {"tenancy.Membership", "campaigns.Trouble", "providers.AccountHealth"}
