"""`chaos`: proves on your own configuration that nothing is lost or doubled."""

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kasparro.assembly.chaos import Chaos, run_chaos
from kasparro.assembly.storage import open_url
from kasparro.cli.context import ConfigOption, JsonOption, consoles, run_async, settings_with_logs
from kasparro.cli.exits import FAILED
from kasparro.cli.tables import print_json
from kasparro.config import read_environment
from kasparro.errors import Misconfigured
from kasparro.faults.bundled import write_bundled
from kasparro.faults.plan import ACTS, Act, planned
from kasparro.faults.upstream import Upstream, serving

_SMALL_PAGES = {"KASPARRO_PAGE_BYTES": "65536", "ETL_BATCH_SIZE": "1000", "ETL_CHECKPOINT_INTERVAL": "1000"}
"""Many small commits: more moments at which something can happen."""

_FAILING = 0.12
"""Share of the bundled server's answers that fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    arguments: list[str]
    upstream: Upstream


def chaos(  # noqa: PLR0913, PLR0917 - as many as the command has options
    sources: Annotated[list[str] | None, typer.Argument(help="Names of sources. [default: three bundled ones]")] = None,
    config: ConfigOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeats a plan. [default: a new one]")] = None,
    rounds: Annotated[int, typer.Option("--rounds", "-n", min=1, max=10_000, help="How many faults.")] = 10,
    faults: Annotated[str, typer.Option("--faults", help="Which, with commas between.")] = ",".join(ACTS),
    force: Annotated[bool, typer.Option("--force", help="Also with ENVIRONMENT=production.")] = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Run sources in a scratch database, kill, cut off and freeze them, and check that all is there, and once."""
    settings, screens = settings_with_logs(), consoles()
    if settings.environment == "production" and not force:
        raise Misconfigured("Chaos loads the database server and reads the sources often. In production, add --force.")
    chosen = random.SystemRandom().randrange(10**6) if seed is None else seed
    plan = planned(chosen, rounds, _acts(faults))
    again = " ".join(["kasparro chaos", *(sources or []), f"--seed {chosen} --rounds {rounds} --faults {faults}"])
    screens.errors.print(f"Repeat this plan with: {again}", markup=False, soft_wrap=True)

    async def body() -> dict[str, str]:
        with _prepared(sources or [], config, chosen) as prepared:

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

    found = run_async(body)
    if as_json:
        broken = {name: wrong for name, wrong in found.items() if wrong}
        print_json({"seed": chosen, "rounds": rounds, "invariants": list(found), "broken": broken})
    else:
        for name, wrong in found.items():
            screens.out.print(f"{'BROKEN' if wrong else 'holds '}  {name}{f': {wrong}' if wrong else ''}", markup=False)
    raise typer.Exit(FAILED if any(found.values()) else 0)


def _acts(text: str) -> list[Act]:
    words = [word.strip() for word in text.split(",")]
    acts = [act for act in ACTS if act in words]
    unknown = [word for word in words if word not in ACTS]
    if unknown or not acts:
        raise Misconfigured(f"There is no fault {', '.join(unknown) or repr(text)}. There are: {', '.join(ACTS)}")
    return acts


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
