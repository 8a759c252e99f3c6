"""`chaos`: proves on your own configuration that nothing is lost or doubled."""

import random
from typing import Annotated

import typer

from kasparro.cli.context import ConfigOption, JsonOption, consoles, run_async, settings_with_logs
from kasparro.cli.exits import FAILED
from kasparro.cli.tables import print_json
from kasparro.errors import Misconfigured
from kasparro.faults.plan import ACTS, Act, planned


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
        from kasparro.cli.disturbing import disturbed  # noqa: PLC0415 - no other command needs what it loads

        return await disturbed(settings, sources or [], config, chosen, plan, screens)

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
