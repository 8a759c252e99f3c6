"""Several workers on one queue: each run once, and none lost, whatever becomes of a worker."""

import re
import signal
from pathlib import Path

from tests.integration.conftest import LOCKS, SESSIONS
from tests.integration.workers.conftest import (
    EXACT,
    LEASE,
    SHORT,
    Processes,
    Provider,
    Stop,
    commit_held,
    declare,
    exact,
    said_to_stop,
)

RUNS = "SELECT source, status, trigger FROM etl_run ORDER BY id"


def test_workers_drain_a_queue_and_run_each_source_once(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    sources = [f"s{number}" for number in range(9)]
    config = declare(tmp_path, provider.url, *sources)
    processes.queue(config)
    workers = [
        processes.start(config, "worker", "--name", name, "--concurrency", "2") for name in ("one", "two", "three")
    ]
    processes.drained()
    said = [stop(worker) for worker in workers]
    assert sorted(processes.ask(RUNS)) == [(source, "success", "run") for source in sources]
    assert processes.ask(EXACT) == exact(*sources)
    assert max(provider.asked.values()) == 1  # nobody read what another one had read
    assert sum(text.count("job taken") for text in said) == len(sources)
    assert processes.ask("SELECT count(*) FROM worker") == [(0,)]


def test_one_run_of_a_source_at_a_time_and_the_next_one_waits_behind_it(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 3)
    workers = [processes.worker(config, name) for name in ("one", "two")]
    processes.queue(config, "slow")
    provider.wait_for("slow", 3)
    again = processes.call(config, "run", "slow", "--queue", "--full-refresh")
    assert "queued as job" in again.stdout
    listed = processes.call(config, "queue")  # no option --config: it asks the database alone
    assert listed.returncode == 2
    assert processes.ask("SELECT status::text FROM procrastinate_jobs ORDER BY id") == [("doing",), ("todo",)]
    assert processes.ask("SELECT count(*) FROM etl_run") == [(1,)]
    provider.let_go()
    processes.drained()
    for worker in workers:
        stop(worker)
    assert processes.ask(RUNS) == [("slow", "success", "run"), ("slow", "success", "full_refresh")]
    (finished, _), (_, started) = processes.ask("SELECT finished_at, started_at FROM etl_run ORDER BY id")
    assert started >= finished
    assert processes.ask(EXACT) == exact("slow")


def test_a_worker_that_is_told_to_stop_ends_the_commit_in_hand_and_another_goes_on(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 6)
    provider.hold("slow", 8)
    first = processes.worker(config, "first", **SHORT)
    processes.queue(config, "slow")
    provider.wait_for("slow", 6)
    second = processes.worker(config, "second")
    with commit_held(processes, provider):
        first.send_signal(signal.SIGTERM)
        said_to_stop(first)
        ((later,),) = processes.ask(f"SELECT clock_timestamp() + interval '{LEASE + 1} s'")
        processes.until(f"SELECT clock_timestamp() > '{later}'")
        # It has a run in hand, so it is alive, and nobody takes that from it.
        assert processes.ask("SELECT status::text, attempts FROM procrastinate_jobs") == [("doing", 0)]
        assert processes.ask("SELECT heartbeat_at + lease > now() FROM worker WHERE name = 'first'") == [(True,)]
        ((before,),) = processes.ask("SELECT extracted FROM etl_run")
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 0, out
    ((after,),) = processes.ask("SELECT extracted FROM etl_run WHERE id = 1")
    assert after > before  # what it had in hand is in
    provider.let_go()
    processes.drained()
    assert processes.ask(RUNS) == [("slow", "stopped", "run"), ("slow", "success", "run")]
    stop(second)
    assert processes.ask(EXACT) == exact("slow")
    assert provider.asked["slow", 1] == 1  # the second went on from the last commit
    assert processes.ask("SELECT status::text, attempts FROM procrastinate_jobs") == [("succeeded", 2)]


def test_a_worker_that_is_told_twice_ends_at_once_and_its_job_waits(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 6)
    first = processes.worker(config, "first", KASPARRO_LEASE_SECONDS="3600")
    processes.queue(config, "slow")
    provider.wait_for("slow", 6)
    with commit_held(processes, provider):
        first.send_signal(signal.SIGTERM)
        said_to_stop(first)
        first.send_signal(signal.SIGTERM)
        out, _ = first.communicate(timeout=60)
    assert first.returncode == 130, out
    assert "Ended at once. What was committed stays" in out, out
    assert "Traceback" not in out, out
    assert processes.ask("SELECT status::text, attempts FROM procrastinate_jobs") == [("todo", 1)]
    assert processes.ask("SELECT count(*) FROM worker") == [(0,)]
    second = processes.worker(config, "second")
    processes.drained()
    stop(second)
    assert processes.ask(EXACT) == exact("slow")


def test_a_killed_worker_is_found_and_its_run_goes_on_elsewhere(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 6)
    first = processes.worker(config, "first", **SHORT)
    processes.queue(config, "slow")
    provider.wait_for("slow", 6)
    second = processes.worker(config, "second")
    third = processes.worker(config, "third")
    first.kill()
    provider.let_go()
    processes.drained()
    said = stop(second) + stop(third)
    assert processes.ask(RUNS) == [("slow", "interrupted", "run"), ("slow", "success", "run")]
    assert processes.ask(EXACT) == exact("slow")
    assert said.count("a worker is lost") == said.count("job of a lost worker waits again") == 1
    assert provider.asked["slow", 1] == 1


def test_a_frozen_worker_loses_its_run_and_its_commit_is_refused(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 6)
    first = processes.worker(config, "first", **SHORT)
    processes.queue(config, "slow")
    provider.wait_for("slow", 6)  # it has committed pages, and waits for this one
    first.send_signal(signal.SIGSTOP)
    second = processes.worker(config, "second")
    provider.wait_for("slow", 6, times=2)  # the second one went on where the first one stands
    processes.until("SELECT array_agg(status ORDER BY id) = '{interrupted,running}' FROM etl_run")
    first.send_signal(signal.SIGCONT)
    provider.let_go()  # both are answered, and both want to commit it
    processes.drained()
    lost, took = stop(first), stop(second)
    assert processes.ask(RUNS) == [("slow", "interrupted", "run"), ("slow", "success", "run")]
    assert processes.ask(EXACT) == exact("slow")
    assert "was not heard of for longer than its lease" in lost
    assert "job is in other hands since" in lost
    assert "a worker is lost" in took
    counts = "SELECT sum(extracted)::int, sum(inserted)::int FROM etl_run"
    totals = "SELECT extracted::int, inserted::int, runs::int FROM etl_source"
    ((extracted, inserted),), (whole,) = processes.ask(counts), processes.ask(totals)
    assert (extracted, inserted) == whole[:2] == (600, 600)
    assert whole[2] == 2
    # The job is ended once, by the one that has it: the one that woke up leaves it alone. It may have been tried once
    # more, before the server let go of the source.
    assert processes.ask("SELECT status::text, attempts > 1 FROM procrastinate_jobs") == [("succeeded", True)]


def test_a_worker_that_is_frozen_in_the_middle_of_a_commit_is_in_nobody_s_way(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 6)
    first = processes.worker(config, "first", **SHORT)
    processes.queue(config, "slow")
    provider.wait_for("slow", 6)
    with commit_held(processes, provider):
        first.send_signal(signal.SIGSTOP)
    processes.until(f"SELECT count(*) > 0 {SESSIONS} AND state = 'idle in transaction'")
    second = processes.worker(config, "second")
    processes.drained()
    first.send_signal(signal.SIGCONT)
    assert "job is in other hands since" in stop(first)
    stop(second)
    assert processes.ask(RUNS) == [("slow", "interrupted", "run"), ("slow", "success", "run")]
    assert processes.ask(EXACT) == exact("slow")
    assert processes.ask("SELECT extracted::int FROM etl_source") == [(600,)]


def test_a_worker_has_no_more_in_hand_than_it_may(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    sources = ["a", "b", "c", "d"]
    config = declare(tmp_path, provider.url, *sources)
    for source in sources:
        provider.hold(source, 2)
    processes.queue(config)
    worker = processes.worker(config, "one", "--concurrency", "2")
    provider.wait_for("a", 2)
    provider.wait_for("b", 2)
    statuses = "SELECT status::text FROM procrastinate_jobs ORDER BY id"
    assert processes.ask(statuses) == [("doing",), ("doing",), ("todo",), ("todo",)]
    provider.let_go()
    processes.drained()
    stop(worker)
    assert processes.ask(EXACT) == exact(*sources)


def test_a_run_of_the_command_line_that_is_frozen_is_taken_over_too(
    processes: Processes, provider: Provider, tmp_path: Path
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 6)
    first = processes.start(config, "run", **SHORT)
    provider.wait_for("slow", 6)
    refused = processes.call(config, "run")
    assert refused.returncode == 1
    assert re.search(r"Another run of slow is under way \(run 1 by \S+, since", refused.stderr)
    first.send_signal(signal.SIGSTOP)
    # The server ends the silent session, and with it the lock: nobody has to kill anything.
    processes.until(f"SELECT count(*) = 0 {LOCKS} AND objsubid = 1")
    second = processes.start(config, "run")
    provider.wait_for("slow", 6, times=2)
    first.send_signal(signal.SIGCONT)
    provider.let_go()
    out, _ = first.communicate(timeout=60)
    assert "another run has gone on from its last commit" in re.sub(r"\s+", " ", out)
    assert "stopped" in out
    assert second.wait(timeout=60) == 0
    assert processes.ask(RUNS) == [("slow", "interrupted", "run"), ("slow", "success", "run")]
    assert processes.ask(EXACT) == exact("slow")


def test_a_job_waits_for_a_run_that_was_started_by_hand(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    config = declare(tmp_path, provider.url, "slow")
    provider.hold("slow", 3)
    by_hand = processes.start(config, "run")
    provider.wait_for("slow", 3)
    worker = processes.worker(config, "one")
    processes.queue(config, "slow")
    processes.until("SELECT bool_or(attempts > 1) FROM procrastinate_jobs")  # it was tried, and waits
    provider.let_go()
    assert by_hand.wait(timeout=60) == 0
    processes.drained()
    said = stop(worker)
    assert said.count("job waits") == 1
    assert "slow: failed" not in said
    assert processes.ask(RUNS) == [("slow", "success", "run"), ("slow", "success", "run")]  # and no failed one
    assert processes.ask(EXACT) == exact("slow")


def test_a_worker_takes_only_what_its_configuration_declares(
    processes: Processes, provider: Provider, tmp_path: Path, stop: Stop
) -> None:
    both, other = tmp_path / "both", tmp_path / "other"
    both.mkdir()
    other.mkdir()
    all_of_them = declare(both, provider.url, "kept", "removed")
    processes.queue(all_of_them)
    first = processes.worker(declare(other, provider.url, "kept"), "first")
    processes.until("SELECT count(*) = 1 FROM etl_run WHERE status = 'success'")
    waits = "SELECT args ->> 'source', attempts FROM procrastinate_jobs WHERE status = 'todo'"
    assert processes.ask(waits) == [("removed", 0)]  # nobody has failed what it does not know
    second = processes.worker(all_of_them, "second")
    processes.drained()
    assert "another worker has another configuration" in stop(second)
    stop(first)
    assert sorted(processes.ask(RUNS)) == [("kept", "success", "run"), ("removed", "success", "run")]
