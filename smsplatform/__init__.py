"""The project: wiring on top, foundations below, no product logic."""

import zoneinfo

from smsplatform.celery import app as celery_app

# zoneinfo prefers the operating system's zone files, which lag by months; the pinned `tzdata` decides.
zoneinfo.reset_tzpath(to=())

__all__ = ["celery_app"]
