"""CSV files, local or behind a URL.

A CSV file promises nothing: it may be rewritten under its name, still be written while it is read, end without a line
end, or have lines that shift all that follows. So the records of a range are screened before any parser sees them
(`csv_screen`), a bookmark is a place between two records together with a checksum of all that stands before it, and a
last line that may still grow is read again when it has.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from kasparro.errors import Misconfigured
from kasparro.model.page import Bookmark, Page
from kasparro.model.source import Slice
from kasparro.sources.auth import Auth
from kasparro.sources.csv_bookmark import Place, Version, digest, understood
from kasparro.sources.csv_options import Options, Target, unique
from kasparro.sources.files import Compression, find, reading, scratch_file
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.http_url import origin, userinfo
from kasparro.sources.tools import Request, Tools

_NOT_MODIFIED = 304
_URL = re.compile(r"https?://", re.IGNORECASE)
_SHAPING = tuple(one.name for one in fields(Options))
"""What is stated about the content: when any of it changes, the file is read from its start again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Csv:
    """Records of CSV files."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    complete: ClassVar[bool] = True
    natural_key: ClassVar[tuple[str, ...]] = ()
    well_known: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "title": ("title", "name", "headline", "label"),
        "description": ("description", "summary", "body", "content", "text"),
        "url": ("url", "link", "href", "html_url"),
        "value": ("value", "price", "amount", "total"),
        "occurred_at": (
            *("occurred_at", "timestamp", "created_at", "updated_at"),
            *("date", "datetime", "time", "published"),
        ),
    }

    type: Literal["csv"] = "csv"
    path: Annotated[
        str | tuple[str, ...] | None,
        Field(description="File, pattern (`data/sales-*.csv`, `**/*.csv`) or http(s) URL, or a list of them."),
    ] = None
    url: Annotated[str | None, Field(description="Address of the file, http:// or https://, instead of `path`.")] = None
    delimiter: Annotated[
        str | None, Field(min_length=1, max_length=1, description="One character between cells. Unset: recognised.")
    ] = None
    quote: Annotated[
        str | None, Field(max_length=1, description='Character around cells; "" for none. Unset: recognised.')
    ] = None
    header: Annotated[
        bool | None, Field(description="Whether the first line names the columns. Unset: yes, unless it is data.")
    ] = None
    columns: Annotated[
        tuple[str, ...], Field(description="Column names, where the file has none or others are wanted.")
    ] = ()
    skip_lines: Annotated[int, Field(ge=0, description="Lines to leave out before the header.")] = 0
    encoding: Annotated[str | None, Field(description="Such as `utf-8`, `cp1252`, `utf-16`. Unset: recognised.")] = None
    null_values: Annotated[tuple[str, ...], Field(description="Unquoted cells with one of these texts are null.")] = (
        "",
    )
    compression: Annotated[Compression, Field(description="How the file is compressed; `auto` looks at its start.")] = (
        "auto"
    )
    headers: Annotated[Mapping[str, str], Field(description="Headers, sent to the server of a URL.")] = field(
        default_factory=dict, repr=False
    )
    auth: Annotated[Auth | None, Field(description="Credentials, sent to the server of a URL.")] = None
    http: Annotated[HttpOptions, Field(description="Limits and retries of a URL.")] = field(default_factory=HttpOptions)

    def __post_init__(self) -> None:
        _check(self)

    async def slices(self, tools: Tools) -> Sequence[Slice]:
        """Return one slice for each file, in order of their names. The address of a URL is not in it, only its number.

        Raises:
            NotFound: a path or pattern stands for no file.
            Misconfigured: a path stands for a folder, or may not be seen.
        """
        remote = [number for number, text in enumerate(_places(self)) if _URL.match(text)]
        local = tuple(text for text in _places(self) if not _URL.match(text))
        found = await asyncio.to_thread(find, local, tools.folder)
        files = [Slice(name=file.name, facts={"path": str(file.path)}) for file in found]
        names = unique([tools.redact(_places(self)[number]) for number in remote])
        urls = [Slice(name=name, facts={"url": number}) for name, number in zip(names, remote, strict=True)]
        return tuple(sorted((*files, *urls), key=lambda part: part.name))

    async def read(self, part: Slice, bookmark: Bookmark, tools: Tools) -> AsyncIterator[Page]:
        """Yield the pages of one file after the bookmark; of a file that was rewritten, all of them.

        Raises:
            Broken, NotFound, Misconfigured: as `csv_open.open_csv` and `tools.http`.
        """
        stated = digest({name: getattr(self, name) for name in _SHAPING})
        known = understood(bookmark, stated)
        with ExitStack() as held:
            fetched = await _fetched(self, part, known, tools, held)
            if fetched is None:
                return
            from kasparro.sources.csv_read import Found, pages  # noqa: PLC0415 - loads numpy: not before there is news

            found = Found(version=fetched.version, trusted=fetched.trusted, stated=stated, known=known)
            async with aclosing(pages(fetched.target, found)) as made:
                async for page in made:
                    yield page


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    """A file that is at hand, and whether it is known to be the version that an earlier run read."""

    target: Target
    version: Version
    trusted: bool


async def _fetched(csv: Csv, part: Slice, known: Place | None, tools: Tools, held: ExitStack) -> _Fetched | None:
    """Return the file, or None where the version that was read to its end has not changed."""
    if "url" in part.facts:
        return await _downloaded(csv, part, known, tools, held)
    path = Path(part.facts["path"])
    with reading(part.name):
        status = await asyncio.to_thread(os.stat, path)
    version = Version(size=status.st_size, mtime_ns=status.st_mtime_ns)
    trusted = known is not None and known.version == version
    if trusted and known is not None and known.complete:
        return None
    return _Fetched(target=_target(csv, path, part.name, tools), version=version, trusted=trusted)


async def _downloaded(csv: Csv, part: Slice, known: Place | None, tools: Tools, held: ExitStack) -> _Fetched | None:
    path = await asyncio.to_thread(scratch_file, tools.scratch)
    held.callback(path.unlink, missing_ok=True)
    headers = {} if known is None or not known.complete else _conditions(known.version)
    request = Request(url=_places(csv)[part.facts["url"]], headers=headers, expect=(_NOT_MODIFIED,) if headers else ())
    answer = await tools.http.download(request, path)
    if answer.status == _NOT_MODIFIED:
        return None
    version = Version(etag=answer.headers.get("etag"), last_modified=answer.headers.get("last-modified"))
    return _Fetched(target=_target(csv, path, part.name, tools), version=version, trusted=False)


def _conditions(version: Version) -> dict[str, str]:
    validators = {"If-None-Match": version.etag, "If-Modified-Since": version.last_modified}
    return {name: value for name, value in validators.items() if value is not None}


def _target(csv: Csv, path: Path, origin: str, tools: Tools) -> Target:
    return Target(
        path=path,
        origin=origin,
        options=Options(**{one.name: getattr(csv, one.name) for one in fields(Options)}),
        scratch=tools.scratch,
        page_bytes=tools.page_bytes,
        page_records=tools.page_records,
    )


def _places(csv: Csv) -> tuple[str, ...]:
    """Return the paths, patterns and addresses that are declared."""
    if csv.url is not None:
        return (csv.url,)
    return (csv.path,) if isinstance(csv.path, str) else csv.path or ()


def _check(csv: Csv) -> None:
    """Refuse what cannot work. Raises ValueError, which the configuration reports with file and line."""
    if (csv.path is None) == (csv.url is None) or not all(_places(csv)) or not _places(csv):
        raise ValueError("name the file either by `path` or by `url`")
    if any("\0" in place for place in _places(csv)):
        raise ValueError("a path holds no NUL")
    if csv.url is not None and not _URL.match(csv.url):
        raise ValueError("`url` begins with http:// or https://; a file on this machine is named by `path`")
    _check_addresses(csv)
    for name, text in (("delimiter", csv.delimiter), ("quote", csv.quote)):
        if text and (not text.isascii() or text in "\r\n\0"):
            raise ValueError(f"`{name}` is one ASCII character, and no line end")
    if csv.delimiter is not None and csv.delimiter == csv.quote:
        raise ValueError("`delimiter` and `quote` are different characters")
    if len(set(csv.columns)) < len(csv.columns) or "" in csv.columns:
        raise ValueError("`columns` names each column once")
    try:
        "".encode(csv.encoding or "utf-8")
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"`encoding` {csv.encoding!r} is not known; utf-8, utf-16 and cp1252 are") from error


def _check_addresses(csv: Csv) -> None:
    try:
        for address in filter(_URL.match, _places(csv)):
            origin(userinfo(address)[0])
    except (Misconfigured, ValueError) as error:  # it may hold a secret, and is not shown
        raise ValueError("an address must look like https://host/path") from error
