"""Errors of the driver become ours; a server that is too old is refused. No server is needed to see it."""

from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from psycopg import AsyncConnection, errors
from psycopg_pool import PoolTimeout

from kasparro.errors import Broken, KasparroError, Misconfigured, SchemaBroken, StoreBusy
from kasparro.store.database import _check_server, libpq_environment, place_of, translated


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (errors.DiskFull("no space"), Broken, "Free space"),
        (errors.ReadOnlySqlTransaction("x"), Misconfigured, "is read-only"),
        (errors.InsufficientPrivilege("denied"), Misconfigured, "rights of its user"),
        (psycopg.OperationalError('password authentication failed for user "u"'), Misconfigured, "Check DATABASE_URL"),
        (psycopg.OperationalError("fe_sendauth: no password supplied"), Misconfigured, "Check DATABASE_URL"),
        (psycopg.OperationalError('role "u" is not permitted to log in'), Misconfigured, "rights of its user"),
        (psycopg.OperationalError('permission denied for database "d"'), Misconfigured, "rights of its user"),
        (psycopg.OperationalError("SSL error: certificate verify failed"), Misconfigured, "Check DATABASE_URL"),
        (psycopg.OperationalError("connection refused"), StoreBusy, "Check that it runs"),
        (errors.LockNotAvailable("canceling statement due to lock timeout"), StoreBusy, "its tables locked"),
        (psycopg.InterfaceError("closed"), StoreBusy, "cannot be reached"),
        (PoolTimeout("full"), StoreBusy, "cannot be reached"),
        (ConnectionResetError(104, "reset"), StoreBusy, "cannot be reached"),
        (TimeoutError(), StoreBusy, "TimeoutError"),
        (errors.UndefinedColumn("column x does not exist"), SchemaBroken, "Restore it from a backup"),
        (errors.NumericValueOutOfRange("too big"), Broken, "too big"),
    ],
)
def test_translation(raised: Exception, kind: type[KasparroError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught, translated("h/db"):
        raise raised
    assert "h/db" in str(caught.value)
    assert caught.value.__cause__ is raised


def test_what_is_ours_already_passes() -> None:
    with pytest.raises(Misconfigured, match=r"^mine$"), translated("h/db"):
        raise Misconfigured("mine")


async def test_a_server_that_is_too_old() -> None:
    old = SimpleNamespace(info=SimpleNamespace(server_version=140_012))
    with pytest.raises(Misconfigured, match="h/db is PostgreSQL 14; Kasparro needs 15 or newer"):
        await _check_server(cast("AsyncConnection[Any]", old), "h/db")


def test_places_and_variables_without_the_password_in_sight() -> None:
    url = "postgresql://me:s%40crt@db.host:5433/sales?sslmode=require&sslcert=/me.crt&target_session_attrs=primary"
    assert place_of(url) == "db.host/sales"
    assert place_of("no url at all") == "DATABASE_URL"
    assert libpq_environment(url) == {
        "PGDATABASE": "sales",
        "PGHOST": "db.host",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGPASSWORD": "s@crt",
        "PGSSLMODE": "require",
        "PGSSLCERT": "/me.crt",
        "PGTARGETSESSIONATTRS": "primary",
    }
