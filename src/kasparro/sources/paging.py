"""How an API hands out its pages, as the user declares it.

Every declaration must know when to stop: one that could walk for ever is refused when it is read.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from kasparro.sources.api_path import steps_of

_STRICT = ConfigDict(extra="forbid")


def _readable(text: str) -> str:
    steps_of(text)
    return text


PathText = Annotated[str, AfterValidator(_readable)]
Where = Annotated[
    Literal["query", "body"],
    Field(alias="in", description="Sent in the query, or set in the JSON or form body, where names may be paths."),
]
Size = Annotated[int | None, Field(ge=1, description="Records asked for per page; unset: as the API likes.")]
StopOnEmpty = Annotated[bool, Field(description="A page without records is the last one.")]
Total = Annotated[PathText | None, Field(description="Path to the number of all records.")]
HasMore = Annotated[PathText | None, Field(description="Path to a value that is true while pages follow.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auto:
    """Find out from the first answer."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    type: Literal["auto"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class SinglePage:
    """One answer holds everything."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    type: Literal["single_page"] = "single_page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """`offset=200&limit=100`. The offset grows by the records received, so a clamped page size loses nothing."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    type: Literal["offset"] = "offset"
    size: Size = 100
    size_param: str = "limit"
    offset_param: str = "offset"
    start: Annotated[int, Field(ge=0, description="Offset of the first record.")] = 0
    send_first: Annotated[bool, Field(description="Send the offset with the first request too.")] = True
    total: Total = None
    has_more: HasMore = None
    stop_on_empty: StopOnEmpty = True
    place: Where = "query"

    def __post_init__(self) -> None:
        _must_end(known=(self.total, self.has_more), stop_on_empty=self.stop_on_empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumber:
    """`page=3&per_page=100`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    type: Literal["page_number"] = "page_number"
    size: Size = None
    size_param: str = "per_page"
    page_param: str = "page"
    start: Annotated[int, Field(ge=0, description="Number of the first page, mostly 1 or 0.")] = 1
    send_first: Annotated[bool, Field(description="Send the number with the first request too.")] = True
    total: Total = None
    total_pages: Annotated[PathText | None, Field(description="Path to the number of all pages.")] = None
    has_more: HasMore = None
    stop_on_empty: StopOnEmpty = True
    place: Where = "query"

    def __post_init__(self) -> None:
        _must_end(known=(self.total, self.total_pages, self.has_more), stop_on_empty=self.stop_on_empty)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A token of each answer asks for the next one. Only a missing or null token ends, unless told otherwise."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    type: Literal["cursor"] = "cursor"
    cursor: Annotated[
        PathText | None, Field(description="Path to the token; an object there is sent back key by key.")
    ] = None
    cursor_header: Annotated[str | None, Field(description="Answer header that holds the token.")] = None
    param: Annotated[str, Field(description="Parameter that takes the token.")] = "cursor"
    first: Annotated[str | int | None, Field(description="Token of the first request, such as `*`.")] = None
    end_values: Annotated[
        tuple[str | int, ...], Field(description='Tokens that mean the end, such as `""` or `"0"`.')
    ] = ()
    has_more: HasMore = None
    size: Size = None
    size_param: str = "limit"
    place: Where = "query"

    def __post_init__(self) -> None:
        if (self.cursor is None) == (self.cursor_header is None):
            raise ValueError("name where the token is: either `cursor` (a path) or `cursor_header`")


@dataclass(frozen=True, slots=True, kw_only=True)
class NextUrl:
    """Each answer holds the address of the next one. Missing, null or empty ends."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    type: Literal["next_url"] = "next_url"
    next: Annotated[PathText, Field(min_length=1, description="Path to the address, relative or absolute.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderLink:
    """`Link: <…>; rel="next"`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    type: Literal["header_link"] = "header_link"
    rel: str = "next"


Paging = Auto | SinglePage | Offset | PageNumber | Cursor | NextUrl | HeaderLink


def _named(value: Any) -> Any:  # noqa: ANN401 - whatever the configuration holds
    return {"type": value} if isinstance(value, str) else value


Pagination = Annotated[Annotated[Paging, Field(discriminator="type")], BeforeValidator(_named)]
"""A declaration, or just its type: `pagination: single_page`."""


def _must_end(*, known: tuple[str | None, ...], stop_on_empty: bool) -> None:
    if not stop_on_empty and all(path is None for path in known):
        raise ValueError("would never stop: give a path such as `total` or `has_more`, or keep `stop_on_empty`")
