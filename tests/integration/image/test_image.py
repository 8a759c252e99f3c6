"""The image of the Dockerfile, built and run for real: API and worker of the compose file against a PostgreSQL.

Docker does not run everywhere; what makes its containers, runc, does. So the services run as the compose file says: as
its user, with a read-only root and without a capability, with its health checks, in a network with nothing else in it.
"""

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.image.building import ROOT, Image, bytes_of
from tests.integration.image.conftest import composed
from tests.integration.image.containers import Container, Pod, wait

pytestmark = pytest.mark.slow

RECORDS = 60_000
DIGEST = "SELECT count(*), bit_xor(hashtextextended(key || '|' || title, 0))"
MADE = f" FROM generate_series(0, {RECORDS - 1}) AS n"


@pytest.fixture(scope="session")
def load(project: Path) -> Path:
    """Two sources: the sample, and a file of many pages."""
    path = project / "data" / "load.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("id,title,value\n")
        file.writelines(f"{number},record number {number},{number % 97}\n" for number in range(RECORDS))
    sources = {
        "planes": {"type": "csv", "path": "data/sample.csv", "primary_key": "tailnum", "mapping": {"title": "name"}},
        "load": {"type": "csv", "path": "data/load.csv", "primary_key": "id"},
    }
    (project / "kasparro.yaml").write_text(json.dumps({"sources": sources}), encoding="utf-8")
    return path


def fetch(container: Container, path: str) -> tuple[int, Any]:
    """Ask the API from inside its network."""
    code = (
        "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=30);"
        "c.request('GET', sys.argv[1]); a = c.getresponse(); print(a.status); print(a.read().decode())"
    )
    told = container.run("python", "-IS", "-c", code, path)
    assert told.code == 0, told.err
    status, _, body = told.out.partition("\n")
    return int(status), json.loads(body)


def test_the_image_says_how_it_is_run(image: Image) -> None:
    assert image.config["User"] == "10001:10001"
    assert image.config["Cmd"] == ["kasparro", "serve", "--host", "0.0.0.0", "--port", "8000"]
    assert image.config["StopSignal"] == "SIGTERM"
    assert "/readyz" in image.config["Healthcheck"]["Test"][-1]
    assert not [line for line in image.config["Env"] if re.search("PIP|UV|INDEX|CERT|KEY|PASSWORD", line.split("=")[0])]


def test_the_image_adds_nothing_but_the_program_and_its_user(image: Image) -> None:
    before, after = set(files_of(image.base)), set(files_of(image.root))
    names = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
    accounts = {f"etc/{name}{end}" for name, end in product(names, ("", "-"))}
    added = {path for path in after - before if not path.startswith(("opt/kasparro/", "app"))}
    assert added <= accounts | {"opt/kasparro"}
    assert before <= after
    changed = {path for path in before if content(image.base / path) != content(image.root / path)}
    assert changed <= accounts


def files_of(root: Path) -> Iterator[str]:
    return (path.relative_to(root).as_posix() for path in root.rglob("*"))


def content(path: Path) -> object:
    """What a file holds; of what is no file, its kind and where it points."""
    if path.is_symlink():
        return path.readlink()
    return path.read_bytes() if path.is_file() else path.lstat().st_mode


