"""The connection to our PostgreSQL: one pool, and the one place where psycopg's errors become ours."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
import structlog
from psycopg import AsyncConnection, AsyncCopy, AsyncCursor, conninfo, errors, pq
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from kasparro.errors import Broken, KasparroError, Misconfigured, SchemaBroken, StoreBusy
from kasparro.store.migrate import is_current, migrate

OLDEST = 15
"""Oldest major version of PostgreSQL that is supported."""

_CONNECT_SECONDS = 10

_OPENINGS = 3
"""How often the opening of a database is begun again when its connection is cut off."""

_OPERATOR = (
    errors.InvalidPassword,
    errors.InvalidAuthorizationSpecification,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
    errors.ReadOnlySqlTransaction,
)

_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "not permitted to log in",
    "permission denied for database",
    "does not support SSL",
    "certificate",
)
"""What is said where connecting again would not help."""

_log = structlog.get_logger("kasparro.sql")


class LoggedCursor(AsyncCursor[TupleRow]):
    """Logs each statement, without its parameters: they may hold what must not be logged. For `DEBUG`."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:  # noqa: ANN401 - as psycopg has it
        """Log the text and execute it."""
        text = query.as_string(self) if hasattr(query, "as_string") else str(query)
        _log.debug("sql", statement=" ".join(text.split()))
        return await super().execute(query, params, **options)

    @asynccontextmanager
    async def copy(self, statement: Any, params: Any = None, **options: Any) -> AsyncIterator[AsyncCopy]:  # noqa: ANN401
        """Log the text and begin the COPY."""
        _log.debug("sql", statement=" ".join(statement.as_string(self).split()))
        async with super().copy(statement, params, **options) as copy:
            yield copy


class Database:
    """A pool of connections, opened and closed with `async with`.

    Args:
        url: A libpq connection string. Never shown: `place`, host and database, is what messages name.
        debug: Log every statement.
        size: Most connections at a time.
        migrations: `apply` what is missing, or only `check` that nothing is.
        check: Try a connection before it is lent. Costs a round trip; whoever reads and tries again can do without.
    """

    def __init__(
        self, url: str, *, debug: bool = False, size: int = 8, migrations: str = "apply", check: bool = True
    ) -> None:
        self._url = url
        self.place = place_of(url)
        self._cursors: type[AsyncCursor[TupleRow]] = LoggedCursor if debug else AsyncCursor
        self._migrations = migrations
        self._pool = AsyncConnectionPool(
            url,
            open=False,
            min_size=1,
            max_size=size,
            timeout=_CONNECT_SECONDS,
            kwargs={
                "autocommit": True,
                "connect_timeout": _CONNECT_SECONDS,
                "application_name": application_name(),
                "cursor_factory": self._cursors,
            },
            configure=_configure,
        )
        self._size, self._check, self._openings = size, check, _OPENINGS

    async def __aenter__(self) -> Self:
        with translated(self.place):
            while not await self._made_ready():
                self._openings -= 1
            await self._pool.open()
        return self

    async def _made_ready(self) -> bool:
        """Look whether the database is one for us, and migrate it; False where the connection was cut off meanwhile.

        It is a plain connection: its errors say why, where a pool would only say that time ran out.
        """
        first = await connect(self._url, self._cursors)
        try:
            async with first:
                await _check_server(first, self.place)
                if self._migrations == "apply":
                    await migrate(first)
                elif not await is_current(first):
                    raise Misconfigured(f"The database {self.place} lacks migrations. Run: kasparro migrate")
        except (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout):
            if not first.broken or self._openings == 0:
                raise
            return False
        return True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection in autocommit; transactions are opened where they are seen."""
        with translated(self.place):
            lent = await self._alive()
            try:
                async with lent:
                    yield lent
            finally:
                await self._pool.putconn(lent)

    async def _alive(self) -> AsyncConnection:
        """Return a connection that answers.

        The pool's own check waits longer after each dead connection that it meets. Where all are cut off every few
        seconds, those that it made meanwhile are dead again by then. So here the next one is tried at once.
        """
        for _ in range(self._size):
            lent = await self._pool.getconn()
            if not self._check:
                return lent
            try:
                await AsyncConnectionPool.check_connection(lent)
            except psycopg.OperationalError:
                await self._pool.putconn(lent)  # is closed, so the pool replaces it
            except BaseException:
                await self._pool.putconn(lent)
                raise
            else:
                return lent
        return await self._pool.getconn()

    @asynccontextmanager
    async def own_connection(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection outside the pool, for what lives as long as a run: its lock."""
        with translated(self.place):
            async with await connect(self._url, self._cursors) as own:
                yield own


