"""The file behind an import: opening it, telling whether it is still the same one, and saying why it is not there."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage

from campaigns.models import Import

_HEAD: Final = 65_536
Trouble: Final = (OSError, SuspiciousFileOperation)


@contextmanager
def opened(source: Import) -> Iterator[BinaryIO]:
    """Open the import's file for reading bytes; raises what `Trouble` lists."""
    if source.source == Import.Source.PATH:
        with Path(source.file).open("rb") as file:
            yield file
        return
    with default_storage.open(source.file, "rb") as stored:
        # Django's wrapper lacks what io.TextIOWrapper needs; the file inside has it.
        yield cast("BinaryIO", stored.file)


def size_of(file: BinaryIO) -> int:
    """Return the number of bytes in the file."""
    return file.seek(0, os.SEEK_END)


def fingerprint(source: Import, file: BinaryIO) -> str:
    """Return a text that changes when the file does: size, time of change, hash of its beginning."""
    size = size_of(file)
    file.seek(0)
    digest = hashlib.sha256(file.read(_HEAD)).hexdigest()[:32]
    return f"{size}:{_changed_at(source)}:{digest}"


def told(error: Exception, source: Import) -> str:
    """Return, for people, why the file cannot be read."""
    where = "on this server" if source.source == Import.Source.PATH else "in the file storage"
    if isinstance(error, FileNotFoundError):
        return f"there is no file {source.file!r} {where}; was it moved or deleted?"
    if isinstance(error, IsADirectoryError):
        return f"{source.file!r} is a folder, not a file"
    if isinstance(error, PermissionError):
        return f"this server may not read {source.file!r}; change the file's permissions and try again"
    if isinstance(error, SuspiciousFileOperation):
        return f"{source.file!r} lies outside the file storage"
    return f"{source.file!r} could not be read: {getattr(error, 'strerror', None) or error}"


def _changed_at(source: Import) -> str:
    try:
        if source.source == Import.Source.PATH:
            return str(Path(source.file).stat().st_mtime_ns)
        return default_storage.get_modified_time(source.file).isoformat()
    except NotImplementedError:
        return ""
