"""`workers --check`: the health check of a container with a worker."""

import socket

import psycopg
import pytest
from tests.integration.stories.conftest import Kasparro, kasparro

__all__ = ["kasparro"]

HERE = socket.gethostname()
WORKER = (
    "INSERT INTO worker (id, name, host, pid, version, config_hash, sources, concurrency, lease, heartbeat_at)"
    " VALUES (%s, 'one', %s, 1, '1', 'hash', '{}', 4, '60 s', clock_timestamp() - %s::interval)"
)


@pytest.mark.parametrize(
    ("known", "code", "rest"),
    [
        ([], 1, "there is none"),
        ([(HERE, "1 s")], 0, ""),
        ([(HERE, "1 h")], 1, "the last one said so at 2"),
        ([("elsewhere", "1 s")], 1, "there is none"),
        ([("elsewhere", "1 s"), (HERE, "1 h"), (HERE, "2 s")], 0, ""),
    ],
    ids=["nobody", "alive", "silent", "another host's", "one of two"],
)
def test_it_is_the_worker_of_this_host_that_counts(
    kasparro: Kasparro, database_url: str, known: list[tuple[str, str]], code: int, rest: str
) -> None:
    with psycopg.connect(database_url) as connection:
        for number, (host, ago) in enumerate(known, start=1):
            connection.execute(WORKER, (number, host, ago))
    said = kasparro("workers", "--check")
    assert (said.code, said.out) == (code, "")
    expected = f"No worker of this host, {HERE}, is alive: {rest}" if code else ""
    assert said.err.startswith(expected)
    assert bool(said.err) == bool(code)
