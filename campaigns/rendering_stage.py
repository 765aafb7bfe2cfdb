"""Renders a batch: each queued row's text, its segments, and until when what was checked holds.

The text is the one in the person's language; it is encoded as it will be sent, gets the STOP line where the person is
due to be told, and is counted last.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings

from campaigns import hosts, opt_out_links, rendering
from campaigns.models import Batch, Run
from campaigns.rendering import CompiledText
from campaigns.states import State
from campaigns.verbs import ZONES, Rendered
from compliance import languages, policy, segments, smart, stop_lines
from compliance.policy import Category, Rule
from compliance.quiet_hours import Window
from smsplatform.common.database import keys_of, rows
from smsplatform.tenancy.models import Brand, ConsentKept, Tenant
from tracking import links, shortening

_NOT_DUE: Final = "false"


@dataclass(frozen=True, slots=True)
class Writer:
    """How the texts of one brand and one template version are made; made once per batch, or for a preview."""

    texts: Mapping[str, CompiledText]  # by language, "" for everybody else's; empty: rows bring their own
    smart: bool
    accents: bool
    most_segments: int
    banned: frozenset[str]
    stop_lines: Mapping[str, str]  # the brand's own

    def write(
        self, fields: Mapping[str, object], *, language: str = "", own: str = "", is_stop_due: bool = False
    ) -> str:
        """Return a person's text as it is sent but for its links. Raises rendering.RenderError."""
        chosen = languages.choose(language, self.texts) if len(self.texts) > 1 else ""
        text = rendering.render(self.texts[chosen], fields) if self.texts else own
        text = smart.encode(text, smart=self.smart, accents=self.accents)
        if is_stop_due and not stop_lines.tells_stop(text):
            return stop_lines.add(text, stop_lines.line(language=chosen, own=self.stop_lines))
        return text


def writer(brand: Brand, sources: Mapping[str, str]) -> Writer:
    """Return the writer of a brand's texts. `sources` are templates by language, "" for everybody else's."""
    return Writer(
        texts={language: rendering.compile_text(source) for language, source in sources.items()},
        smart=brand.tenant.has_smart_encoding,
        accents=brand.tenant.strips_accents,
        most_segments=most_segments(brand.max_segments),
        banned=banned_hosts(brand.tenant),
        stop_lines=brand.stop_lines,
    )


def most_segments(own: int | None) -> int:
    """Return the limit of a brand with this one of its own, which can only be stricter."""
    limit: int = settings.MAX_SEGMENTS
    return limit if own is None else min(own, limit)


def banned_hosts(tenant: Tenant) -> frozenset[str]:
    """Return the hosts that the tenant has banned, as hosts are compared."""
    return frozenset(host.strip(" .").lower() for host in tenant.banned_hosts if host.strip(" ."))


def adds_stop_line(batch: Batch) -> bool:
    """Return whether people are told how to end the texts; what they asked for a moment ago does not tell them."""
    return batch.brand.adds_stop_line and batch.run.category == Category.MARKETING


def render(batch: Batch, windows: Mapping[str, Window] | None, now: datetime) -> list[Rendered]:
    """Return the text, or the rule that forbids it, for each queued row. One statement; errors are per row."""
    with_line = adds_stop_line(batch)
    version = batch.run.version
    writes = writer(batch.brand, {"": version.source, **version.texts} if version else {})
    base = links.base_url(batch.brand)
    join, consent_until, parameters = policy.consent_until(
        category=Category(batch.run.category), now=now, is_consent_here=batch.brand.consent_kept == ConsentKept.HERE
    )
    queued = rows(
        f"""
        SELECT d.id, d.text, r.fields, r.language, {ZONES}, least(d.expires_at, {consent_until}),
          {stop_lines.IS_DUE if with_line else _NOT_DUE}
        FROM campaigns_dispatch d LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id{join}
          {stop_lines.JOIN if with_line else ""}
        WHERE d.batch_id = %(batch)s AND d.id >= %(lowest)s AND d.id < %(above)s AND d.state = 'queued' ORDER BY d.id
        """,
        {"batch": batch.pk, "told_before": stop_lines.told_before(now), **keys_of(batch.run_id), **parameters},
    )
    rendered = []
    for dispatch_id, own_text, fields, language, zones, expires_at, is_stop_due in queued:
        window = windows.get(zones) if windows is not None else None
        if windows is not None and window is None:
            continue  # its place changed since the windows were computed: the next turn knows it
        until = min(expires_at, window.until) if window is not None and window.until else expires_at
        values = json.loads(fields) if isinstance(fields, str) else fields or {}
        row = _written(
            dispatch_id, values, writes, base, until, language=language or "", own=own_text, is_stop_due=is_stop_due
        )
        rendered.append(row._replace(zones=zones))
    return rendered


def remember_stop_lines(batch: Batch, now: datetime) -> None:
    """Store whom this batch's texts have told how to end them. One statement; what fails here is only told again."""
    if batch.run.category == Category.TRANSACTIONAL:
        return
    stop_lines.remember(
        given="""
          SELECT d.tenant_id, d.brand_id, d.number, d.text, d.accepted_at AS at FROM campaigns_dispatch d
          WHERE d.batch_id = %(batch)s AND d.id >= %(lowest)s AND d.id < %(above)s
            AND d.state IN ('accepted', 'delivered') AND d.accepted_at IS NOT NULL""",
        parameters={"batch": batch.pk, **keys_of(batch.run_id)},
        now=now,
    )


def sample(run: Run, writes: Writer, fields: dict[str, Any], *, language: str, is_stop_due: bool) -> Rendered:
    """Return what a person with these fields and language would be sent in the run, or the rule that forbids it."""
    nobody = uuid.UUID(int=0)
    return _written(
        nobody, fields, writes, links.base_url(run.brand), run.launched_at, language=language, is_stop_due=is_stop_due
    )


def _written(
    dispatch_id: uuid.UUID,
    values: Mapping[str, Any],
    writes: Writer,
    base: str,
    until: datetime,
    *,
    language: str,
    is_stop_due: bool,
    own: str = "",
) -> Rendered:
    values = opt_out_links.added(values, writes.texts.values(), base, dispatch_id)
    try:
        text = writes.write(values, language=language, own=own, is_stop_due=is_stop_due)
    except rendering.MissingField as error:
        return _blocked(dispatch_id, policy.MISSING_FIELD, str(error))
    except rendering.RenderError as error:
        return _blocked(dispatch_id, policy.BAD_TEXT, str(error))
    return _measured(dispatch_id, text, writes, base, until)


def _measured(dispatch_id: uuid.UUID, text: str, writes: Writer, base: str, until: datetime) -> Rendered:
    """Return the row with its links as placeholders and its segments counted, or the rule that the text breaks."""
    try:
        short, destinations = shortening.with_placeholders(text, base)
        if not text.strip():  # nothing was written, or its time of keeping is over
            return _blocked(dispatch_id, policy.BAD_TEXT, "the text is empty")
    except shortening.BadDestination as error:
        return _blocked(dispatch_id, policy.BAD_LINK, str(error))
    host = hosts.forbidden(text, destinations, writes.banned)
    if host:
        return _blocked(dispatch_id, policy.BAD_HOST, f"{host} must not be in a text")
    count = segments.count(short).segments
    if count > writes.most_segments:
        return _blocked(dispatch_id, policy.TOO_LONG, f"{count} segments, {writes.most_segments} are allowed")
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
