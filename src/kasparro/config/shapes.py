"""What a configuration looks like apart from the kinds' own keys. Its descriptions go into JSON schema and docs."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from kasparro.model.contract import Word
from kasparro.model.dataset import NORMALIZED, FieldType

_STRICT = ConfigDict(extra="forbid")

FIELD_TYPES: tuple[str, ...] = ("text", "integer", "numeric", "float", "boolean", "timestamp", "date", "json")

TYPE_SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "string": "text",
        "str": "text",
        "varchar": "text",
        "int": "integer",
        "bigint": "integer",
        "decimal": "numeric",
        "number": "numeric",
        "double": "float",
        "real": "float",
        "bool": "boolean",
        "datetime": "timestamp",
        "timestamptz": "timestamp",
        "jsonb": "json",
        "object": "json",
    }
)
"""What other tools call the types."""

MOST_WAIT = 86_400
"""Seconds that a request may wait for its turn at most."""

LATER_KINDS = ("file", "database", "push", "singer")
"""Kinds of sources that have a name already, and no class yet."""

LATER_KEYS = ("lookback", "backfill")
"""Keys of a source that have a meaning already, and no effect yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldShape:
    """A field of a dataset with constraints."""

    __pydantic_config__ = _STRICT

    type: Annotated[FieldType, Field(description="What the values are.")] = "text"
    required: Annotated[bool, Field(description="A record without a value is rejected.")] = False
    min: Annotated[int | float | str | None, Field(description="Smallest number allowed, inclusive.")] = None
    max: Annotated[int | float | str | None, Field(description="Largest number allowed, inclusive.")] = None
    min_length: Annotated[int | None, Field(ge=0, description="Fewest characters of a text.")] = None
    max_length: Annotated[int | None, Field(ge=0, description="Most characters of a text.")] = None
    pattern: Annotated[str | None, Field(description="Regular expression (RE2) that the whole text must match.")] = None
    one_of: Annotated[tuple[str, ...] | None, Field(min_length=1, description="The texts allowed.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetShape:
    """A typed table of rows: `data.<name>`."""

    __pydantic_config__ = _STRICT

    fields: Annotated[
        Mapping[str, FieldType | FieldShape],
        Field(min_length=1, description="Columns by name: a type, or a type with constraints."),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShape:
    """Where the value of a field comes from: exactly one of `path`, `const` and `sql`."""

    __pydantic_config__ = _STRICT

    path: Annotated[
        str | tuple[str, ...] | None, Field(description="Raw path, or several: the first that holds a value is taken.")
    ] = None
    const: Annotated[str | int | float | bool | None, Field(description="The same text for every record.")] = None
    sql: Annotated[
        str | None, Field(description="DuckDB expression; `{path}` stands for a raw field: `upper({symbol})`.")
    ] = None
    format: Annotated[
        str | None, Field(description="How a timestamp or date is written, in strptime terms: `%d/%m/%Y`.")
    ] = None


Rule = str | tuple[str, ...] | RuleShape


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleShape:
    """When a source is to run: exactly one of `cron` and `every`."""

    __pydantic_config__ = _STRICT

    cron: Annotated[
        str | None,
        Field(
            description="Line of cron: minute, hour, day of month, month, weekday; or `@hourly`, `@daily`, `@weekly`, "
            "`@monthly`, `@yearly`.",
            examples=["0 6 * * MON-FRI"],
        ),
    ] = None
    every: Annotated[str | None, Field(description="Interval: 15m, 6h, 1d, 1w.", examples=["15m"])] = None
    timezone: Annotated[
        str | None,
        Field(
            description="Zone of the times of `cron`, such as Europe/Berlin. Unset: UTC.", examples=["Europe/Berlin"]
        ),
    ] = None
    jitter: Annotated[
        str | None, Field(description="A run begins up to so long after a due moment: 30s, 5m.", examples=["30s"])
    ] = None
    catch_up: Annotated[
        bool, Field(description="A due moment that passed while nothing ran sources is made up for, once.")
    ] = True
    grace: Annotated[
        str | None,
        Field(
            description="The source is late when no run has succeeded so long after a due moment: 10m, 2h. Unset: a "
            "quarter of the time between due moments, 10 minutes at least, and what its runs usually take.",
            examples=["30m"],
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitShape:
    """How often the provider of a source may be asked."""

    __pydantic_config__ = _STRICT

    requests: Annotated[
        str | None, Field(description="Requests in a time, several with commas.", examples=["10/s, 5000/h"])
    ] = None
    concurrency: Annotated[int | None, Field(ge=1, le=10_000, description="Most requests under way at a time.")] = None
    longest_wait: Annotated[
        str | Annotated[float, Field(ge=0, le=MOST_WAIT)] | None,
        Field(
            description="A request waits for its turn up to so long: 30s, 2m, or seconds. Where it would be longer, "
            "the run is parked. Unset: 60 seconds.",
            examples=["30s"],
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostShape:
    """How often a host may be asked, by all sources together and whatever their credentials."""

    __pydantic_config__ = _STRICT

    rate_limit: Annotated[
        str | None, Field(description="Requests in a time, several with commas.", examples=["10/s"])
    ] = None
    concurrency: Annotated[int | None, Field(ge=1, le=10_000, description="Most requests under way at a time.")] = None
    longest_wait: Annotated[
        str | Annotated[float, Field(ge=0, le=MOST_WAIT)] | None,
        Field(description="For sources without a `rate_limit` of their own, see there. Unset: 60 seconds."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractShape:
    """What becomes of records that do not have the accepted schema."""

    __pydantic_config__ = _STRICT

    fields: Annotated[Word, Field(description="Of fields that the accepted schema does not have.")] = "evolve"
    types: Annotated[
        Word, Field(description="Of values whose type the accepted schema has not seen in their field.")
    ] = "evolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShape:
    """The keys that every source has, whatever its kind."""

    __pydantic_config__ = _STRICT

    dataset: Annotated[str, Field(description="Dataset that the rows go to.")] = NORMALIZED.name
    primary_key: Annotated[
        str | tuple[str, ...] | None,
        Field(description="Raw path or paths that identify a record. Without it, a hash of the content does."),
    ] = None
    mapping: Annotated[
        Mapping[str, Rule] | None,
        Field(
            description="Where each field of the dataset comes from: a raw path, a list of candidates, or a rule. "
            "`attributes` is a list of raw paths; without it, everything that no rule names is collected."
        ),
    ] = None
    timezone: Annotated[
        str, Field(description="Zone of timestamps that name none, such as Europe/Berlin.", examples=["Europe/Berlin"])
    ] = "UTC"
    write_disposition: Annotated[
        Literal["merge", "append", "replace"],
        Field(
            description="`merge`: a record updates the row with its key. `append`: every record that is read becomes a "
            "row of its own, whatever its key. `replace`: each run reads everything, and the rows are exactly what it "
            "read; they take effect all at once."
        ),
    ] = "merge"
    sync_mode: Annotated[
        Literal["incremental", "full_refresh"],
        Field(
            description="`incremental`: a run reads what is new. `full_refresh`: every run reads everything, and rows "
            "that the source no longer has are removed, see `deletions`."
        ),
    ] = "incremental"
    deletions: Annotated[
        Literal["soft", "hard", "ignore"],
        Field(
            description="What becomes of rows that a full refresh or `replace` does not meet again. `soft`: they move "
            "to the table `deleted_record`. `hard`: they are deleted. `ignore`: they stay."
        ),
    ] = "soft"
    max_deletions: Annotated[
        int | str,
        Field(
            description="A full refresh, replay or `replace` that would shrink the rows of the source by more than "
            "this is refused, and nothing is changed: a number of rows, or a share such as 20%.",
            examples=["20%", 1000],
        ),
    ] = "50%"
    schema_contract: Annotated[
        Word | ContractShape,
        Field(
            description="What becomes of records that do not have the accepted schema, see "
            "[Watching](watching.md#contracts). `evolve`: they are taken. `freeze`: the run fails. `discard_row`: the "
            "record is rejected. `discard_value`: the value is left out of the row. One word, or one each for "
            "`fields` and `types`.",
            examples=["freeze"],
        ),
    ] = "evolve"
    raw_retention: Annotated[
        str | None,
        Field(
            description="How long raw pages are kept after they were last read: 12h, 30d, 8w. Unset: for ever. Rows "
            "stay; what is no longer kept cannot be replayed.",
            examples=["30d"],
        ),
    ] = None
    max_rejects: Annotated[
        int | str | None,
        Field(
            description="A run is stopped when more records than this are rejected: a number, or a share such as 1%. "
            "What was committed stays. Unset: any number.",
            examples=[100, "1%"],
        ),
    ] = None
    hold_on: Annotated[
        Literal["bad", "suspicious"] | None,
        Field(
            description="The rows of a run with this verdict, or a worse one, wait beside the table until somebody "
            "releases or drops them, see [The gate](gate.md). Unset: they never do."
        ),
    ] = None
    schedule: Annotated[
        str | ScheduleShape | None,
        Field(
            description="When to run: a line of cron (in UTC), `@daily` and the like, an interval such as 15m, or a "
            "mapping. Workers run it then, and it is watched by it, see [Schedules](schedules.md).",
            examples=["*/15 * * * *", "@daily", "every 15m"],
        ),
    ] = None
    rate_limit: Annotated[
        str | RateLimitShape | None,
        Field(
            description="How often the provider may be asked: 10/s, 100/m, 5000/h, 1000/d, several with commas, or a "
            "mapping. All processes keep it together, see [Rate limits](rate-limits.md).",
            examples=["10/s", "10/s, 5000/h"],
        ),
    ] = None
