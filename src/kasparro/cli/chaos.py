"""`chaos`: proves on your own configuration that nothing is lost or doubled."""

import asyncio
import random
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kasparro.cli.context import ConfigOption, JsonOption, consoles, run_async, settings_with_logs
from kasparro.cli.exits import FAILED
from kasparro.cli.tables import print_json
from kasparro.errors import Misconfigured
from kasparro.faults.plan import ACTS, Act, planned


def chaos(  # noqa: PLR0913, PLR0917 - as many as the command has options
    sources: Annotated[list[str] | None, typer.Argument(help="Names of sources. [default: bundled ones]")] = None,
    config: ConfigOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repeats a plan. [default: a new one]")] = None,
    rounds: Annotated[int, typer.Option("--rounds", "-n", min=1, max=10_000, help="How many faults.")] = 10,
    faults: Annotated[
        str | None,
        typer.Option(
            "--faults", help=f"Which, with commas between. [default: all that are possible of {','.join(ACTS)}]"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also with ENVIRONMENT=production.")] = False,  # noqa: FBT002
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Run sources in a scratch database, disturb them in every way, and check that all is there, and once."""
    settings, screens = settings_with_logs(), consoles()
    if settings.environment == "production" and not force:
        raise Misconfigured("Chaos loads the database server and reads the sources often. In production, add --force.")
    seeded = random.SystemRandom().randrange(10**6) if seed is None else seed
    acts = _acts(faults, owned=settings.database_url is None)
    plan = planned(seeded, rounds, acts)
    again = _again(sources or [], config, seeded, rounds, acts)
    screens.errors.print(f"Repeat this plan with: {again}", markup=False, soft_wrap=True)

    async def body() -> dict[str, str]:
        # SIGTERM ends it as Ctrl-C does: runs, databases and a private server are not left behind.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signal.raise_signal, signal.SIGINT)
        from kasparro.cli.disturbing import disturbed  # noqa: PLC0415 - no other command needs what it loads

        return await disturbed(settings, sources or [], config, seeded, plan, screens)

    # A shell lets its background jobs ignore Ctrl-C; SIGTERM, which comes as one, must end them all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = run_async(body)
    if as_json:
        broken = {name: wrong for name, wrong in found.items() if wrong}
        print_json({"seed": seeded, "rounds": rounds, "invariants": list(found), "broken": broken})
    else:
        for name, wrong in found.items():
            screens.out.print(f"{'BROKEN' if wrong else 'holds '}  {name}{f': {wrong}' if wrong else ''}", markup=False)
    raise typer.Exit(FAILED if any(found.values()) else 0)


def _again(sources: Sequence[str], config: Path | None, seed: int, rounds: int, acts: Sequence[Act]) -> str:
    named = [] if config is None else ["--config", str(config)]
    options = ["--seed", str(seed), "--rounds", str(rounds), "--faults", ",".join(acts)]
    return shlex.join(["kasparro", "chaos", *sources, *named, *options])


def _acts(text: str | None, *, owned: bool) -> list[Act]:
    """Return the acts that are named, in the order of the table; all that are possible where none is.

    Args:
        text: Names with commas between.
        owned: Whether the server of the database is chaos's own, and may crash.
    """
    if text is None:
        return [act for act in ACTS if owned or act != "restart"]
    words = [word.strip() for word in text.split(",")]
    acts = [act for act in ACTS if act in words]
    unknown = [word for word in words if word not in ACTS]
    if unknown or not acts:
        raise Misconfigured(f"There is no fault {', '.join(unknown) or repr(text)}. There are: {', '.join(ACTS)}")
    if "restart" in acts and not owned:
        raise Misconfigured(
            "The fault restart lets the database server crash, and DATABASE_URL names one that is not chaos's own. "
            "Unset DATABASE_URL, so that chaos starts a server of its own, or leave restart out of --faults."
        )
    return acts
