"""Gives each link of a message its short code, and sends who follows it on."""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand
from tracking import shortening


def host(brand: Brand) -> str:
    """Return the host of the brand's short links."""
    own: str = brand.link_domain or settings.LINK_DOMAIN
    return own


def base_url(brand: Brand) -> str:
    """Return what stands before the code, without a slash at the end."""
    return f"{settings.LINK_SCHEME}://{host(brand)}"


def shorten(
    *, tenant: int, brand: Brand, wanting: Sequence[tuple[uuid.UUID, str, Any]], now: datetime
) -> dict[uuid.UUID, str]:
    """Store the links of these (dispatch, text with placeholders, destinations) and return the finished texts.

    Codes are unique per dispatch and position, so a repeated stage finds its own again. Two statements.
    """
    if not wanting:
        return {}
    made = [
        (dispatch_id, position, url, shortening.new_code())
        for dispatch_id, _, urls in wanting
        for position, url in enumerate(json.loads(urls) if isinstance(urls, str) else urls)
    ]
    rows(
        """
        INSERT INTO tracking_link (code, host, tenant_id, dispatch_id, position, destination, created_at, expires_at)
        SELECT l.code, %(host)s, %(tenant)s, l.id, l.position, l.url, %(now)s, %(expires)s
        FROM unnest(%(ids)s::uuid[], %(positions)s::int[], %(urls)s::text[], %(codes)s::text[])
          AS l(id, position, url, code)
        ON CONFLICT (dispatch_id, position) DO NOTHING
        """,
        {
            "host": host(brand),
            "tenant": tenant,
            "now": now,
            "expires": now + settings.LINK_LIFE,
            "ids": [row[0] for row in made],
            "positions": [row[1] for row in made],
            "urls": [row[2] for row in made],
            "codes": [row[3] for row in made],
        },
    )
    codes = dict(
        rows(
            "SELECT dispatch_id, array_agg(code ORDER BY position) FROM tracking_link WHERE dispatch_id = ANY(%s) GROUP BY 1",
            [[row[0] for row in wanting]],
        )
    )
    return {dispatch_id: shortening.fill_in(text, codes[dispatch_id]) for dispatch_id, text, _ in wanting}
