"""How a text file of rows is written: encoding, delimiter, header, found by looking at it.

The whole file is read once for this, because one letter near its end decides between UTF-8 and Windows-1252, and a
wrong guess garbles names. Nobody is asked what only a programmer would know; whoever knows better can say so.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO, Final, Self

DELIMITERS: Final = (",", ";", "\t", "|")
SAMPLE_BYTES: Final = 65_536
SAMPLE_ROWS: Final = 500
_BLOCK: Final = 1 << 20
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_TEXT: Final = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"%PDF", "a PDF"),
)
_SEP_LINE: Final = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE).fullmatch


class UnreadableFileError(Exception):
    """The file cannot be imported at all; the message is for the person who uploaded it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file is written. `first_line` counts the lines before the first row of data."""

    encoding: str
    delimiter: str
    first_line: int = 0
    header: tuple[str, ...] = ()
    sample: tuple[tuple[str, ...], ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return what is stored with the import, so that a resumed one reads the file as the first run did."""
        return {key: value for key, value in asdict(self).items() if key != "sample"}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        return cls(**{**stored, "header": tuple(stored["header"])})


def find(
    file: BinaryIO,
    *,
    is_header: Callable[[tuple[str, ...]], bool],
    encoding: str = "",
    delimiter: str = "",
) -> Layout:
    """Return how the file is written; `is_header` judges its first row. Raises UnreadableFileError."""
    file.seek(0)
    head = file.read(SAMPLE_BYTES)
    if not head:
        raise UnreadableFileError("the file is empty")
    for magic, what in _NOT_TEXT:
        if head.startswith(magic):
            raise UnreadableFileError(f"this is not a text file but {what}; save it as CSV and upload that")
    encoding = encoding or _encoding(file, head)
    lines = _lines(head, encoding, is_whole=len(head) < SAMPLE_BYTES)
    skipped = 0
    told = _SEP_LINE(lines[0]) if lines else None
    if told is not None:
        delimiter, skipped, lines = delimiter or told[1], 1, lines[1:]
    delimiter = delimiter or _delimiter(lines)
    rows = list(_rows(lines, delimiter))
    if not rows:
        raise UnreadableFileError("the file has no rows, or begins with thousands of empty ones")
    if not is_header(rows[0][1]):
        sample = tuple(cells for _, cells in rows)
        return Layout(encoding, delimiter, skipped, (), sample)
    sample = tuple(cells for _, cells in rows[1:])
    return Layout(encoding, delimiter, skipped + rows[0][0], rows[0][1], sample)


def _encoding(file: BinaryIO, head: bytes) -> str:
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    even, odd = head[0:4096:2].count(0), head[1:4096:2].count(0)
    half = max(1, len(head[:4096]) // 2)
    # Latin text in UTF-16 has a zero in every second byte; one-byte encodings have none.
    if odd > half * 0.3 and odd > even * 4:
        return "utf-16-le"
    if even > half * 0.3 and even > odd * 4:
        return "utf-16-be"
    return "utf-8" if _is_utf8(file) else "cp1252"


def _is_utf8(file: BinaryIO) -> bool:
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := file.read(_BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _lines(head: bytes, encoding: str, *, is_whole: bool) -> list[str]:
    """The lines of the sample; the last one, when it may be cut in two, is left out."""
    try:
        text = head.decode(encoding, errors="ignore")
    except LookupError:
        raise UnreadableFileError(f"there is no encoding {encoding!r}") from None
    lines = list(io.StringIO(text, newline=""))
    return lines if is_whole or len(lines) < 2 else lines[:-1]  # noqa: PLR2004


def _rows(lines: list[str], delimiter: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Some rows that are not blank, each with the line it ends on."""
    reader = csv.reader(iter(lines), delimiter=delimiter)
    found = 0
    while found < SAMPLE_ROWS:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue
        if any(cell.strip() for cell in cells):
            found += 1
            yield reader.line_num, tuple(cells)


def _delimiter(lines: list[str]) -> str:
    """The delimiter that gives most rows the same number of columns; of equals the one that gives more columns."""
    best, best_fit = DELIMITERS[0], (0.0, 0)
    for delimiter in DELIMITERS:
        widths = Counter(len(cells) for _, cells in _rows(lines, delimiter))
        width, count = max(
            ((width, count) for width, count in widths.items() if width > 1),
            key=lambda pair: pair[1],
            default=(0, 0),
        )
        fit = (count / max(widths.total(), 1), width)
        if fit > best_fit:
            best, best_fit = delimiter, fit
    return best
