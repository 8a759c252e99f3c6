"""The HTTP client of one source, so that kinds need not think of limits, retries, redirects and credentials.

What does the work is loaded with the first request: the HTTP library and its TLS take a fifth of a second, and a run
of a local file sends nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kasparro.model.events import Emit
from kasparro.model.redact import Redactor
from kasparro.resilience.breakers import Breakers
from kasparro.resilience.parking import LONGEST_WAIT
from kasparro.resilience.retry import Timing
from kasparro.sources.auth import ApiKey, Basic, Bearer
from kasparro.sources.http_options import HttpOptions
from kasparro.sources.http_turns import FreeTurns, Turns
from kasparro.sources.http_url import origin
from kasparro.sources.tools import Answer, Request

if TYPE_CHECKING:
    import httpx2

    from kasparro.sources.http_client import LoadedClient

__all__ = ["HttpClient", "HttpOptions"]


def _unheard(_event: object) -> None:
    """Take an event that nobody listens to."""


class HttpClient:
    """Implements `sources.tools.Http`. Use it as an async context manager.

    Args:
        source: Name of the source, for events.
        options: Limits and retries.
        auth: Credentials, sent to `home` only.
        headers: The user's own headers, sent to `home` only.
        home: Address whose origin the credentials belong to; by default that of the first request. Say it where a run
            may begin at an address that an answer gave, as a resumed one may.
        redact: Masks secrets in errors and events, beside those of `auth` and `headers`, which are known here.
        emit: Hears `Fetched`, `Retrying` and `BreakerChanged`.
        timing: Clock, sleep and dice of the retries.
        transport: Replaces the network in tests.
        turns: Says when a host may be asked; by default at any time.
        breakers: Circuit breakers of the hosts; None: there are none, and each failure stands for itself.
        longest_wait: Seconds; one who asks to wait for longer gets an error that parks the run.
    """

    def __init__(  # noqa: PLR0913 - each is one setting or one seam
        self,
        *,
        source: str,
        options: HttpOptions | None = None,
        auth: Bearer | ApiKey | Basic | None = None,
        headers: Mapping[str, str] | None = None,
        home: str | None = None,
        redact: Redactor | None = None,
        emit: Emit = _unheard,
        timing: Timing | None = None,
        transport: "httpx2.AsyncBaseTransport | None" = None,
        turns: Turns | None = None,
        breakers: Breakers | None = None,
        longest_wait: float = LONGEST_WAIT,
    ) -> None:
        if home is not None:
            origin(home)  # what is no address is refused at once
        self._wishes: dict[str, Any] = {
            "source": source,
            "options": HttpOptions() if options is None else options,
            "auth": auth,
            "headers": dict(headers or {}),
            "home": home,
            "redact": Redactor() if redact is None else redact,
            "emit": emit,
            "timing": Timing() if timing is None else timing,
            "transport": transport,
            "turns": FreeTurns() if turns is None else turns,
            "breakers": breakers,
            "longest_wait": longest_wait,
        }
        self._entered = False
        self._loaded: LoadedClient | None = None

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        if self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            await loaded.close()

    async def fetch(self, request: Request) -> Answer:
        """Return the answer, whole and decompressed."""
        return await self._client().fetch(request)

    async def download(self, request: Request, target: Path) -> Answer:
        """Write the body to a file in constant memory; no file is left behind by a failure."""
        return await self._client().download(request, target)

    async def peek(self, request: Request) -> Answer:
        """Return the answer with no more than the beginning of its body, 8 KB at most."""
        return await self._client().peek(request)

    def _client(self) -> "LoadedClient":
        if not self._entered:
            raise RuntimeError("the client is used outside of its `async with`")
        if self._loaded is None:
            from kasparro.sources.http_client import LoadedClient, Wishes  # noqa: PLC0415 - see above

            self._loaded = LoadedClient(Wishes(**self._wishes))
        return self._loaded