def test_nothing_in_the_image_belongs_to_its_user_or_can_be_written_by_it(image: Image) -> None:
    found = [path for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
    assert len(found) > 1000
    assert not [path for path in found if path.lstat().st_uid != 0 or path.lstat().st_mode & 0o022]


def test_the_size_is_the_one_that_is_documented(image: Image) -> None:
    text = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
    said_so = re.search(r"Adds about (\d+) MB to the base image", text)
    assert said_so is not None
    added = (bytes_of(image.root) - bytes_of(image.base)) / 1e6
    assert abs(added - int(said_so[1])) < 0.1 * added, f"{added:.0f} MB"


def test_compose_reads_what_make_wrote(image: Image, project: Path) -> None:
    read = composed(image, project)
    dotenv = dict(line.split("=", 1) for line in (project / ".env").read_text(encoding="utf-8").splitlines())
    assert set(read["services"]) == {"db", "api", "worker", "prometheus", "grafana"}
    for name in ("api", "worker"):
        variables = read["services"][name]["environment"]
        assert variables["PGPASSWORD"] == dotenv["POSTGRES_PASSWORD"]
        assert variables["API_KEY"] == dotenv["API_KEY"]
        assert variables["DATABASE_URL"] == "postgresql://kasparro@db:5432/kasparro"
        assert read["services"][name]["read_only"] is True
    ports = [port for service in read["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_root_is_read_only_and_the_user_can_do_nothing(pod: Pod, service: str) -> None:
    container = pod.start(service, "sleep", "600")
    for place in ("/", "/app", "/opt/kasparro/bin", "/etc", "/var", "/usr/bin"):
        refused = container.run("touch", f"{place}/made")
        assert refused.code == 1
        assert "Read-only file system" in refused.err, place
    # Root is refused as well, so it is the mount and not the permissions; and /tmp is the only exception.
    assert "Read-only file system" in container.run("touch", "/app/made", user="0:0").err
    assert container.run("sh", "-c", "touch /tmp/made && rm /tmp/made").code == 0
    status = container.run("cat", "/proc/1/status").out
    assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
    assert re.search(r"^Gid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    assert set(re.findall(r"^Cap\w+:\t(\w+)$", status, re.MULTILINE)) == {"0" * 16}
    for target in ("/app/data", *(["/app/kasparro.yaml"] if service == "worker" else [])):
        assert container.run("test", "-r", target).code == 0
        assert "Read-only file system" in container.run("touch", target, user="0:0").err, target


def test_the_api_is_healthy_when_the_database_is_and_ends_on_sigterm(pod: Pod) -> None:
    check = pod.image.config["Healthcheck"]["Test"]
    api = pod.start("api")
    pod.healthy(api, check)
    status, answer = fetch(api, "/readyz")
    assert status == 200, answer
    status, answer = fetch(api, "/data")
    assert (status, answer["data"]) == (200, [])
    assert api.stop() == 0, api.text()
    assert "Traceback" not in api.text()


def test_the_api_is_not_healthy_while_its_database_is_gone(pod: Pod) -> None:
    check = pod.image.config["Healthcheck"]["Test"]
    api = pod.start("api")
    pod.healthy(api, check)
    pod.close_database()
    wait(lambda: api.run(*check[1:]).code == 1, api)
    assert fetch(api, "/readyz")[0] == 503
    assert fetch(api, "/livez")[0] == 200, "nothing is to restart it"
    pod.open_database()
    pod.healthy(api, check)
    assert api.stop() == 0, api.text()


def test_the_api_says_so_when_there_is_no_database_at_all(pod: Pod) -> None:
    api = pod.start("api", DATABASE_URL="postgresql://kasparro@db:5/kasparro")
    assert api.process.wait(60) == 1
    assert "cannot be reached" in api.text()
    assert "Traceback" not in api.text()


def start_worker(pod: Pod, **variables: str) -> Container:
    """Start a worker, and wait until it has said that it is alive."""
    worker = pod.start("worker", **variables)
    wait(lambda: pod.sound(f"SELECT count(*) = 1 FROM worker WHERE host = '{worker.name}'"), worker)
    return worker


@pytest.mark.usefixtures("load")
def test_a_queued_run_is_done_by_the_worker_and_its_rows_are_served(pod: Pod) -> None:
    api, worker = pod.start("api"), start_worker(pod)
    assert worker.run(*pod.services["worker"]["healthcheck"]["test"][1:]).code == 0
    queued = worker.run("kasparro", "run", "--queue", "planes")
    assert queued.code == 0, queued.err
    wait(lambda: pod.sound("SELECT count(*) = 1 FROM etl_run WHERE source = 'planes' AND status = 'success'"), worker)
    pod.healthy(api, pod.image.config["Healthcheck"]["Test"])
    status, answer = fetch(api, "/data?source=planes&limit=100")
    assert (status, answer["pagination"]["total"], len(answer["data"])) == (200, 3316, 100)
    assert worker.stop() == 0, worker.text()
    assert "Traceback" not in worker.text() + api.text()


@pytest.mark.usefixtures("load")
def test_a_worker_that_hangs_is_not_healthy_until_it_goes_on(pod: Pod) -> None:
    check = pod.services["worker"]["healthcheck"]["test"][1:]
    lease = {"KASPARRO_LEASE_SECONDS": "2"}
    worker = start_worker(pod, **lease)
    silent = f"SELECT clock_timestamp() > heartbeat_at + lease FROM worker WHERE host = '{worker.name}'"
    assert worker.run(*check).code == 0
    beside = pod.start("worker", "sleep", "600")
    refused = beside.run(*check)
    assert refused.code == 1, "another host's worker is not this one"
    assert f"No worker of this host, {beside.name}, is alive: there is none." in refused.err
    worker.send(signal.SIGSTOP)
    wait(lambda: pod.sound(silent), worker)
    assert worker.run(*check).code == 1
    worker.send(signal.SIGCONT)
    wait(lambda: worker.run(*check).code == 0, worker)
    assert worker.stop() == 0, worker.text()


@contextmanager
def one_commit(pod: Pod, worker: Container) -> Iterator[None]:
    """Let one commit through; the next ones are begun, and cannot end in the block."""
    lock = b"LOCK TABLE raw_page IN SHARE ROW EXCLUSIVE MODE"
    with psycopg.connect(pod.url) as first, psycopg.connect(pod.url) as then, ThreadPoolExecutor(1) as beside:
        first.execute(lock)
        queued = worker.run("kasparro", "run", "--queue", "load")
        assert queued.code == 0, queued.err
        wait(lambda: waiting(pod) > 0, worker)
        there = waiting(pod)
        next_in_line = beside.submit(then.execute, lock)
        wait(lambda: waiting(pod) > there, worker)
        first.rollback()
        next_in_line.result(60)
        wait(lambda: waiting(pod) > 0, worker)
        yield


def waiting(pod: Pod) -> int:
    """How many wait for the table of raw pages, in the order of their coming."""
    (number,) = pod.ask("SELECT count(*) FROM pg_locks WHERE relation = 'raw_page'::regclass AND NOT granted")
    return int(number)


@pytest.mark.usefixtures("load")
def test_sigterm_in_the_middle_of_a_load_loses_no_commit(pod: Pod) -> None:
    worker = start_worker(pod, KASPARRO_PAGE_BYTES="65536")
    rows = "SELECT coalesce(sum(rows), 0)::bigint FROM dataset_total"
    with one_commit(pod, worker):
        worker.send(signal.SIGTERM)
        wait(lambda: "Stopping" in worker.text(), worker)
        (before,) = pod.ask(rows)
    code = worker.process.wait(60)  # the compose file gives it as long
    assert code == 0, worker.text()
    assert "Traceback" not in worker.text()
    (there,) = pod.ask("SELECT count(*) FROM normalized_data")
    assert before < there < RECORDS, "the commit in hand is in, and no more was begun"
    assert pod.ask(rows) == (there,), "what was counted is there"
    assert pod.ask("SELECT status FROM etl_run") == ("stopped",)
    again = start_worker(pod)
    wait(lambda: pod.sound("SELECT count(*) = 1 FROM etl_run WHERE status = 'success'"), again)
    assert again.stop() == 0, again.text()
    expected = pod.ask(f"{DIGEST} FROM (SELECT n::text AS key, 'record number ' || n AS title{MADE}) AS made")
    assert pod.ask(f"{DIGEST} FROM (SELECT record_key AS key, title FROM normalized_data) AS loaded") == expected
    assert pod.ask("SELECT sum(inserted)::bigint FROM etl_run") == (RECORDS,), "nothing was counted twice"
