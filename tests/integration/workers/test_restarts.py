"""The server of the database crashes while workers work: they wait for it, and nothing is lost or run twice."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.workers.conftest import EXACT, Processes, Provider, Stop, declare, exact

from kasparro.faults.server import PrivateServer, private_server


@pytest.fixture
def crashing() -> Iterator[PrivateServer]:
    with private_server() as server:
        yield server


@pytest.mark.slow
def test_the_database_crashes_three_times_under_load(
    crashing: PrivateServer, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    sources = ["a", "b", "c"]
    config = declare(tmp_path, provider.url, *sources)
    with ExitStack() as stack:
        processes = Processes(crashing.url, stack)
        for page in (3, 6, 9):
            for source in sources:
                provider.hold(source, page)
        processes.queue(config)
        patient = {"KASPARRO_LEASE_SECONDS": "60"}  # nobody is lost, however long a start of the server takes
        workers = [processes.worker(config, name, "--concurrency", "2", **patient) for name in ("one", "two")]
        for page in (3, 6, 9):
            for source in sources:
                provider.wait_for(source, page)
            crashing.crash()
            provider.let_go_of(page)
        processes.drained()
        said = [stop(worker) for worker in workers]
        assert processes.ask(EXACT) == exact(*sources)
        jobs = "SELECT status::text, attempts FROM procrastinate_jobs ORDER BY id"
        assert processes.ask(jobs) == [("succeeded", 1)] * len(sources)  # one after the other, and each by one hand
        ended = "SELECT source, count(*) FILTER (WHERE status = 'success')::int FROM etl_run GROUP BY 1 ORDER BY 1"
        assert processes.ask(ended) == [(source, 1) for source in sources]
    for text in said:
        assert "Traceback" not in text, text
        assert text.count("the queue cannot be reached") == text.count("the queue is reached again") <= 3
    assert sum(text.count("job ended") for text in said) == len(sources)
