"""A worker process of the tests: runs sources of the provider, and prints what came of it as JSON.

`python reader.py '{"port": 1, "database": "...", "sources": ["a"], ...}'`. With `fetch` it only fetches the pages, by
the client and the limits that runs have, and loads nothing: for a machine that has no time to spare.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field

from pydantic import SecretStr

from kasparro import run_etl_with_backoff
from kasparro.assembly.limiting import Limiting
from kasparro.errors import KasparroError
from kasparro.model.events import Event, Fetched, Retrying, Throttled
from kasparro.model.rate import RateLimit, read_rates
from kasparro.model.source import Declared
from kasparro.sources.api import Api
from kasparro.sources.auth import Bearer
from kasparro.sources.http import HttpClient
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.tools import Request
from kasparro.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the process does."""

    port: int
    database: str
    sources: list[str]
    rate: str = ""
    pages: int = 100
    records: int = 5
    fetch: bool = False


@dataclass(kw_only=True)
class Heard:
    """What was told meanwhile."""

    waits: int = 0
    waited: float = 0.0
    retries: int = 0
    requests: int = 0
    reasons: set[str] = field(default_factory=set)

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case Throttled():
                self.waits += 1
                self.waited += event.seconds
                self.reasons.add(event.reason)
            case Retrying():
                self.retries += 1
            case Fetched():
                self.requests += 1
            case _:
                pass


async def fetched(task: Task, heard: Heard) -> dict[str, object]:
    """Fetch the pages of each source, one after the other, all sources side by side."""

    async def walk(name: str, limiting: Limiting) -> str:
        url = f"http://127.0.0.1:{task.port}/{name}"
        kind = Api(url=url, auth=Bearer(token=SecretStr("the-key-of-the-tests")))
        limit = RateLimit(rates=read_rates(task.rate)) if task.rate else None
        turns = limiting.turns(Declared(name=name, kind=kind, rate_limit=limit), heard)
        options = HttpOptions(first_wait=0.2)
        async with HttpClient(
            source=name, auth=kind.auth, home=url, turns=turns, emit=heard, options=options
        ) as client:
            try:
                for page in range(1, task.pages + 1):
                    await client.fetch(Request(url=f"{url}?page={page}"))
            except KasparroError as error:
                return error.code
        return "success"

    async with Database(task.database, size=2) as database:
        limiting = Limiting(database, {})
        try:
            ends = await asyncio.gather(*(walk(name, limiting) for name in task.sources))
        finally:
            await limiting.close()
    return dict(zip(task.sources, ends, strict=True))


async def ran(task: Task, heard: Heard) -> dict[str, object]:
    """Run the sources."""
    shape: dict[str, object] = {
        "type": "api",
        "records": "items",
        "primary_key": "id",
        "pagination": {"type": "page_number", "size": task.records},
        "auth": {"type": "bearer", "token": "the-key-of-the-tests"},
        "http": {"first_wait": 0.2, "breaker": False},
    }
    if task.rate:
        shape["rate_limit"] = task.rate
    sources = {name: {**shape, "url": f"http://127.0.0.1:{task.port}/{name}"} for name in task.sources}
    results = await run_etl_with_backoff(sources, database_url=task.database, emit=heard)
    return {name: [one.status, one.counts.inserted, one.error] for name, one in results.items()}


def main() -> None:
    """Do the task, and tell of it."""
    task, heard = Task(**json.loads(sys.argv[1])), Heard()
    ends = asyncio.run(fetched(task, heard) if task.fetch else ran(task, heard))
    facts = {"waits": heard.waits, "waited": heard.waited, "retries": heard.retries, "requests": heard.requests}
    print(json.dumps({"ends": ends, **facts, "reasons": sorted(heard.reasons)}))


if __name__ == "__main__":
    main()
