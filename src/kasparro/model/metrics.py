"""Every metric of `/metrics`, in one table: what is exposed, what docs/metrics.md says and what dashboards may name."""

from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["counter", "gauge", "histogram"]

MOST_SOURCES = 1000
"""Sources that are told one by one, those that ran last; so `/metrics` stays small where sources come and go."""


MOST_HOSTS = 100
"""Hosts whose circuit breakers are told one by one, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric, as Prometheus sees it.

    Attributes:
        name: As it is queried: a counter ends in `_total`. A histogram is queried by `_bucket`, `_sum` and `_count`.
        labels: Their names, in order.
        unit: What its numbers are.
        help: One sentence.
        buckets: Upper bounds of a histogram, in its unit, ascending, without the last one that holds all.
    """

    name: str
    kind: MetricKind
    labels: tuple[str, ...] = ()
    unit: str
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def bounds(self) -> str:
        """The buckets as one text: what two versions of Kasparro may not have in common."""
        return " ".join(map(repr, self.buckets))


_STEP = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_COMMIT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_FETCH = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RUN = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0)

RECORDS = Metric(
    name="kasparro_records_total",
    kind="counter",
    labels=("source", "outcome"),
    unit="records",
    help="Records by what became of them: inserted, updated, unchanged, duplicate, rejected; and rows deleted.",
)
PAGES = Metric(
    name="kasparro_pages_total", kind="counter", labels=("source",), unit="pages", help="Pages that were committed."
)
READ_BYTES = Metric(
    name="kasparro_read_bytes_total",
    kind="counter",
    labels=("source",),
    unit="bytes",
    help="Bytes of the pages that were committed, as they were read.",
)
RUNS = Metric(
    name="kasparro_runs_total",
    kind="counter",
    labels=("source", "status"),
    unit="runs",
    help="Runs that ended: success, partial, failed, stopped, parked or interrupted.",
)
RUNS_RUNNING = Metric(
    name="kasparro_runs_running",
    kind="gauge",
    labels=("source",),
    unit="runs",
    help="Runs under way whose process lives: killed ones are left out.",
)
RUN_DURATION = Metric(
    name="kasparro_run_duration_seconds",
    kind="histogram",
    labels=("source",),
    unit="seconds",
    help="From the beginning to the end of a run.",
    buckets=_RUN,
)
COMMIT_DURATION = Metric(
    name="kasparro_commit_duration_seconds",
    kind="histogram",
    labels=("source",),
    unit="seconds",
    help="From the first statement of a commit to its end.",
    buckets=_COMMIT,
)
FETCH_DURATION = Metric(
    name="kasparro_fetch_duration_seconds",
    kind="histogram",
    labels=("source",),
    unit="seconds",
    help="HTTP requests to the source, failed ones among them.",
    buckets=_FETCH,
)
SHAPE_DURATION = Metric(
    name="kasparro_shape_duration_seconds",
    kind="histogram",
    labels=("source",),
    unit="seconds",
    help="Making rows of the pages that are committed together.",
    buckets=_STEP,
)
READ_DURATION = Metric(
    name="kasparro_read_duration_seconds",
    kind="histogram",
    labels=("source",),
    unit="seconds",
    help="Reading one page, the HTTP requests for it included.",
    buckets=_STEP,
)
RETRIES = Metric(
    name="kasparro_retries_total",
    kind="counter",
    labels=("source", "class"),
    unit="attempts",
    help="Attempts that failed and were repeated, by the code of the error.",
)
THROTTLE_WAITS = Metric(
    name="kasparro_throttle_waits_total",
    kind="counter",
    labels=("source",),
    unit="waits",
    help="Waits for a rate limit: that the other side asked for, or that keep it.",
)
THROTTLE_WAIT_SECONDS = Metric(
    name="kasparro_throttle_wait_seconds_total",
    kind="counter",
    labels=("source",),
    unit="seconds",
    help="Time spent in waits for a rate limit, of all requests that wait at the same time.",
)
BREAKER_STATE = Metric(
    name="kasparro_breaker_state",
    kind="gauge",
    labels=("host",),
    unit="0, 1 or 2",
    help="Circuit breaker of a host that was ever left alone: 0 closed, 1 half-open (one request tries it), 2 open. "
    f"One that nobody asked for an hour since it may be tried counts as closed. The last {MOST_HOSTS} are told.",
)
BREAKER_CHANGES = Metric(
    name="kasparro_breaker_changes_total",
    kind="counter",
    labels=("host", "state"),
    unit="changes",
    help="Changes of the circuit breaker of a host, by what it became: open, half_open or closed.",
)
REJECTS = Metric(
    name="kasparro_rejects_total",
    kind="counter",
    labels=("source", "reason"),
    unit="records",
    help="Rejected records by the code of their reason.",
)
OPEN_REJECTS = Metric(
    name="kasparro_open_rejects",
    kind="gauge",
    labels=("source",),
    unit="rejects",
    help="Rejects that wait: neither replayed nor discarded nor gone.",
)
CHECKPOINT_LAG = Metric(
    name="kasparro_checkpoint_lag_seconds",
    kind="gauge",
    labels=("source",),
    unit="seconds",
    help="Since a checkpoint of the source was last moved by a commit.",
)
LAST_SUCCESS = Metric(
    name="kasparro_last_success_timestamp_seconds",
    kind="gauge",
    labels=("source",),
    unit="seconds",
    help="When a run last ended well, in seconds since 1970.",
)
LAST_FAILURE = Metric(
    name="kasparro_last_failure_timestamp_seconds",
    kind="gauge",
    labels=("source",),
    unit="seconds",
    help="When a run last failed or was interrupted, in seconds since 1970.",
)
FINDINGS = Metric(
    name="kasparro_findings_total",
    kind="counter",
    labels=("source", "severity"),
    unit="findings",
    help="Findings: info, warning or critical.",
)
VERDICTS = Metric(
    name="kasparro_verdicts_total",
    kind="counter",
    labels=("source", "verdict"),
    unit="runs",
    help="Judged runs: ok, suspicious or bad.",
)
SOURCES = Metric(
    name="kasparro_sources",
    kind="gauge",
    unit="sources",
    help=f"Sources that have ever run. The {MOST_SOURCES} that ran last are told one by one.",
)
QUEUE_DEPTH = Metric(
    name="kasparro_queue_depth",
    kind="gauge",
    labels=("queue",),
    unit="messages",
    help="What waits in a queue: `notifications` to be sent, `runs` to be taken by a worker.",
)
WORKERS = Metric(
    name="kasparro_workers", kind="gauge", labels=(), unit="workers", help="Workers that are alive, on all hosts."
)
DATASET_ROWS = Metric(
    name="kasparro_dataset_rows", kind="gauge", labels=("dataset",), unit="rows", help="Rows of a dataset, exactly."
)
HTTP_REQUESTS = Metric(
    name="kasparro_http_requests_total",
    kind="counter",
    labels=("route", "method", "status"),
    unit="requests",
    help="Requests to the API by the template of their route; unmatched where there is none.",
)
HTTP_DURATION = Metric(
    name="kasparro_http_request_duration_seconds",
    kind="histogram",
    labels=("route", "method"),
    unit="seconds",
    help="From the first byte of a request to the last of its answer.",
    buckets=_REQUEST,
)
DATABASE_UP = Metric(
    name="kasparro_database_up",
    kind="gauge",
    unit="1 or 0",
    help="Whether the database answered this scrape. When it did not, the rest is as it was last read.",
)
BUILD_INFO = Metric(
    name="kasparro_build_info", kind="gauge", labels=("version",), unit="1", help="The version that answers."
)
SCHEMA_VERSION = Metric(
    name="kasparro_schema_version", kind="gauge", unit="number", help="The newest migration of the database."
)

METRICS: tuple[Metric, ...] = (
    RECORDS,
    PAGES,
    READ_BYTES,
    RUNS,
    RUNS_RUNNING,
    RUN_DURATION,
    COMMIT_DURATION,
    FETCH_DURATION,
    SHAPE_DURATION,
    READ_DURATION,
    RETRIES,
    THROTTLE_WAITS,
    THROTTLE_WAIT_SECONDS,
    BREAKER_STATE,
    BREAKER_CHANGES,
    REJECTS,
    OPEN_REJECTS,
    CHECKPOINT_LAG,
    LAST_SUCCESS,
    LAST_FAILURE,
    FINDINGS,
    VERDICTS,
    SOURCES,
    QUEUE_DEPTH,
    WORKERS,
    DATASET_ROWS,
    HTTP_REQUESTS,
    HTTP_DURATION,
    DATABASE_UP,
    BUILD_INFO,
    SCHEMA_VERSION,
)
