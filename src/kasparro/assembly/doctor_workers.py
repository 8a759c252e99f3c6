"""What `kasparro doctor` thinks of what runs: workers that differ, and sources that wait."""

from collections.abc import Iterator

from kasparro.config import Config, whole_hash
from kasparro.model.diagnosis import Diagnosis, ok, warning
from kasparro.model.redact import Redactor
from kasparro.store.examining import AtWork, Worker
from kasparro.version import __version__


def of_work(found: AtWork, config: Config | None, redact: Redactor) -> Iterator[Diagnosis]:
    """Return what is said of workers and of sources that wait. `redact`: masks what makes no difference, secrets."""
    yield from _workers(found.workers, config)
    yield from _configurations(found.workers, None if config is None else whole_hash(config, redact))
    for host in found.left_alone:
        says = f"{host.host} is left alone until {host.retry_at:%H:%M:%S} UTC, as it kept failing: {host.reason}"
        yield warning("workers", host.host, says, "Look whether the host is up; it is asked again by itself.")
    for one in found.parked:
        if one.due:
            says = f"{one.source} was parked until {one.resume_at:%Y-%m-%d %H:%M} UTC, and nobody has gone on with it"
            yield warning("workers", one.source, says, f"Start a worker, or run it: kasparro run {one.source}")
        else:
            says = f"{one.source} is parked until {one.resume_at:%Y-%m-%d %H:%M} UTC: a rate limit resets then"
            yield ok("workers", one.source, says)


def _workers(workers: tuple[Worker, ...], config: Config | None) -> Iterator[Diagnosis]:
    if not workers:
        if config is not None and any(source.schedule is not None for source in config.sources):
            remedy = "Start one: kasparro worker (or kasparro up, which has one)."
            yield warning("workers", "none", "sources have a schedule, and no worker is alive to run them", remedy)
        else:
            yield ok("workers", "none", "no worker is alive; runs are started by hand")
        return
    yield ok("workers", "alive", f"{len(workers)} alive: {', '.join(one.name for one in workers)}")
    others = sorted({one.version for one in workers if one.version != __version__})
    if others:
        says = f"workers run version {', '.join(others)}, and this is {__version__}"
        yield warning("workers", "version", says, "Finish the upgrade: docs/operating.md, Upgrading.")
    if config is not None:
        known = {name for one in workers for name in one.sources}
        for name in sorted({source.name for source in config.sources} - known):
            remedy = "Restart the workers with this configuration."
            yield warning("workers", name, f"no worker that is alive knows the source {name}", remedy)


def _configurations(workers: tuple[Worker, ...], ours: str | None) -> Iterator[Diagnosis]:
    """Tell which workers have another configuration than this one, or, where there is none here, than each other."""
    hashes = {one.config_hash for one in workers} | ({ours} if ours is not None and workers else set())
    if len(hashes) > 1:
        names = "; ".join(f"{one.name}: {one.config_hash[:8]}" for one in workers if one.config_hash != ours)
        here = "" if ours is None else f" than this one ({ours[:8]})"
        says = f"workers have other configurations{here}: {names}"
        yield warning("workers", "configuration", says, "Give all of them the same kasparro.yaml and restart them.")
