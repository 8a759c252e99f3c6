"""The kinds of sources there are, by the `type` that a configuration names."""

from collections.abc import Mapping
from types import MappingProxyType

from kasparro.sources.api import Api
from kasparro.sources.csv import Csv
from kasparro.sources.rss import Rss

KINDS: Mapping[str, type] = MappingProxyType({"csv": Csv, "api": Api, "rss": Rss})
