"""The rate limits of the sources of a process: each request counts on a budget that all who share it keep."""

from collections.abc import Callable, Mapping

from kasparro.model.rate import NO_LIMIT, RateLimit
from kasparro.resilience.budget import Budget, Permit
from kasparro.resilience.budget_demand import Desk
from kasparro.resilience.callers import Caller, key_of
from kasparro.resilience.retry import Timing

Told = Callable[[str, float, str], None]
"""Told that a request waits or has waited: host, seconds, and for what."""


class Limits:
    """All budgets of a process. `close` it.

    Args:
        desk: Keeps the books.
        hosts: What is declared for hosts: for all sources and credentials together.
        timing: Clock, sleep and date.
    """

    def __init__(self, desk: Desk, hosts: Mapping[str, RateLimit], timing: Timing | None = None) -> None:
        self._desk, self._hosts = desk, hosts
        self._timing = Timing() if timing is None else timing
        self._budgets: dict[str, Budget] = {}

    def of(self, caller: Caller, told: Told) -> "CallerTurns":
        """Return the turns of a source."""
        return CallerTurns(self, caller, told)

    async def close(self) -> None:
        """Give all permits back."""
        for budget in self._budgets.values():
            await budget.close()

    def budget(self, caller: Caller, host: str) -> tuple[Budget, float]:
        """Return the budget that requests of a source to a host count on, and how long they wait for it at most."""
        key, shared, longest = key_of(caller, host, self._hosts), self._hosts.get(host), caller.limit.longest_wait
        budget = self._budgets.get(key)
        if budget is None:
            budget = self._budgets[key] = Budget(key, host, self._desk, self._timing)
        budget.declare(caller.name, caller.limit)
        if shared is not None:
            budget.declare("", shared)
            longest = longest if caller.limit != NO_LIMIT else shared.longest_wait
        return budget, longest


class CallerTurns:
    """Implements `sources.http_turns.Turns` for one source."""

    def __init__(self, limits: Limits, caller: Caller, told: Told) -> None:
        self._limits, self._caller, self._told = limits, caller, told
        self._budgets: dict[str, tuple[Budget, float]] = {}

    async def before(self, host: str) -> "CountedTurn":
        """Wait until the host may be asked. Raises as `Budget.take`."""
        known = self._budgets.get(host)
        if known is None:
            known = self._budgets[host] = self._limits.budget(self._caller, host)
        budget, longest = known

        def told(seconds: float, why: str) -> None:
            self._told(host, seconds, why)

        return CountedTurn(budget, await budget.take(longest, told))


class CountedTurn:
    """Implements `sources.http_turns.Turn`."""

    def __init__(self, budget: Budget, permit: Permit) -> None:
        self._budget, self._permit = budget, permit

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from the head of the answer."""
        self._budget.answered(self._permit, status, headers)

    def over(self, error: BaseException | None) -> None:  # noqa: ARG002 - the seam
        """The exchange has ended."""
        self._budget.over(self._permit)
