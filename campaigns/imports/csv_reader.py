"""Rows of a text file, one at a time, each with its line; a broken row is a value and never stops the others.

Reading goes on after a quotation mark that is never closed: the line that opened it is refused, and the next one is
read as a row again. So one wrong character costs one row, not the rest of the file.
"""

import csv
import io
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from campaigns.imports.csv_layout import Layout

MAX_ROW_CHARS: Final = 65_536
MAX_ROW_LINES: Final = 500
MAX_CELL_CHARS: Final = 2_000


class Record(NamedTuple):
    """One row: the line it starts on and its cells; `flaw` names what makes it unreadable (see FLAWS)."""

    line: int
    cells: list[str]
    flaw: str = ""


FLAWS: Final = {
    "bad_encoding": "there are characters that do not belong to the encoding of the file",
    "broken_quotes": "a quotation mark stands where none may stand",
    "field_too_long": f"a field is longer than {MAX_CELL_CHARS} characters",
    "nul_bytes": "there are zero bytes in the row",
    "row_too_long": f"the row is longer than {MAX_ROW_CHARS} characters",
    "unclosed_quote": "a quotation mark is opened here and not closed; reading went on with the next line",
}


class _EndlessError(Exception):
    """The record does not end within the limits."""


class Reader:
    """Iterates over the records of a file, without the blank ones.

    `lines_done` counts the lines up to and with the last record; another reader given it as `skip` goes on there.
    """

    def __init__(self, file: BinaryIO, layout: Layout, *, skip: int = 0) -> None:
        file.seek(0)
        self._file = file
        self._text = io.TextIOWrapper(file, layout.encoding, errors="replace", newline="")
        self._delimiter = layout.delimiter
        self._again: deque[str] = deque()
        self._record: list[str] = []
        self.lines_done = 0
        for _ in range(max(skip, layout.first_line)):
            if not self._line():
                break
            self.lines_done += 1

    @property
    def bytes_done(self) -> int:
        """How far into the file the reader has looked, a block or so ahead of the records."""
        return self._file.tell()

    def __iter__(self) -> Iterator[Record]:
        rows = self._rows()
        while True:
            self._record.clear()
            try:
                cells, flaw = next(rows), ""
            except StopIteration:
                return
            except (_EndlessError, csv.Error) as error:
                cells, flaw = [], self._refuse(error)
                rows = self._rows()
            line = self.lines_done + 1
            self.lines_done += len(self._record)
            text = "".join(cells)
            if flaw or text.strip():
                yield Record(line, cells, flaw or _flaw(cells, text))

    def _rows(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self._delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        chars = 0
        record = self._record
        while line := self._again.popleft() if self._again else self._line():
            if not record:
                chars = 0
            record.append(line)
            chars += len(line)
            if chars > MAX_ROW_CHARS or len(record) > MAX_ROW_LINES:
                raise _EndlessError
            yield line

    def _line(self) -> str:
        """The next line; of a longer one than a record may be, just so much that it is seen to be too long."""
        line = self._text.readline(MAX_ROW_CHARS + 1)
        if len(line) > MAX_ROW_CHARS:
            rest = line
            while rest and rest[-1] not in "\r\n":
                rest = self._text.readline(MAX_ROW_CHARS)
        return line

    def _refuse(self, error: Exception) -> str:
        """What is wrong with the first line of the record; its other lines are going to be read again."""
        first, *others = self._record
        self._again.extendleft(reversed(others))
        self._record[:] = [first]
        if len(first) > MAX_ROW_CHARS:
            return "row_too_long"
        is_open = others or isinstance(error, _EndlessError) or "end of data" in str(error)
        return "unclosed_quote" if is_open else "broken_quotes"


def _flaw(cells: list[str], text: str) -> str:
    if "\0" in text:
        return "nul_bytes"
    if "\ufffd" in text:
        return "bad_encoding"
    if len(text) > MAX_CELL_CHARS and max(map(len, cells)) > MAX_CELL_CHARS:
        return "field_too_long"
    return ""
