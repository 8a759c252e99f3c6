"""A run of `chaos` with a disturbed seam: `python -m kasparro.cli.disturbed double 8123 --config sources.yaml news`."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from kasparro.assembly.running import run_config
from kasparro.assembly.storage import open_store
from kasparro.cli.context import chosen, settings_with_logs
from kasparro.cli.exits import exit_of_error, exit_of_results
from kasparro.errors import KasparroError
from kasparro.faults.plan import SEAMS, Seam
from kasparro.faults.seams import disturbed_job
from kasparro.ingestion.run import Job


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sources with wrappers around their seams, tell each that was disturbed, and return the exit code."""
    parser = argparse.ArgumentParser(prog="kasparro.cli.disturbed", description=__doc__)
    parser.add_argument("act", choices=SEAMS)
    parser.add_argument("seed", type=int)
    parser.add_argument("--config", type=Path)
    parser.add_argument("targets", nargs="*")
    given = parser.parse_intermixed_args(arguments)
    try:
        return asyncio.run(_run(given.act, given.seed, given.config, given.targets))
    except KasparroError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return exit_of_error(error)


async def _run(act: Seam, seed: int, config: Path | None, targets: Sequence[str]) -> int:
    settings = settings_with_logs()
    wanted = await chosen(targets, config, settings)
    append = {source.name for source in wanted.sources if source.append}

    def wrap(job: Job) -> Job:
        return disturbed_job(job, act, seed=seed, append=job.new.source in append, say=_say)

    async with open_store(settings) as database:
        results = await run_config(wanted, settings, database=database, wrap=wrap)
    return exit_of_results(results.values())


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - at once: the process may be killed


if __name__ == "__main__":
    sys.exit(main())
