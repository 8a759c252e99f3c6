"""What a source is given to read with. Retry, limits, redirects and credentials live inside `tools.http`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kasparro.model.page import Bookmark, Page
from kasparro.model.redact import Redactor
from kasparro.model.source import Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request.

    Attributes:
        params: Query parameters set on the URL; one that the URL already has is replaced, never doubled.
        json: Body to send as JSON.
        form: Body to send form-encoded.
        expect: Statuses outside 2xx that are an answer and not an error, such as 304.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    expect: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, whole and decompressed.

    Attributes:
        url: The final URL after redirects. May hold secrets: pass it through `redact` before it is shown or stored.
        headers: Names in lower case.
        body: Empty for a download.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Http(Protocol):
    """An HTTP client that belongs to one source."""

    async def fetch(self, request: Request) -> Answer:
        """Return the answer. Raises Unreachable, RateLimited, Denied, NotFound, Broken or Misconfigured."""
        ...

    async def download(self, request: Request, target: Path) -> Answer:
        """Write the body to a file in constant memory and return the answer without it. Raises as `fetch`."""
        ...

    async def peek(self, request: Request) -> Answer:
        """Return the answer with no more than the beginning of its body. Raises as `fetch`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What assembly hands to a source.

    Attributes:
        source: Name of the source.
        scratch: Private folder for temporary files; removed when the run ends.
        folder: Relative paths of the declaration are resolved against it.
        page_records: Most records of a page, where the source can choose.
        page_bytes: Most bytes of a page, where the source can choose.
        redact: Masks secrets in a text.
    """

    source: str
    http: Http
    scratch: Path
    folder: Path
    page_records: int = 50_000
    page_bytes: int = 2 * 1024 * 1024
    redact: Redactor = field(default_factory=Redactor)


class Kind(Protocol):
    """What every class of configuration (`Csv`, `Api`, `Rss`) is.

    `complete`: a read from the beginning brings all that the source has; what it does not bring is gone.
    """

    type: str

    @property
    def complete(self) -> bool:
        """See above."""
        ...

    async def slices(self, tools: Tools) -> Sequence[Slice]:
        """Return the parts to read."""
        ...

    def read(self, part: Slice, bookmark: Bookmark, tools: Tools) -> AsyncIterator[Page]:
        """Yield the pages after the bookmark."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A kind with its tools: the Source that the ingestion reads."""

    kind: Kind
    tools: Tools

    async def slices(self) -> Sequence[Slice]:
        """Return the parts to read."""
        return await self.kind.slices(self.tools)

    def read(self, part: Slice, bookmark: Bookmark) -> AsyncIterator[Page]:
        """Yield the pages after the bookmark."""
        return self.kind.read(part, bookmark, self.tools)
