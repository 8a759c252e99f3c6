"""What `chaos` disturbs: the sources that are named, or three bundled ones and the server they read from."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kasparro.assembly.chaos import Chaos, run_chaos
from kasparro.assembly.storage import open_url
from kasparro.cli.context import Consoles
from kasparro.config import Settings, read_environment
from kasparro.faults.bundled import write_bundled
from kasparro.faults.plan import Fault
from kasparro.faults.upstream import Upstream, serving

_SMALL_PAGES = {"KASPARRO_PAGE_BYTES": "65536", "ETL_BATCH_SIZE": "1000", "ETL_CHECKPOINT_INTERVAL": "1000"}
"""Many small commits: more moments at which something can happen."""

_FAILING = 0.12
"""Share of the bundled server's answers that fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    arguments: list[str]
    upstream: Upstream


async def disturbed(  # noqa: PLR0913, PLR0917 - what the command was given
    settings: Settings, sources: list[str], config: Path | None, seed: int, plan: Sequence[Fault], screens: Consoles
) -> dict[str, str]:
    """Return each invariant with what is wrong with it; an empty text where it holds."""
    with _prepared(sources, config, seed) as prepared:

        def disturb() -> None:
            prepared.upstream.share = _FAILING

        made = Chaos(
            arguments=prepared.arguments,
            environment={**read_environment(), **_SMALL_PAGES},
            plan=plan,
            disturb=disturb,
            say=lambda line: screens.errors.print(line, markup=False, soft_wrap=True),
        )
        async with open_url(settings) as url:
            found = await run_chaos(made, url)
        if not sources:
            made.say(f"{prepared.upstream.failed} answers of the bundled server failed.")
        return found


@contextmanager
def _prepared(sources: list[str], config: Path | None, seed: int) -> Iterator[_Sources]:
    """Give the arguments of the runs: the sources that are named, or bundled ones and the server they read from."""
    upstream = Upstream(seed)
    if sources:
        named = ["--config", str(config)] if config is not None else []
        yield _Sources(arguments=[*named, *sources], upstream=upstream)
        return
    with tempfile.TemporaryDirectory(prefix="kasparro-chaos-") as folder, serving(upstream) as address:
        written = write_bundled(Path(folder), address)
        yield _Sources(arguments=["--config", str(written)], upstream=upstream)
