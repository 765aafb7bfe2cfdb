"""Posting in tests: an envelope as sending makes it, and what the real poster's answers mean."""

import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime

from providers import delivery
from providers.adapters.base import Message
from providers.delivery import Envelope, Poster

CLAIMED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@contextmanager
def posting():
    """A poster of its own, with no connections yet."""
    made = Poster()
    try:
        yield made
    finally:
        made.close()


def message(*, to="+12125550100", sender="+18885550100", text="Hi", flight=1):
    return Message(f"{uuid.uuid4().hex}{flight:08x}", to, sender, text, 1, "")


def envelope(adapter, one=None, *, timeout=1.0, post_by=60.0):
    now = delivery.clock()
    by = (now, now + post_by, time.time() + post_by)
    return Envelope(uuid.uuid4(), 1, 1, adapter, one or message(), CLAIMED_AT, now, *by, timeout)


def answered(poster, *envelopes, again=lambda segments: [0.0] * len(segments)):
    """Post, and return the answers as they came."""
    answers = delivery.Answers()
    poster.post(envelopes, answers, again)
    return answers.take(len(envelopes), wait=20)


def posted(poster, *envelopes, **how):
    """Post, and return the meanings as they came."""
    return [answer.result for answer in answered(poster, *envelopes, **how)]
