"""Every environment variable there is, in one table: the reader, `.env.example` and the documentation all take it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

Kind = Literal["text", "secret", "url", "whole number", "boolean", "choice", "path", "web address", "share"]
Value = str | int | float | bool | Path | SecretStr | None

PREFIX = "KASPARRO_"
"""Names that begin with it are ours; an unknown one is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable.

    Attributes:
        field: The attribute of `Settings` that it sets.
        default: What holds when it is unset or empty.
        otherwise: The default in words, where it depends on something.
        least: Smallest number allowed.
        most: Largest number allowed.
        choices: The texts allowed, in lower case.
        example: A value for `.env.example`, where the default would not tell enough.
    """

    name: str
    field: str
    kind: Kind
    description: str
    default: str | float | bool | None = None
    otherwise: str | None = None
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    example: str | None = None


VARIABLES: tuple[Variable, ...] = (
    Variable(
        name="DATABASE_URL",
        field="database_url",
        kind="url",
        otherwise="an embedded PostgreSQL is started",
        example="postgresql://user:password@localhost:5432/kasparro",
        description="The PostgreSQL (15 or newer) that everything is kept in. In user and password `@` is written %40, "
        "`/` %2F, `%` %25.",
    ),
    Variable(
        name="API_KEY",
        field="api_key",
        kind="secret",
        otherwise="writes are refused unless the server listens on loopback",
        example="a-long-random-text",
        description="What writes and operator endpoints of the API ask for. Production does not serve without one.",
    ),
    Variable(
        name="ETL_BATCH_SIZE",
        field="batch_size",
        kind="whole number",
        default=50_000,
        least=1,
        most=1_000_000,
        description="Most records shaped at once.",
    ),
    Variable(
        name="ETL_CHECKPOINT_INTERVAL",
        field="checkpoint_interval",
        kind="whole number",
        default=50_000,
        least=1,
        most=1_000_000,
        description="A commit is made at least every so many records.",
    ),
    Variable(
        name="ENVIRONMENT",
        field="environment",
        kind="choice",
        default="development",
        choices=("development", "production"),
        description="Production refuses to serve without API_KEY, and keeps reads closed unless told otherwise.",
    ),
    Variable(name="DEBUG", field="debug", kind="boolean", default=False, description="Log every SQL statement."),
    Variable(
        name="LOG_LEVEL",
        field="log_level",
        kind="choice",
        default="info",
        choices=("debug", "info", "warning", "error", "critical"),
        description="Least severe message that is logged.",
    ),
    Variable(
        name="KASPARRO_CONFIG",
        field="config",
        kind="path",
        otherwise="`kasparro.yaml` in the working directory, where there is one",
        example="kasparro.yaml",
        description="The configuration file. `--config` on the command line wins.",
    ),
    Variable(
        name="KASPARRO_HOME",
        field="home",
        kind="path",
        otherwise="the user's data directory, such as `~/.local/share/kasparro`",
        example="/var/lib/kasparro",
        description="Where the embedded PostgreSQL and temporary files are kept.",
    ),
    Variable(
        name="KASPARRO_PUBLIC_READ",
        field="public_read",
        kind="boolean",
        otherwise="true outside production",
        example="true",
        description="Whether the API answers reads without API_KEY.",
    ),
    Variable(
        name="KASPARRO_HOST",
        field="host",
        kind="text",
        default="127.0.0.1",
        description="Address that the API listens on; 0.0.0.0 is all of them.",
    ),
    Variable(
        name="KASPARRO_PORT",
        field="port",
        kind="whole number",
        default=8000,
        least=0,
        most=65_535,
        description="Port that the API listens on; 0 takes a free one.",
    ),
    Variable(
        name="KASPARRO_PAGE_BYTES",
        field="page_bytes",
        kind="whole number",
        default=2 * 1024 * 1024,
        least=64 * 1024,
        most=256 * 1024 * 1024,
        description="Bytes that one page of a file has at most. Memory grows with it.",
    ),
    Variable(
        name="KASPARRO_CONCURRENCY",
        field="concurrency",
        kind="whole number",
        default=4,
        least=1,
        most=64,
        description="Sources that run at the same time.",
    ),
    Variable(
        name="KASPARRO_LEASE_SECONDS",
        field="lease",
        kind="whole number",
        default=60,
        least=1,
        most=3600,
        description="For so long a run or a worker may be silent (frozen, cut off) before others take over.",
    ),
    Variable(
        name="KASPARRO_INSTANCE",
        field="instance",
        kind="text",
        otherwise="the name of the host",
        example="production",
        description="What notifications call this installation.",
    ),
    Variable(
        name="OTEL_EXPORTER_OTLP_ENDPOINT",
        field="otlp_endpoint",
        kind="web address",
        otherwise="no traces",
        example="http://localhost:4318",
        description="Collector that takes traces by OTLP over HTTP, at the path `/v1/traces` below this address.",
    ),
    Variable(
        name="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        field="otlp_traces_endpoint",
        kind="web address",
        otherwise="that of `OTEL_EXPORTER_OTLP_ENDPOINT`",
        example="http://localhost:4318/v1/traces",
        description="The same as a whole address; nothing is added to its path.",
    ),
    Variable(
        name="OTEL_EXPORTER_OTLP_HEADERS",
        field="otlp_headers",
        kind="secret",
        otherwise="none",
        example="x-api-key=a-long-random-text",
        description="Headers for the collector, `name=value` with commas between.",
    ),
    Variable(
        name="OTEL_EXPORTER_OTLP_PROTOCOL",
        field="otlp_protocol",
        kind="choice",
        default="http/protobuf",
        choices=("http/protobuf",),
        description="How the collector is spoken to. Port 4318 of most collectors; gRPC, port 4317, is not spoken.",
    ),
    Variable(
        name="OTEL_SERVICE_NAME",
        field="otel_service_name",
        kind="text",
        otherwise="`kasparro`",
        example="kasparro",
        description="Name of this service in traces.",
    ),
    Variable(
        name="OTEL_TRACES_SAMPLER",
        field="otel_sampler",
        kind="choice",
        default="parentbased_always_on",
        choices=(
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ),
        description="Which traces are kept; `parentbased_` follows the caller where a request comes with a trace.",
    ),
    Variable(
        name="OTEL_TRACES_SAMPLER_ARG",
        field="otel_share",
        kind="share",
        default=1.0,
        description="Share of the traces that the samplers `…traceidratio` keep.",
    ),
    Variable(
        name="OTEL_SDK_DISABLED",
        field="otel_disabled",
        kind="boolean",
        default=False,
        description="No traces, whatever the other variables say.",
    ),
)
