"""What `kasparro doctor` thinks of a database, from what was found in it."""

from collections.abc import Iterator
from ipaddress import ip_address
from types import MappingProxyType

from kasparro.errors import KasparroError
from kasparro.model.diagnosis import Area, Diagnosis, ok, problem, warning
from kasparro.store.database import OLDEST
from kasparro.store.examining import Examined

CLOCK_OFF = 2.0
"""Seconds that two clocks may differ by before it is said."""

_AREA: Area = "database"
_GRANTS = MappingProxyType(
    {
        "make schemas": "GRANT CREATE ON DATABASE {database} TO {grantee}",
        "make tables": "GRANT CREATE ON SCHEMA {schema} TO {grantee}",
        "make temporary tables": "GRANT TEMPORARY ON DATABASE {database} TO {grantee}",
    }
)
"""What gives a right, by the name that `examine` has for it."""

_MORE_CONNECTIONS = (
    "Raise max_connections, or the CONNECTION LIMIT of role or database where there is one; "
    "or lower KASPARRO_CONCURRENCY."
)
_RIGHTS = "docs/security.md, Rights in PostgreSQL"


def of_error(error: KasparroError, *, embedded: bool) -> Diagnosis:
    """Return what is said of a database that cannot be looked at. `embedded`: it is our own."""
    remedy = "What to do about each answer of a server: docs/operating.md, Database away."
    if embedded:
        remedy = "Correct that, or set DATABASE_URL to a server of yours."
    return problem(_AREA, "connection", str(error), remedy)


def of_database(found: Examined, *, needed: int, embedded: bool) -> Iterator[Diagnosis]:
    """Return what is said of a database.

    Args:
        found: What was found in it.
        needed: Connections that one process takes at most.
        embedded: It is our own, so nobody is told what they cannot change.
    """
    yield from _server(found)
    yield from _schema(found)
    yield from _rights(found)
    if found.server["superuser"] and not embedded:
        says = f"{found.server['role']} is a superuser, and Kasparro needs no such rights"
        yield warning(_AREA, "superuser", says, "Use a role that owns only this database: docs/security.md.")
    yield from _durability(found)
    if "lz4" not in (found.server["compressions"] or ()) and not embedded:
        says = "the server was built without lz4: raw pages take more room"
        yield warning(_AREA, "compression", says, "Use packages of PostgreSQL that have lz4; most do.")
    yield _connections(found, needed)
    yield _clock(found)


def _server(found: Examined) -> Iterator[Diagnosis]:
    server = found.server
    major, answered = int(server["version"].split(".")[0]), f"answered in {found.latency * 1000:.1f} ms"
    size = f"{server['size'] / 1024**2:,.0f} MiB"
    says = f"PostgreSQL {server['version']} at {found.place}, {size}, user {server['role']}, {answered}"
    if major < OLDEST:
        yield problem(_AREA, "version", says, f"Upgrade the server: Kasparro needs PostgreSQL {OLDEST} or newer.")
    else:
        yield ok(_AREA, "version", says)
    if server["standby"] or server["read_only"]:
        what = "is a standby" if server["standby"] else "is read-only"
        remedy = "Point DATABASE_URL to the primary, or lift default_transaction_read_only."
        yield problem(_AREA, "read-only", f"{found.place} {what}: nothing can be written", remedy)
    if server["encoding"] != "UTF8":
        remedy = "Make a database with ENCODING 'UTF8' TEMPLATE template0, and point DATABASE_URL to it."
        yield problem(_AREA, "encoding", f"the database is encoded in {server['encoding']}", remedy)
    if not server["encrypted"] and _is_public(server["address"]):
        says = "the connection to the database is not encrypted, and leads through public networks"
        yield warning(_AREA, "encryption", says, "Add sslmode=verify-full to DATABASE_URL.")
    if found.pooled:
        says = "something between Kasparro and the server pools transactions: locks would not be held"
        remedy = "Point DATABASE_URL to the server itself, or let the pooler pool sessions (pool_mode = session)."
        yield problem(_AREA, "pooler", says, remedy)


def _is_public(address: str | None) -> bool:
    """Tell whether the server has a public address; None is a socket of this machine."""
    return address is not None and ip_address(address).is_global


def _schema(found: Examined) -> Iterator[Diagnosis]:
    if found.migrations_wrong is not None:
        remedy = "Which versions work on which schema: docs/operating.md, Upgrading."
        yield problem(_AREA, "schema", found.migrations_wrong, remedy)
    elif found.missing is None and found.closed:
        return  # there are tables, and rights are told of below
    elif found.missing is None:
        remedy = "Nothing, if it is new: the first command makes them. Or: kasparro migrate"
        yield warning(_AREA, "schema", "the database has no tables of Kasparro", remedy)
    elif found.missing:
        says = f"migrations are to come: {', '.join(found.missing)}"
        yield warning(_AREA, "schema", says, "Run: kasparro migrate (the next command that writes does so, too).")
    else:
        yield ok(_AREA, "schema", "has the tables of this version")


def _rights(found: Examined) -> Iterator[Diagnosis]:
    role = found.server["role"]
    for words, said in found.refused.items():
        yield problem(_AREA, "rights", f"{role} may not {words}: {said}", _granting(words, found))
    remedy = f"Let a superuser make {role} the owner of all of them: {_RIGHTS}."
    if found.closed:
        says = f"{role} may not read and write all tables of Kasparro, such as {', '.join(found.closed)}"
        yield problem(_AREA, "rights", says, remedy)
    elif found.others:
        says = f"tables belong to {', '.join(found.others)}, so {role} cannot migrate them"
        yield warning(_AREA, "rights", says, remedy)
    if found.tried and not (found.refused or found.others or found.closed):
        yield ok(_AREA, "rights", f"{role} may do all that Kasparro needs")


def _granting(words: str, found: Examined) -> str:
    if words == "make tables" and found.server["schema"] is None:
        return "Let search_path name a schema that is there and that this role may use, such as public."
    if words not in _GRANTS:
        return f"Use a role that owns the database: {_RIGHTS}."
    return f"Let the owner of the database run: {_GRANTS[words].format(**found.server)}"


def _durability(found: Examined) -> Iterator[Diagnosis]:
    server = found.server
    if not server["fsync"] or not server["full_page_writes"]:
        off = "fsync" if not server["fsync"] else "full_page_writes"
        says = f"{off} is off: a crash of the server may destroy the database"
        yield warning(_AREA, "durability", says, f"Set {off} = on, unless the data may be lost.")
    elif server["synchronous_commit"] == "off":
        says = "synchronous_commit is off: a crash of the server may lose the last commits, which are then read again"
        yield warning(_AREA, "durability", says, "Set synchronous_commit = on, unless that may be.")
    else:
        yield ok(_AREA, "durability", "what is committed survives a crash of the server")


def _connections(found: Examined, needed: int) -> Diagnosis:
    free = found.server["free_connections"]
    says = f"{free:,} connections are free; a process that runs sources takes up to {needed}"
    if free < needed:
        return warning(_AREA, "connections", says, _MORE_CONNECTIONS)
    return ok(_AREA, "connections", says)


def _clock(found: Examined) -> Diagnosis:
    off = found.clock_ahead
    if abs(off) < CLOCK_OFF:
        return ok("machine", "clock", "agrees with that of the database")
    way = "behind" if off > 0 else "ahead of"
    says = f"the clock of this machine is {abs(off):,.0f} s {way} that of the database, which counts"
    return warning("machine", "clock", says, "Let both machines follow the same time (chrony, systemd-timesyncd).")
