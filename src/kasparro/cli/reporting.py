"""Tells how runs go: a progress bar on a terminal, plain lines in a pipe, JSON lines where they are asked for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import assert_never

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from kasparro.cli.words import bytes_in_words, count_in_words
from kasparro.model.events import (
    BreakerChanged,
    Emit,
    Event,
    Fetched,
    PageCommitted,
    PageRead,
    PagesShaped,
    Retrying,
    RunFinished,
    RunJudged,
    RunStarted,
    SliceClosed,
    Throttled,
)
from kasparro.model.run import Counts
from kasparro.observe.run_log import log_event

_EVERY = 2.0
"""Seconds between two plain lines about one source."""

_NOTABLE_WAIT = 5.0
"""Seconds of a wait for a rate limit that is told of: shorter ones are how a limit is kept."""


class _Speed(ProgressColumn):
    """Records, bytes and rate of one source."""

    def render(self, task: Task) -> Text:
        records, read = task.fields["records"], task.fields["read"]
        rate = records / task.elapsed if task.elapsed else 0
        shown = f"{count_in_words(records)} records  {bytes_in_words(read)}  {count_in_words(round(rate))}/s"
        return Text(shown, style="progress.data.speed")


@dataclass(kw_only=True)
class _Seen:
    """What is known of one run so far."""

    slices: int = 1
    closed: int = 0
    counts: Counts = field(default_factory=Counts)
    read: int = 0
    since: float = field(default_factory=time.monotonic)
    said: float = 0.0

    def take(self, event: PageCommitted) -> None:
        self.counts += event.counts
        self.read += event.bytes_read

    def share(self, done: float | None) -> float | None:
        return None if done is None else min(1.0, (self.closed + done) / max(1, self.slices))


@contextmanager
def reporter(*, as_json: bool, errors: Console, production: bool = False) -> Iterator[Emit]:
    """Give what listens to events, in the form that fits where the output goes. `production`: the log is told."""
    if as_json:
        yield _json
    elif production and not errors.is_terminal:
        yield log_event
    elif errors.is_terminal:
        with _progress(errors) as bars:
            yield _Bars(bars)
    else:
        yield _Lines(errors)


def lines(errors: Console, *, production: bool) -> Emit:
    """Return what tells of runs that come and go for as long as a process lives: no bar ever fills."""
    return log_event if production else _Lines(errors)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[share]}"),
        _Speed(),
        TimeRemainingColumn(compact=True),
        console=console,
        expand=True,
    )


class _Bars:
    """One bar per source."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seen: dict[str, tuple[TaskID, _Seen]] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._started(event)
            case PageCommitted():
                self._committed(event)
            case SliceClosed():
                self._seen[event.source][1].closed += 1
            case Retrying() | Throttled() | BreakerChanged() | RunJudged():
                for line in _lines_of(event):
                    self._say(line)
            case RunFinished():
                self._finished(event)
            case Fetched() | PageRead() | PagesShaped():
                pass  # the bar moves with what is committed
            case _:
                assert_never(event)

    def _started(self, event: RunStarted) -> None:
        task = self._progress.add_task(event.source, total=None, records=0, read=0, share="")
        self._seen[event.source] = (task, _Seen(slices=event.slices))
        if event.resumed:
            self._progress.console.print(f"{event.source}: going on from the last checkpoint", highlight=False)
        if event.note is not None:
            self._say(f"{event.source}: {event.note}")

    def _committed(self, event: PageCommitted) -> None:
        task, seen = self._seen[event.source]
        seen.take(event)
        share = seen.share(event.done)
        self._progress.update(
            task,
            total=None if share is None else 1.0,
            completed=share or 0,
            records=seen.counts.extracted,
            read=seen.read,
            share="" if share is None else f"{share:4.0%}",
        )

    def _finished(self, event: RunFinished) -> None:
        if event.result.source in self._seen:
            task, _ = self._seen[event.result.source]
            if event.result.status == "success":
                self._progress.update(task, total=1.0, completed=1.0, share="100%")
            self._progress.stop_task(task)

    def _say(self, line: str) -> None:
        self._progress.console.print(line, style="yellow", highlight=False, markup=False)


class _Lines:
    """A line now and then, for pipes and logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, _Seen] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._seen[event.source] = _Seen(slices=event.slices)
                how = "going on from the last checkpoint" if event.resumed else "started"
                self._say(f"{event.source}: run {event.run_id} {how}")
                if event.note is not None:
                    self._say(f"{event.source}: {event.note}")
            case PageCommitted():
                self._committed(event)
            case SliceClosed():
                self._seen[event.source].closed += 1
            case Retrying() | Throttled() | BreakerChanged() | RunJudged():
                for line in _lines_of(event):
                    self._say(line)
            case RunFinished():
                result = event.result
                status = result.status if result.held is None else "held"
                self._say(f"{result.source}: {status} after {result.duration:.1f} s")
            case Fetched() | PageRead() | PagesShaped():
                pass  # the bar moves with what is committed
            case _:
                assert_never(event)

    def _committed(self, event: PageCommitted) -> None:
        seen = self._seen[event.source]
        seen.take(event)
        if time.monotonic() - seen.said >= _EVERY:
            seen.said = time.monotonic()
            share = seen.share(event.done)
            part = "" if share is None else f" ({share:.0%})"
            self._say(f"{event.source}: {seen.counts.extracted} records, {bytes_in_words(seen.read)}{part}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _lines_of(event: Retrying | Throttled | BreakerChanged | RunJudged) -> list[str]:
    match event:
        case Retrying():
            return [_retry_line(event)]
        case Throttled():
            return [_wait_line(event)] if event.seconds >= _NOTABLE_WAIT else []
        case BreakerChanged():
            return [_breaker_line(event)]
        case RunJudged():
            return _finding_lines(event)
        case _:
            assert_never(event)


def _retry_line(event: Retrying) -> str:
    reason = event.reason.rstrip(".")  # some end as a sentence does, some with what the other side said
    return f"{event.source}: {reason}. Trying again in {event.wait:.1f} s (attempt {event.attempt + 1})."


def _wait_line(event: Throttled) -> str:
    return f"{event.source}: waiting {event.seconds:.0f} s for {event.host}: {event.reason}"


def _breaker_line(event: BreakerChanged) -> str:
    match event.state:
        case "open":
            last = f" ({event.reason})" if event.reason else ""
            said = f"failed {event.failures} times in a row{last}: nobody asks it for {event.seconds:.0f} s"
        case "half_open":
            said = "is tried again, by one request"
        case "closed":
            said = "answers again"
        case _:
            assert_never(event.state)
    return f"{event.source}: {event.host} {said}"


def _finding_lines(event: RunJudged) -> list[str]:
    return [f"{event.source}: {one.severity}: {one.message}" for one in event.findings]


def _json(event: Event) -> None:
    if isinstance(event, Fetched | PageRead | PagesShaped):
        return  # steps on the way to what is committed: for metrics and traces
    print(orjson.dumps({"event": type(event).__name__, **asdict(event)}).decode(), flush=True)  # noqa: T201
