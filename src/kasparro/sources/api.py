"""JSON over HTTP.

An API hands out its records in pages, and says in one of many ways where the next page is. A token of the next page may
be `0` or empty, so only its absence ends the walk; the high-water mark may not pass records that nobody has seen, so it
moves when the last page has been read; and a status of 200 does not mean that all is well.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from kasparro.errors import Misconfigured
from kasparro.model.page import Bookmark, Page
from kasparro.model.source import Slice
from kasparro.sources.api_path import Where, steps_of
from kasparro.sources.auth import Auth
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.http_url import origin, userinfo
from kasparro.sources.paging import Auto, Cursor, Offset, PageNumber, Pagination, PathText
from kasparro.sources.tools import Tools

Simple = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Records of a JSON API."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    natural_key: ClassVar[tuple[str, ...]] = ()
    well_known: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "title": ("title", "name", "headline", "label", "symbol"),
        "description": ("description", "summary", "body", "content", "text"),
        "url": ("url", "html_url", "link", "href"),
        "value": ("value", "price", "amount", "total"),
        "occurred_at": (
            *("occurred_at", "timestamp", "updated_at", "created_at", "date"),
            *("last_updated", "published_at", "time"),
        ),
    }

    type: Literal["api"] = "api"
    url: Annotated[str, Field(description="Address of the first page, with http:// or https://.")]
    method: Annotated[Literal["GET", "POST"], Field(description="How it is asked.")] = "GET"
    params: Annotated[
        Mapping[str, Simple | tuple[Simple, ...]],
        Field(description="Query parameters; one that `url` already has is replaced, a list is sent several times."),
    ] = field(default_factory=dict, repr=False)
    headers: Annotated[Mapping[str, str], Field(description="Headers, sent to this API only.")] = field(
        default_factory=dict, repr=False
    )
    json: Annotated[Any, Field(description="Body of a POST, sent as JSON.")] = field(default=None, repr=False)
    form: Annotated[Mapping[str, Simple] | None, Field(description="Body of a POST, sent form-encoded.")] = field(
        default=None, repr=False
    )
    records: Annotated[
        PathText | None,
        Field(description='Path to the records: `data.items`, `quotes.*`; "" is the whole answer. Unset: found.'),
    ] = None
    pagination: Annotated[Pagination, Field(description="How pages follow each other.")] = field(default_factory=Auto)
    max_pages: Annotated[int, Field(ge=1, description="Most pages of one run; more make the run fail at the end.")] = (
        100_000
    )
    cursor_field: Annotated[
        PathText | None,
        Field(description="Path, in a record, to the value that tells new from old: read only newer ones."),
    ] = None
    cursor_param: Annotated[
        str | None, Field(description="Parameter that takes the mark; without it, older records are dropped here.")
    ] = None
    cursor_in: Annotated[Literal["query", "body"], Field(description="Where `cursor_param` is set.")] = "query"
    cursor_start: Annotated[Simple | None, Field(description="Mark of the very first run.")] = None
    cursor_end: Annotated[
        Simple | None, Field(description="Records whose cursor value is higher are left out. Unset: none.")
    ] = None
    cursor_end_param: Annotated[
        str | None, Field(description="Parameter that takes `cursor_end`, set where `cursor_in` says.")
    ] = None
    cursor_format: Annotated[
        str | None,
        Field(
            description="How a date is sent: `iso`, `epoch`, `epoch_ms` or like `%Y-%m-%d`. Unset: as in the records."
        ),
    ] = None
    lookback: Annotated[
        float, Field(ge=0, description="How far before the mark to read again: seconds of a date, units of a number.")
    ] = 0.0
    error: Annotated[
        PathText | None,
        Field(description='Path that holds something only when a 200 is a failure; "" never. Unset: the usual ones.'),
    ] = None
    ignore_status: Annotated[
        tuple[int, ...], Field(description="Statuses that mean no (more) records, such as 404.")
    ] = ()
    auth: Annotated[Auth | None, Field(description="Credentials, sent to this API only.")] = None
    http: Annotated[HttpOptions, Field(description="Limits and retries.")] = field(default_factory=HttpOptions)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def complete(self) -> bool:
        """Whether a read from the beginning brings all that there is: not where it is to begin or end somewhere."""
        return self.cursor_start is None and self.cursor_end is None

    async def slices(self, tools: Tools) -> Sequence[Slice]:  # noqa: ARG002 - what every kind offers
        """Return the one slice: pages follow each other."""
        return (Slice(name="all"),)

    def read(self, part: Slice, bookmark: Bookmark, tools: Tools) -> AsyncIterator[Page]:  # noqa: ARG002 - same
        """Yield the pages after the bookmark.

        Raises:
            Broken: the pages go in a circle, or more than `max_pages`; what was yielded before stays good.
            SchemaBroken: the records are not where they were said to be.
            Misconfigured: the answer has several lists.
        """
        from kasparro.sources.api_read import pages  # noqa: PLC0415 - loads parsers: not before something is asked

        return pages(self, bookmark, tools)


def _check(api: Api) -> None:
    """Refuse what cannot work. Raises ValueError, which the configuration reports with file and line."""
    try:
        origin(userinfo(api.url)[0])
    except (Misconfigured, ValueError) as error:
        raise ValueError("url must look like https://host/path") from error
    for path in (api.cursor_field, api.error):
        steps_of(path or "")
    if any(isinstance(step, Where) for step in steps_of(api.records or "")):
        raise ValueError("`records` cannot hold a condition such as [key=text]")
    if api.method == "GET" and (api.json is not None or api.form is not None):
        raise ValueError("a body (`json` or `form`) needs `method: POST`")
    if api.json is not None and api.form is not None:
        raise ValueError("a body is either `json` or `form`")
    if api.cursor_field is None:
        for name in ("cursor_param", "cursor_end", "cursor_end_param"):
            if getattr(api, name) is not None:
                raise ValueError(f"`{name}` needs `cursor_field`, which says what the mark is")
    in_body = isinstance(api.pagination, Offset | PageNumber | Cursor) and api.pagination.place == "body"
    if api.method == "GET" and (in_body or api.cursor_in == "body"):
        raise ValueError("`in: body` needs `method: POST`")