def process_name() -> str:
    """Return host and number of this process: what the record of a run calls its holder."""
    return f"{socket.gethostname()}:{os.getpid()}"


def application_name() -> str:
    """Return what sessions of this process are called by the server, so that they can be told from others."""
    return f"kasparro {process_name()}"[:63]


def place_of(url: str) -> str:
    """Return host and database of a connection string, without credentials."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "DATABASE_URL"
    return f"{parts.get('host', 'localhost')}/{parts.get('dbname', 'postgres')}"


async def connect(url: str, cursors: type[AsyncCursor[TupleRow]] = AsyncCursor) -> AsyncConnection:
    """Open one connection with our settings."""
    try:
        opened = await AsyncConnection.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name=application_name(),
            cursor_factory=cursors,
        )
    except psycopg.ProgrammingError:
        # Its message quotes the text, which may hold a password.
        raise Misconfigured(
            "DATABASE_URL is not a connection string. Write postgresql://user:password@host:5432/database; after a "
            "question mark stand options of libpq, such as ?sslmode=require"
        ) from None
    try:
        await _configure(opened)
    except BaseException:  # also where we are told to stop meanwhile: nobody else knows of the connection yet
        await opened.close()
        raise
    return opened


async def _configure(opened: AsyncConnection) -> None:
    await opened.execute("SET timezone = 'UTC'")


async def _check_server(connection: AsyncConnection, place: str) -> None:
    if connection.info.server_version < OLDEST * 10_000:
        raise Misconfigured(
            f"The database {place} is PostgreSQL {connection.info.server_version // 10_000}; "
            f"Kasparro needs {OLDEST} or newer."
        )
    cursor = await connection.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool")
    row = await cursor.fetchone()
    if row is not None and row[0]:
        raise Misconfigured(
            f"The database {place} is read-only. Point DATABASE_URL to the primary, or lift the setting."
        )


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn psycopg's errors into ours, naming the database and the remedy."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, OSError, TimeoutError) as error:
        if isinstance(error, asyncio.CancelledError):
            raise
        raise _translation(error, place) from error


def _translation(error: Exception, place: str) -> KasparroError:
    said = str(error).strip().splitlines()
    first = said[0] if said else type(error).__name__
    match error:
        case errors.DiskFull():
            return Broken(f"The disk of the database {place} is full: {first}. Free space, then run again.")
        case errors.ReadOnlySqlTransaction():
            return Misconfigured(f"The database {place} is read-only: {first}. Point DATABASE_URL to the primary.")
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.DatatypeMismatch():
            return SchemaBroken(
                f"A table in {place} is not as Kasparro left it: {first}. Restore it from a backup, then run again."
            )
        case _ if isinstance(error, _OPERATOR) or _is_refusal(error, first):
            return Misconfigured(
                f"The database {place} refused: {first}. Check DATABASE_URL and the rights of its user."
            )
        case (
            psycopg.OperationalError()
            | psycopg.InterfaceError()
            | errors.IdleInTransactionSessionTimeout()
            | PoolTimeout()
            | OSError()
            | TimeoutError()
        ):
            return _busy(error, f"The database {place}", first)
        case _:
            return Broken(f"The database {place} answered: {first}", sqlstate=getattr(error, "sqlstate", None))


def _busy(error: Exception, database: str, first: str) -> StoreBusy:
    if isinstance(error, errors.LockNotAvailable | errors.QueryCanceled):
        return StoreBusy(f"{database} did not answer in time: {first}. Is it under load, or are its tables locked?")
    return StoreBusy(f"{database} cannot be reached: {first}. Check that it runs and that DATABASE_URL is right.")


def _is_refusal(error: Exception, message: str) -> bool:
    """Errors while connecting carry no code, only the text of the server or of libpq."""
    return getattr(error, "sqlstate", None) is None and any(words in message for words in _REFUSALS)


async def is_encrypted(url: str) -> bool:
    """Tell whether connections to a database are encrypted. Raises as a connection that cannot be opened."""
    with translated(place_of(url)):
        async with await connect(url) as connection:
            return bool(connection.pgconn.ssl_in_use)


def libpq_environment(url: str) -> dict[str, str]:
    """Return a connection string as the variables that every PostgreSQL program reads: `PGHOST`, `PGPASSWORD`, ..."""
    given = conninfo.conninfo_to_dict(url)
    known = ((option.keyword.decode(), option.envvar) for option in pq.Conninfo.get_defaults())
    return {
        variable.decode(): str(given[name])
        for name, variable in known
        if variable is not None and given.get(name) is not None
    }
