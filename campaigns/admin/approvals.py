"""The admin of approvals: read-only; they are asked for and given on the campaign's page."""

from typing import Any, ClassVar

from django.contrib import admin
from django.utils.safestring import SafeString

from campaigns import approvals
from campaigns.admin.tables import link
from campaigns.models import Approval
from smsplatform.common import database
from smsplatform.tenancy.admin_lists import BigTableAdmin, instant
from smsplatform.tenancy.admin_scope import Facts


@admin.display(description="campaign", ordering="campaign__name")
def _campaign(row: Approval) -> SafeString:
    return link("campaigns_campaign", row.campaign_id, row.campaign)


@admin.display(description="state")
def _state(row: Approval) -> str:
    return approvals.state(row, database.now())


@admin.register(Approval)
class ApprovalAdmin(Facts, BigTableAdmin):
    """Questions whether a campaign may go to so many people, and their answers."""

    list_display = (
        "id", _campaign, "people", _state, "asked_by", instant("asked_at"), "answered_by", instant("answered_at"), "reason",
    )  # fmt: skip
    list_select_related = ("campaign",)
    list_filter = ("answer",)
    ordering = ("-pk",)
    readonly_fields: ClassVar[Any] = (_campaign,)
    fields: ClassVar[Any] = (
        _campaign, "version", "people", "asked_by", "asked_at", "expires_at", "answer", "answered_by", "answered_at", "reason",
    )  # fmt: skip
