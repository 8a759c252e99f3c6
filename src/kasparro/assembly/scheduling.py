"""Queues runs when they are due, in the background of whatever runs them: in any number of processes, on any hosts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from kasparro.assembly.lateness import declare_schedules
from kasparro.config import Config
from kasparro.errors import KasparroError
from kasparro.model.schedule import Schedule
from kasparro.scheduling.moments import check_known
from kasparro.scheduling.ticks import decide, upcoming
from kasparro.store.database import Database
from kasparro.store.ticks import Seen, Standing, Ticks

EVERY = 30.0
"""Seconds after which it is looked again at the latest: schedules may have been declared anew elsewhere."""

SOON = 0.005
"""Seconds past a due moment at which it is looked, so that it has surely come."""

_LONGEST = 60.0
"""Seconds that one look may take: a database that hangs does not keep the next one from being tried."""

_FIRST_WAIT = 1.0

_log = structlog.get_logger("kasparro.schedule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What one look found, by the clock of the database: what it queued, and when the next source is due."""

    now: datetime | None
    seen: tuple[Seen, ...]
    following: datetime | None

    @property
    def seconds(self) -> float:
        """Seconds until the next look."""
        if self.now is None or self.following is None:
            return EVERY
        return min(max((self.following - self.now).total_seconds(), 0.0) + SOON, EVERY)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quiet:
    """A source that is not due until a moment, or never. `of`: its schedule, what was seen to, since when it holds."""

    of: tuple[str | None, datetime | None, datetime | None]
    found_at: datetime
    until: datetime | None


class Scheduler:
    """Looks after the schedules of a configuration. What is due is seen to once, whoever else looks after them, too.

    Args:
        config: Only its sources are looked after.
        database: Where schedules and queue are.
    """

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database
        self._own = {source.name: source.schedule for source in config.sources}
        self._read: dict[str, Schedule | None] = {}
        self._warned: dict[str, str | None] = {}
        self._quiet: dict[str, _Quiet] = {}

    async def declare(self) -> None:
        """Write down when the sources are to run; those without a schedule have none from now on."""
        await declare_schedules(self._config, self._database)
        bare = [name for name, schedule in self._own.items() if schedule is None]
        await Ticks(self._database).undeclare(bare)

    async def tick(self, now: datetime | None = None) -> Looked:
        """See to everything that is due. `now`: the present; None is the database's clock."""
        ticks = Ticks(self._database, now)
        standings = await ticks.look(list(self._own))
        seen: list[Seen] = []
        following: list[datetime] = []
        for one in standings:
            try:
                done, after = await self._one(ticks, one)
            except KasparroError:
                raise
            except Exception:  # noqa: BLE001 - a bug with one source must not end the schedules of all others
                _log.exception("unforeseen error", source=one.source)
                continue
            seen += done
            following += after
        return Looked(
            now=standings[0].now if standings else None, seen=tuple(seen), following=min(following, default=None)
        )

    async def _one(self, ticks: Ticks, one: Standing) -> tuple[list[Seen], list[datetime]]:
        """See to one source; return what was done and when to look at it again."""
        seen: list[Seen | None] = []
        after: list[datetime | None] = [one.resume_at if one.is_parked else None]
        schedule = self._schedule_of(one)
        if schedule is not None:
            if not self._is_quiet(one):
                seen.append(await self._due(ticks, one, schedule))
            after.append(self._quiet[one.source].until)
        if one.is_to_resume:
            seen.append(await ticks.resume(one))
        done = [found for found in seen if found is not None]
        for found in done:
            _tell(found)
        return done, [moment for moment in after if moment is not None]

    def _is_quiet(self, one: Standing) -> bool:
        """Tell, without looking into its schedule, whether a source is not due yet."""
        known = self._quiet.get(one.source)
        return (
            known is not None
            and known.of == (one.schedule, one.last_due, one.since)
            and known.found_at <= one.now
            and (known.until is None or one.now < known.until)
        )

    async def _due(self, ticks: Ticks, one: Standing, schedule: Schedule) -> Seen | None:
        """See to the schedule of a source, and remember until when it is quiet."""
        last, since = one.last_due, one.now if one.since is None else one.since
        tick = decide(one.source, schedule, last=last, since=since, now=one.now)
        seen: Seen | None = None
        if tick is not None:
            seen, last = await ticks.see_to(one, tick), tick.seen_to
        until = upcoming(schedule, last=last, since=since, now=one.now)
        self._quiet[one.source] = _Quiet(of=(one.schedule, last, one.since), found_at=one.now, until=until)
        return seen

    def _schedule_of(self, one: Standing) -> Schedule | None:
        """Return the schedule that holds: as it was declared last, also where that was elsewhere."""
        own = self._own[one.source]
        if one.schedule is None:
            if own is not None and not one.declared:
                self._warn(one, "none")
                return None
            return own  # forgotten by hand, which only keeps it from being late
        if one.schedule not in self._read:
            self._read[one.schedule] = read_schedule(one.source, one.schedule)
        held = self._read[one.schedule]
        if own is None or own.to_text() != one.schedule:
            self._warn(one, "one that this version cannot read" if held is None else str(held))
        else:
            self._warned.pop(one.source, None)
        return held

    def _warn(self, one: Standing, held: str) -> None:
        """Say once that another configuration says otherwise."""
        if self._warned.get(one.source) == held:
            return
        self._warned[one.source] = held
        own = self._own[one.source]
        _log.warning(
            "another configuration declares the schedule otherwise, and the latest declaration holds: give all workers "
            "the same configuration",
            source=one.source,
            here="none" if own is None else str(own),
            holds=held,
        )


