"""What can go wrong, drawn first by what to do about it.

    KasparroError
    ├── Misconfigured          the operator must change something; never retried
    ├── Transient              may work later; may carry retry_after
    │   ├── Unreachable        no connection, a timeout, an answer cut short, a 5xx
    │   ├── RateLimited        the other side asked to wait
    │   └── StoreBusy          the database is down, starting or out of connections
    ├── Broken                 the world is not as promised; a retry would not help
    │   ├── Denied             credentials refused
    │   ├── SchemaBroken       records or tables do not have the promised shape
    │   └── BookmarkLost       the place to resume from no longer exists
    ├── NotFound               the thing named does not exist
    ├── Conflict               another run has it, or it is there already
    └── Stopped                told to stop, or the lease was lost; not a failure

A bad *record* is a reject, never an exception. Exceptions of libraries are translated once, where they are met.
"""

from typing import Any


class KasparroError(Exception):
    """Root of all errors.

    Args:
        message: One sentence that names the place and the remedy. Never contains a secret.
        facts: What a machine wants to know, as plain values.
    """

    code = "error"

    def __init__(self, message: str, **facts: Any) -> None:  # noqa: ANN401 - facts are open by design
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.facts)


def _rebuild(kind: type[KasparroError], message: str, facts: dict[str, Any]) -> KasparroError:
    return kind(message, **facts)


class Misconfigured(KasparroError):
    """The operator must change something first."""

    code = "misconfigured"


class Transient(KasparroError):
    """May work later. `facts["retry_after"]` is the number of seconds asked for, where one was."""

    code = "transient"

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before the next attempt, where the other side said so."""
        value = self.facts.get("retry_after")
        return None if value is None else float(value)


class Unreachable(Transient):
    """No connection, a timeout, an answer cut short or a server error."""

    code = "unreachable"


class RateLimited(Transient):
    """The other side asked to wait."""

    code = "rate_limited"


class StoreBusy(Transient):
    """The database is down, starting, or out of connections."""

    code = "store_busy"


class Broken(KasparroError):
    """The world is not as promised, and asking again would not help."""

    code = "broken"


class Denied(Broken):
    """Credentials were refused."""

    code = "denied"


class SchemaBroken(Broken):
    """Records or tables do not have the promised shape."""

    code = "schema_broken"


class BookmarkLost(Broken):
    """The place to resume from no longer exists."""

    code = "bookmark_lost"


class NotFound(KasparroError):
    """The thing named does not exist."""

    code = "not_found"


class Conflict(KasparroError):
    """Another run has it, or it is there already."""

    code = "conflict"


class Stopped(KasparroError):
    """Told to stop, or the lease was lost. Not a failure."""

    code = "stopped"
