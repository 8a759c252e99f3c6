"""Named SQL: each `.sql` file in `sql/` holds statements, each behind a line `-- name: what it does`."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString

_HEAD = re.compile(r"^-- (\w+): .*$", re.MULTILINE)


@cache
def queries(file: str) -> Mapping[str, LiteralString]:
    """Return the statements of `sql/<file>.sql` by name."""
    text = files("kasparro.store").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    parts = _HEAD.split(text)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    # The texts ship with the package, which is what LiteralString is to guarantee.
    return MappingProxyType({name: body.strip() for name, body in pairs})  # type: ignore[misc,unused-ignore]
