"""The circuit breakers of all processes: one row for each host that was ever left alone, changed by compare-and-set."""

from typing import Any, LiteralString

from kasparro.resilience.breaker import BreakerPolicy, Circuit, Trouble
from kasparro.store.database import Database
from kasparro.store.queries import queries


class PostgresBoard:
    """Implements `resilience.breaker.Board`. Moments are those of the database's clock; seconds leave it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("breakers")

    async def look(self, host: str) -> Circuit:
        """Return what is known; a host that was never left alone is closed. Raises StoreBusy, as the others do."""
        return await self._asked("look", host) or Circuit()

    async def open(self, host: str, trouble: Trouble, policy: BreakerPolicy) -> Circuit:
        """Leave a host alone, unless another process does already, or has taken the probe over."""
        facts = {
            "failures": trouble.failures,
            "reason": trouble.reason,
            "probe": trouble.probe,
            "seconds": policy.seconds,
            "longest": policy.longest,
        }
        return await self._changed("open", host, **facts)

    async def probe(self, host: str, probe: str, policy: BreakerPolicy) -> Circuit:
        """Take the probe of a host that is due."""
        return await self._changed("probe", host, probe=probe, lease=policy.probe_seconds)

    async def close(self, host: str, probe: str) -> Circuit:
        """Let everybody ask a host again."""
        return await self._changed("close", host, probe=probe)

    async def give_back(self, host: str, probe: str) -> Circuit:
        """Let another make the probe."""
        return await self._changed("give_back", host, probe=probe)

    async def _changed(self, name: str, host: str, **facts: Any) -> Circuit:  # noqa: ANN401 - parameters
        """Make a change; where it was not to be made, return what holds."""
        return await self._asked(name, host, ours=True, **facts) or await self.look(host)

    async def _asked(self, name: str, host: str, *, ours: bool = False, **facts: Any) -> Circuit | None:  # noqa: ANN401
        statement: LiteralString = self._sql[name]
        async with self._database.connection() as connection:
            cursor = await connection.execute(statement, {"host": host, **facts})
            row = await cursor.fetchone()
        if row is None:
            return None
        state, seconds, openings, failures, reason = row
        return Circuit(
            state=state, seconds=max(seconds, 0.0), openings=openings, failures=failures, reason=reason, ours=ours
        )
