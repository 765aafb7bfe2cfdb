"""Renders a batch: each queued row's text, its segments, and until when what was checked holds."""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from campaigns import rendering
from campaigns.models import Batch
from campaigns.states import State
from campaigns.verbs import ZONES, Rendered
from compliance import policy, segments
from compliance.policy import Rule
from compliance.quiet_hours import Window
from smsplatform.common.database import keys_of, rows
from tracking import links, shortening

MAX_SEGMENTS: Final = 10


def render(batch: Batch, windows: Mapping[str, Window] | None) -> list[Rendered]:
    """Return the text, or the rule that forbids it, for each queued row. One statement; errors are per row."""
    version = batch.run.version
    text = rendering.compile_text(version.source) if version else None
    base = links.base_url(batch.brand)
    queued = rows(
        f"""
        SELECT d.id, d.text, r.fields, {ZONES}, d.expires_at
        FROM campaigns_dispatch d LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id
        WHERE d.batch_id = %(batch)s AND d.id >= %(lowest)s AND d.id < %(above)s AND d.state = 'queued' ORDER BY d.id
        """,
        {"batch": batch.pk, **keys_of(batch.run_id)},
    )
    rendered = []
    for dispatch_id, own_text, fields, zones, expires_at in queued:
        window = windows.get(zones) if windows is not None else None
        if windows is not None and window is None:
            continue  # its place changed since the windows were computed: the next turn knows it
        until = min(expires_at, window.until) if window is not None and window.until else expires_at
        rendered.append(_row(dispatch_id, text, own_text, fields, base, until))
    return rendered


def _row(
    dispatch_id: uuid.UUID,
    compiled: rendering.CompiledText | None,
    own_text: str,
    fields: str | dict[str, Any] | None,
    base: str,
    until: datetime,
) -> Rendered:
    values = json.loads(fields) if isinstance(fields, str) else fields or {}
    try:
        text = rendering.render(compiled, values) if compiled else own_text
        short, destinations = shortening.with_placeholders(text, base)
    except rendering.MissingField as error:
        return _blocked(dispatch_id, policy.MISSING_FIELD, str(error))
    except rendering.RenderError as error:
        return _blocked(dispatch_id, policy.BAD_TEXT, str(error))
    except shortening.BadDestination as error:
        return _blocked(dispatch_id, policy.BAD_LINK, str(error))
    count = segments.count(short).segments
    if count > MAX_SEGMENTS:
        return _blocked(dispatch_id, policy.TOO_LONG, f"{count} segments, {MAX_SEGMENTS} are allowed")
    return Rendered(
        dispatch_id=dispatch_id,
        state=State.CLEARED,
        text=short,
        links=json.dumps(destinations) if destinations else None,
        segments=count,
        good_until=until,
    )


def _blocked(dispatch_id: uuid.UUID, rule: Rule, detail: str) -> Rendered:
    return Rendered(dispatch_id=dispatch_id, state=State.BLOCKED, reason=str(rule), detail=detail)
