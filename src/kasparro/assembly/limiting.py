"""The rate limits of the runs of a process. What does the work is loaded with the first request that is sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kasparro.model.events import Emit, Throttled
from kasparro.model.rate import RateLimit
from kasparro.model.source import Declared
from kasparro.sources.http_turns import Turn, Turns
from kasparro.store.database import Database

if TYPE_CHECKING:
    from kasparro.resilience.limits import Limits
    from kasparro.store.budgets import BudgetDesk


class Limiting:
    """Gives each source its turns. `close` it.

    Args:
        database: Where budgets are shared with other processes.
        hosts: What is declared for hosts.
    """

    def __init__(self, database: Database, hosts: Mapping[str, RateLimit]) -> None:
        self._database, self._hosts = database, hosts
        self._limits: Limits | None = None
        self._desk: BudgetDesk | None = None

    def turns(self, declared: Declared, emit: Emit) -> Turns:
        """Return the turns of a source. `emit` hears `Throttled`."""
        return _LateTurns(self, declared, emit)

    async def close(self) -> None:
        """Give all permits back."""
        if self._limits is not None:
            await self._limits.close()
        if self._desk is not None:
            await self._desk.close()

    def loaded(self) -> "Limits":
        """Return what does the work."""
        if self._limits is None:
            from kasparro.resilience.limits import Limits  # noqa: PLC0415 - see above
            from kasparro.store.budgets import BudgetDesk  # noqa: PLC0415

            self._desk = BudgetDesk(self._database)
            self._limits = Limits(self._desk, self._hosts)
        return self._limits


class _LateTurns:
    """Implements `Turns`; made before anybody knows whether the source asks any host."""

    def __init__(self, limiting: Limiting, declared: Declared, emit: Emit) -> None:
        self._limiting, self._declared, self._emit = limiting, declared, emit
        self._turns: Turns | None = None

    async def before(self, host: str) -> Turn:
        """Wait until the host may be asked. Raises RateLimited and StoreBusy."""
        if self._turns is None:
            from kasparro.sources.http_caller import caller_of  # noqa: PLC0415

            self._turns = self._limiting.loaded().of(caller_of(self._declared), self._told)
        return await self._turns.before(host)

    def _told(self, host: str, seconds: float, reason: str) -> None:
        self._emit(Throttled(source=self._declared.name, host=host, seconds=seconds, reason=reason))
