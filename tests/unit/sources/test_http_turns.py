import asyncio
from collections.abc import Mapping

import httpx2
import pytest

from kasparro.errors import KasparroError, RateLimited, Unreachable
from kasparro.model.events import Event, Fetched
from kasparro.sources.http import HttpClient
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.http_turns import host_of
from kasparro.sources.tools import Request

URL = "https://api.example.com/x"


class Noted:
    """Turns that are noted, and may take a while."""

    def __init__(self, wait: float = 0.0, error: KasparroError | None = None) -> None:
        self.told: list[tuple[str, object]] = []
        self._wait, self._error = wait, error

    async def before(self, host: str) -> "Noted":
        await asyncio.sleep(self._wait)
        if self._error is not None:
            raise self._error
        self.told.append(("before", host))
        return self

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self.told.append(("answered", (status, headers.get("retry-after"))))

    def over(self, error: BaseException | None) -> None:
        self.told.append(("over", None if error is None else type(error).__name__))


async def fetch(turns: Noted, answer: httpx2.MockTransport, **options: float) -> list[Event]:
    events: list[Event] = []
    made = HttpOptions(attempts=1, **options)  # type: ignore[arg-type] # some of them are whole numbers
    async with HttpClient(source="a", transport=answer, turns=turns, options=made, emit=events.append) as client:
        await client.fetch(Request(url=URL))
    return events


def answering(*answers: httpx2.Response) -> httpx2.MockTransport:
    left = list(answers)
    return httpx2.MockTransport(lambda _request: left.pop(0))


def reply(status: int, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, headers=named, stream=httpx2.ByteStream(b"{}"))


async def test_each_hop_takes_a_turn_at_its_own_host() -> None:
    turns = Noted()
    away = reply(302, location="https://cdn.example.com:8443/y")
    await fetch(turns, answering(away, reply(200)))
    assert turns.told == [
        ("before", "api.example.com"),
        ("answered", (302, None)),
        ("over", None),
        ("before", "cdn.example.com:8443"),
        ("answered", (200, None)),
        ("over", None),
    ]


async def test_a_refusal_is_heard_and_ends_the_turn() -> None:
    turns = Noted()
    with pytest.raises(RateLimited):
        await fetch(turns, answering(reply(429, retry_after="3600")))
    assert turns.told == [("before", "api.example.com"), ("answered", (429, "3600")), ("over", "RateLimited")]


async def test_no_answer_ends_the_turn_too() -> None:
    turns = Noted()

    def cut(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("cut")

    with pytest.raises(Unreachable):
        await fetch(turns, httpx2.MockTransport(cut))
    assert turns.told == [("before", "api.example.com"), ("over", "ReadError")]


async def test_a_wait_for_a_turn_is_not_part_of_the_time_of_an_attempt() -> None:
    events = await fetch(Noted(wait=0.3), answering(reply(200)), total_timeout=0.2)
    (fetched,) = [one for one in events if isinstance(one, Fetched)]
    assert fetched.seconds < 0.2


async def test_a_turn_that_is_refused_sends_nothing() -> None:
    turns = Noted(error=RateLimited("wait", retry_after=100.0, park=True))
    with pytest.raises(RateLimited):
        await fetch(turns, answering())
    assert turns.told == []


@pytest.mark.parametrize(
    ("url", "host"),
    [(URL, "api.example.com"), ("http://h:80/", "h"), ("http://h:8080/", "h:8080"), ("https://h:443/x?y", "h")],
)
def test_hosts_are_written_with_a_port_that_is_not_the_usual_one(url: str, host: str) -> None:
    assert host_of(url) == host
