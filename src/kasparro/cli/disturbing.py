"""What `chaos` disturbs: the sources that are named, or bundled ones and the server they read from."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kasparro.assembly.chaos import Chaos, run_chaos
from kasparro.cli.context import Consoles, chosen
from kasparro.config import Settings, read_environment
from kasparro.errors import Misconfigured
from kasparro.faults.bundled import write_bundled
from kasparro.faults.plan import Fault, Seam
from kasparro.faults.server import private_server
from kasparro.faults.upstream import Upstream, serving

_SMALL_PAGES = {"KASPARRO_PAGE_BYTES": "65536", "ETL_BATCH_SIZE": "1000", "ETL_CHECKPOINT_INTERVAL": "1000"}
"""Many small commits: more moments at which something can happen."""

_FAILING = 0.12
"""Share of the bundled server's answers that fail."""

Restart = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    config: Path | None
    names: list[str]
    upstream: Upstream

    def command(self, seam: Seam | None, seed: int) -> list[str]:
        """Return the arguments of Python that run the sources."""
        named = [*([] if self.config is None else ["--config", str(self.config)]), *self.names]
        if seam is None:
            return ["-m", "kasparro", "run", "--json", *named]
        return ["-m", "kasparro.cli.disturbed", seam, str(seed), *named]


async def disturbed(  # noqa: PLR0913, PLR0917 - what the command was given
    settings: Settings, sources: list[str], config: Path | None, seed: int, plan: Sequence[Fault], screens: Consoles
) -> dict[str, str]:
    """Return each invariant with what is wrong with it; an empty text where it holds."""
    with _prepared(sources, config, seed) as prepared:

        def disturb() -> None:
            prepared.upstream.share = _FAILING

        wanted = await chosen(prepared.names, prepared.config, settings)
        async with _server(settings) as (url, restart):
            made = Chaos(
                command=prepared.command,
                environment={**read_environment(), **_SMALL_PAGES},
                append={source.name for source in wanted.sources if source.append},
                plan=plan,
                disturb=disturb,
                restart=restart,
                say=lambda line: screens.errors.print(line, markup=False, soft_wrap=True),
            )
            found = await run_chaos(made, url)
        if not sources:
            made.say(f"{prepared.upstream.failed} answers of the bundled server failed.")
        return found


@contextmanager
def _prepared(sources: list[str], config: Path | None, seed: int) -> Iterator[_Sources]:
    """Give the sources that are named, or bundled ones and the server they read from."""
    upstream = Upstream(seed)
    if sources:
        yield _Sources(config=config, names=sources, upstream=upstream)
        return
    with tempfile.TemporaryDirectory(prefix="kasparro-chaos-") as folder, serving(upstream) as address:
        yield _Sources(config=write_bundled(Path(folder), address), names=[], upstream=upstream)


@asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[tuple[str, Restart]]:
    """Give the server that the settings name, which is left alone, or a private one, which may be restarted."""
    if settings.database_url is not None:

        async def refuse() -> None:
            raise Misconfigured("A server that DATABASE_URL names is not restarted. Unset it, or leave restart out.")

        yield settings.database_url.get_secret_value(), refuse
        return
    with private_server() as server:

        async def crash() -> None:
            await asyncio.to_thread(server.crash)

        yield server.url, crash
