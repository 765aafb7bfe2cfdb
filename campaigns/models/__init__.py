"""The product's tables; each file is one part of a message's life."""

from campaigns.models.campaign import Campaign, Canary, Lane, Run, Template, TemplateVersion
from campaigns.models.dispatch import Attempt, Batch, Dispatch, SendLock, TallyDelta, Trouble
from campaigns.models.event import (
    Conversation,
    ProviderMessage,
    RawEvent,
    Receipt,
    Reply,
    ReviewedReply,
    SeenEvent,
)
from campaigns.models.guard import Approval, Preflight
from campaigns.models.keyword import Keyword
from campaigns.models.recipient import Import, ListMember, Recipient, RecipientList, RefusedRow

__all__ = [
    "Approval",
    "Attempt",
    "Batch",
    "Campaign",
    "Canary",
    "Conversation",
    "Dispatch",
    "Import",
    "Keyword",
    "Lane",
    "ListMember",
    "Preflight",
    "ProviderMessage",
    "RawEvent",
    "Receipt",
    "Recipient",
    "RecipientList",
    "RefusedRow",
    "Reply",
    "ReviewedReply",
    "Run",
    "SeenEvent",
    "SendLock",
    "TallyDelta",
    "Template",
    "TemplateVersion",
    "Trouble",
]