@asynccontextmanager
async def scheduling(config: Config, database: Database) -> AsyncIterator[None]:
    """Queue the sources of a configuration when they are due, in the background of the block."""
    ticking = asyncio.create_task(keep_ticking(Scheduler(config, database)))
    try:
        yield
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking


async def keep_ticking(scheduler: Scheduler, ticked: Callable[[Looked], None] = lambda _looked: None) -> None:
    """Look whenever something is due, until cancelled. Where the database is away, it is tried again.

    Args:
        scheduler: Looks.
        ticked: Told what each look found.
    """
    declared, trouble, wait = False, False, _FIRST_WAIT
    while True:
        try:
            async with asyncio.timeout(_LONGEST):
                if not declared:
                    await scheduler.declare()
                    declared = True
                looked = await scheduler.tick()
        except (KasparroError, TimeoutError) as error:
            if not trouble:
                _log.warning(
                    "nothing is queued by schedule until the database answers", reason=str(error) or "it hangs"
                )
            trouble = True
        except Exception:  # noqa: BLE001 - a bug with one source must not end the schedules of all others
            _log.exception("unforeseen error")
            trouble = True
        else:
            if trouble:
                _log.info("schedules go on")
            ticked(looked)
            trouble, wait = False, _FIRST_WAIT
            await asyncio.sleep(looked.seconds)
            continue
        await asyncio.sleep(wait)
        wait = min(2 * wait, EVERY)


def read_schedule(source: str, text: str) -> Schedule | None:
    """Return a schedule as it was written down; None, and a warning, where another version has written it."""
    try:
        data: Mapping[str, object] = json.loads(text)
        schedule = Schedule.from_json(data)
        check_known(schedule)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        _log.warning("schedule cannot be read by this version", source=source, reason=str(error))
        return None
    return schedule


def _tell(found: Seen) -> None:
    """Write a line about what became of a due moment."""
    due = {} if found.due is None else {"due": found.due.isoformat()}
    facts = {"source": found.source, **due, "missed": found.missed, "job": found.job_id}
    match found.was:
        case "queued":
            _log.info("run queued", **facts)
        case "joined":
            _log.info("a run waits already, and stands for this due moment, too", **facts)
        case "passed":
            _log.warning("due moments passed while no worker ran, and catch_up is false", **facts)
        case "healed":
            _log.warning("what was seen to lay in the future: a clock was wrong. Counted from now on", **facts)
        case "resumed":
            _log.info("parked run goes on", **facts)
