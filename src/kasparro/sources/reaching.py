"""Is a source there? What `kasparro doctor` asks: files are opened, addresses are asked once, nothing is read.

The request to an API is that of its first page, as what else it answers is not known; only its beginning is read.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kasparro.sources.api import Api
from kasparro.sources.api_request import as_text
from kasparro.sources.csv import Csv
from kasparro.sources.files import find, open_file
from kasparro.sources.http_url import with_params
from kasparro.sources.rss import Rss
from kasparro.sources.tools import Request

_URL = re.compile(r"https?://", re.IGNORECASE)

MOST = 10
"""Addresses of one source that are asked."""


def requests_of(kind: object) -> tuple[Request, ...]:
    """Return the requests that show whether a source answers, `MOST` at most; none where it is files."""
    match kind:
        case Api():
            url = with_params(kind.url, {name: _texts(value) for name, value in kind.params.items()})
            form = None if kind.form is None else {name: as_text(value) for name, value in kind.form.items()}
            expect = tuple(sorted({*kind.ignore_status}))
            return (Request(url=url, method=kind.method, json=kind.json, form=form, expect=expect),)
        case Rss():
            return (Request(url=kind.url),)
        case Csv():
            return tuple(Request(url=place) for place in _places(kind) if _URL.match(place))[:MOST]
        case _:
            return ()


def files_of(kind: object) -> tuple[str, ...]:
    """Return the paths and patterns of files of this machine that a source names."""
    return tuple(place for place in _places(kind) if not _URL.match(place)) if isinstance(kind, Csv) else ()


def look_at_files(patterns: tuple[str, ...], folder: Path) -> tuple[int, int]:
    """Open every file that the patterns stand for; return how many there are, and their bytes together. Blocks.

    Raises:
        NotFound, Misconfigured, Broken: one is not there, or cannot be read.
    """
    found = find(patterns, folder)
    size = 0
    for one in found:
        file = open_file(one.path, one.name)
        try:
            size += os.fstat(file).st_size
        finally:
            os.close(file)
    return len(found), size


def without_patience(kind: object, seconds: float) -> Mapping[str, Any]:
    """Return what is to be changed in the `http` of a kind, so that it asks once and waits only so long for an answer.

    With no deadline to wait in, one that asks to come back in a second is not asked again either.
    """
    options: Any = getattr(kind, "http", None)
    if options is None:
        return {}
    return {
        "attempts": 1,
        "retry_seconds": 0.0,
        "connect_timeout": min(options.connect_timeout, seconds),
        "read_timeout": min(options.read_timeout, seconds),
        "total_timeout": seconds,
    }


def _texts(value: Any) -> str | tuple[str, ...]:  # noqa: ANN401 - one value of a parameter, or several
    return tuple(map(as_text, value)) if isinstance(value, tuple | list) else as_text(value)


def _places(csv: Any) -> tuple[str, ...]:  # noqa: ANN401 - a Csv, as the callers know
    if csv.url is not None:
        return (csv.url,)
    return (csv.path,) if isinstance(csv.path, str) else tuple(csv.path or ())
