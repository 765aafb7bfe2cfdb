"""The product's tables; each file is one part of a message's life."""

from campaigns.models.campaign import Campaign, Lane, Run, Template, TemplateVersion
from campaigns.models.dispatch import Attempt, Batch, Dispatch, SendLock, TallyDelta, Trouble
from campaigns.models.event import ProviderMessage, RawEvent, Receipt, Reply, SeenEvent
from campaigns.models.recipient import Import, ListMember, Recipient, RecipientList, RefusedRow

__all__ = [
    "Attempt",
    "Batch",
    "Campaign",
    "Dispatch",
    "Import",
    "Lane",
    "ListMember",
    "ProviderMessage",
    "RawEvent",
    "Receipt",
    "Recipient",
    "RecipientList",
    "RefusedRow",
    "Reply",
    "Run",
    "SeenEvent",
    "SendLock",
    "TallyDelta",
    "Template",
    "TemplateVersion",
    "Trouble",
]
