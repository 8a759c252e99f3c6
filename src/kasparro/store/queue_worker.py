"""Takes runs from the queue with the worker of procrastinate: the only module that starts one.

Procrastinate waits for jobs, is told of new ones, takes them and bounds how many run at a time. What it asks of the
database is in `queue_jobs`; where its worker ends all the same, another one is begun.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress

import structlog
from procrastinate import App, JobContext
from procrastinate.connector import BaseAsyncConnector, Notify
from psycopg import sql

from kasparro.errors import KasparroError
from kasparro.observe.logs import forwarded_logs
from kasparro.store.database import Database
from kasparro.store.queue import TASK, Queued, queue_of, queued_of
from kasparro.store.queue_jobs import Ended, Hands
from kasparro.store.workers import Identity

Work = Callable[[Queued], Awaitable[Ended]]
"""Runs what was taken; what it raises is a bug."""

_POLL = 1.0
"""Seconds after which it is looked for jobs that nobody told of: those whose moment has come."""

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
"""Seconds before another worker is begun, or another connection that listens."""

_LISTENS = 30.0
"""Seconds of silence after which a connection that listens is tried."""

_ENDING = 5.0
"""Seconds for which a worker that ends at once waits for its runs to be cut off."""

_NEVER = 86_400.0

_log = structlog.get_logger("kasparro.worker")


async def take_runs(database: Database, identity: Identity, work: Work, stop: asyncio.Event) -> None:
    """Take runs from the queue until told to stop; then return when those in hand have ended.

    Args:
        database: Where the queue is.
        identity: What the worker says of itself.
        work: Runs one, and says how that has ended.
        stop: Ends it.
    """
    wait = _FIRST_WAIT
    with forwarded_logs("procrastinate", to="kasparro.worker"):
        while not stop.is_set():
            since = asyncio.get_running_loop().time()
            try:
                await _until_stopped(database, identity, work, stop)
            except KasparroError as error:
                _log.warning("the worker could not begin; it is tried again", reason=str(error), wait=wait)
            except Exception:  # noqa: BLE001 - whatever ended it, the next one goes on
                _log.exception("the worker ended; another one is begun", wait=wait)
            if asyncio.get_running_loop().time() - since > _LONGEST_WAIT:
                wait = _FIRST_WAIT
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            wait = min(2 * wait, _LONGEST_WAIT)


async def _until_stopped(database: Database, identity: Identity, work: Work, stop: asyncio.Event) -> None:
    connector = _Connector(database)
    app = App(connector=connector)
    hands = Hands(connector, database, identity, stop)
    app.job_manager = hands

    at_work: set[asyncio.Task[object]] = set()

    @app.task(name=TASK, pass_context=True)
    async def run(context: JobContext, /, **args: object) -> None:
        job = context.job
        assert job.id is not None  # noqa: S101 - it was taken
        one = asyncio.current_task()
        assert one is not None  # noqa: S101 - procrastinate runs each job in a task
        at_work.add(one)
        one.add_done_callback(at_work.discard)
        try:
            hands.ends[job.id] = await work(queued_of(job.id, args, job.attempts))
        except Exception:  # noqa: BLE001 - a bug in one run must not end the worker; the job is over
            _log.exception("unforeseen error", job=job.id)
            hands.ends[job.id] = "failed"

    running = asyncio.create_task(
        app.run_worker_async(
            queues=[queue_of(source) for source in identity.sources],
            name=identity.name,
            concurrency=identity.concurrency,
            install_signal_handlers=False,
            fetch_job_polling_interval=_POLL,
            abort_job_polling_interval=_NEVER,
            update_heartbeat_interval=_NEVER,  # its own ends before the jobs in hand have ended
        )
    )
    beating = asyncio.create_task(hands.keep_beating())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()  # procrastinate then takes no more, and waits for what is in hand
        await asyncio.wait({running})
    except asyncio.CancelledError:
        running.cancel()
        await _cut_off(at_work, hands)
        raise
    finally:
        stopped.cancel()
        beating.cancel()
    with suppress(asyncio.CancelledError):
        running.result()


async def _cut_off(at_work: Collection["asyncio.Task[object]"], hands: Hands) -> None:
    """End at once: what is in hand is cut off, and waits again."""
    ending = [task for task in at_work if not task.done()]
    for task in ending:
        if not task.cancelling():
            task.cancel()
    await hands.give_up()
    if ending:
        await asyncio.wait(ending, timeout=_ENDING)


class _Connector(BaseAsyncConnector):
    """Listens for new jobs on a connection of its own. Procrastinate asks nothing else by itself, see `Hands`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_async(self, pool: object = None) -> None:
        """Do nothing: the database is open."""

    async def close_async(self) -> None:
        """Do nothing: whoever opened the database closes it."""

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Tell of new jobs until cancelled; meanwhile jobs are found by looking, where no connection can be had."""
        wait = _FIRST_WAIT
        while True:
            try:
                async with self._database.own_connection() as connection:
                    for channel in channels:
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    wait = _FIRST_WAIT
                    while True:
                        async for told in connection.notifies(timeout=_LISTENS):
                            await on_notification(channel=told.channel, payload=told.payload)
                        await connection.execute("SELECT 1")
            except KasparroError:  # `Hands` says so
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
