"""A page: what one read of a source returned, and the bookmark to resume after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Bookmark = Mapping[str, Any]
"""Where to go on: a JSON object that only the source kind that wrote it understands. Empty means from the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that could not become a row.

    Attributes:
        place: Where it came from: `file.csv:12`, or `https://host/path#3` (index from 0).
        path: The field or column at fault, where one is.
        code: Stable slug of the reason: `width`, `quote`, `encoding`, `not_integer`, `required`, ...
        reason: One sentence for a person.
        value: The offending value as text, where one is.
        raw: The record as received; bytes that are not text are shown as `\\xNN`.
        index: Its position among the sound records of the page; None where it is not one of them.
        page: Position of its page in the batch.
    """

    place: str
    path: str | None = None
    code: str
    reason: str
    value: str | None = None
    raw: str
    index: int | None = None
    page: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRecords:
    """Sound CSV records of one byte range: every one has exactly `len(columns)` cells.

    Attributes:
        columns: Unique column names, in order. The header line is not among the records.
        delimiter: One byte, such as `,`.
        quote: One byte, such as `"`; None where the file has no quoting.
        text: What the parser reads: UTF-8, each record ended by one `\\n`, no blank lines.
        content: The same records verbatim, as they are stored.
        starts: Offset of each record in `content`, and the end of the last one: `len(records) + 1` numbers.
        lines: First physical line of each record, counted from 1 in the file.
        null_values: Unquoted cells with one of these texts are null. A quoted empty cell is an empty text.
        indexes: Where they stand in the stored page, when they are only some of its records.
    """

    columns: tuple[str, ...]
    delimiter: str
    quote: str | None
    text: bytes
    content: bytes
    starts: Sequence[int]
    lines: Sequence[int]
    origin: str
    null_values: tuple[str, ...] = ("",)
    indexes: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def raw(self, index: int) -> str:
        """Return the text of one record as received."""
        piece = self.content[int(self.starts[index]) : int(self.starts[index + 1])]
        return piece.decode("utf-8", "backslashreplace").rstrip("\r\n")

    def place(self, index: int) -> str:
        """Return where the record stands: file and line."""
        return f"{self.origin}:{int(self.lines[index])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRecords:
    """Records of one JSON answer.

    Attributes:
        texts: Each record verbatim: UTF-8 JSON that a strict parser has accepted.
        steps: Where the list of records stands in the stored content; empty when the content is the list itself. If
            what stands there is not a list, it is the one record.
        first: Index of the first of them, for `place`.
        indexes: Where they stand in the stored page, when they are only some of its records.
    """

    texts: Sequence[bytes]
    steps: tuple[str | int, ...] = ()
    origin: str
    first: int = 0
    indexes: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def raw(self, index: int) -> str:
        """Return the text of one record as received."""
        return bytes(self.texts[index]).decode("utf-8", "backslashreplace")

    def place(self, index: int) -> str:
        """Return where the record stands: address and index."""
        return f"{self.origin}#{self.first + (index if self.indexes is None else self.indexes[index])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPage:
    """A page as `raw_page` keeps it.

    Attributes:
        number: Its number there.
        kind: Of the source that it came from.
        layout: How the content is cut into records, and where they came from: as `store.raw_pages` wrote it.
        place: Resumes after it, among the stored pages of its source.
        wanted: Positions of the records that are asked for; None is all of them.
    """

    number: int
    kind: str
    origin: str
    content_type: str
    layout: Mapping[str, Any]
    content: bytes
    place: Bookmark
    wanted: Sequence[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one read returned.

    Attributes:
        content: The sound records verbatim as UTF-8, as `raw_page` stores them: a CSV range, a JSON answer. No NUL.
        content_type: `text/csv` or `application/json`.
        records: The same, cut into records for the shaper.
        rejects: Records that the source itself could not read soundly.
        bookmark: Resumes after this page.
        origin: File path, or URL without secrets.
        bytes_read: Bytes taken from the source for this page.
        done: Share of the slice read so far, 0 to 1, where the whole is known.
        stored: Number under which it is in `raw_page` already; None for a page that comes from outside.
    """

    content: bytes
    content_type: str
    records: CsvRecords | JsonRecords
    rejects: tuple[Reject, ...] = ()
    bookmark: Bookmark = field(default_factory=dict)
    origin: str
    bytes_read: int
    done: float | None = None
    stored: int | None = None
