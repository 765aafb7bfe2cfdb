"""Imports: a CSV file becomes recipients on a list, resumable, watched, and the same when run again.

A run holds a lease and commits chunk by chunk, each with the line behind which the next one starts; whoever finds a
lease that is over goes on there. Within a file the first row of a number counts. Imported fields replace fields of
the same name and leave the others; a zone that was told is never replaced by a guess; suppression and consent are
not touched. Paths on the server are for operators: the API's edge offers files of the storage only.
"""

import csv
import hashlib
import io
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import structlog
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Count

from campaigns import csv_layout, import_columns, import_rows, import_staging
from campaigns.csv_layout import Layout, UnreadableFile
from campaigns.csv_reader import Reader
from campaigns.import_columns import Columns
from campaigns.import_options import Options, check_columns
from campaigns.models import Import, RecipientList, RefusedRow
from campaigns.models.recipient import SeenNumber
from smsplatform.common import database, phone
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Tenant

log = structlog.get_logger(__name__)

CHUNK_ROWS: Final = 10_000
LEASE: Final = timedelta(seconds=60)
MAX_STARTS: Final = 5
"""So often may a run die at one place before the import is given up: a poison row must not loop for ever."""
KEPT_AFTER_FAILURE: Final = timedelta(days=7)
_PAGE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is; the counters add up: read = new + changed + same + duplicate + refused."""

    read_bytes: int
    total_bytes: int
    read: int
    new: int
    changed: int
    same: int
    duplicate: int
    refused: int
    flagged: int
    suppressed: int


class _LeaseLostError(Exception):
    """Another worker runs this import, or nobody may any more."""
