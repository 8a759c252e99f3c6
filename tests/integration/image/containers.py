"""Runs services of the compose file as containers, without Docker: by runc, which is what Docker runs them with, too.

A `Pod` is a network of its own with nothing but loopback in it: a PostgreSQL, and containers made from the image as the
compose file says. The name `db` is there that the compose file has for the database. No init process stands before the
command: what holds for process 1 itself holds behind one.
"""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from tests.integration.image.building import Image, said

from kasparro.store.embedded import binaries

PATIENCE = 60.0
HOSTS = "127.0.0.1 localhost db\n"

HOLD = """
import fcntl, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket() as any:
    fcntl.ioctl(any, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
print(flush=True)
sys.stdin.read()
"""
"""Switches loopback on, says so, and waits to be told to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command in a container left."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that was started."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    runc: tuple[str, ...]

    def run(self, *command: str, user: str | None = None) -> Said:
        """Run a command in it, as `docker exec` and health checks do."""
        options = ["--user", user] if user is not None else []
        words = [*self.runc, "exec", *options, self.name, *command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process, as `docker stop` does."""
        said(*self.runc, "kill", self.name, number.name.removeprefix("SIG"))

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def text(self) -> str:
        """Return what it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A network with a PostgreSQL in it, and containers.

    Attributes:
        services: The compose file's, as Compose reads them.
        network: The network, as a file.
        sockets: Where its PostgreSQL can be reached from outside.
        password: Of the database's user kasparro.
    """

    image: Image
    folder: Path
    services: Mapping[str, Mapping[str, Any]]
    network: Path
    sockets: Path
    password: str
    started: list[Container] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The database, for the test."""
        return f"postgresql://kasparro:{self.password}@/kasparro?host={self.sockets}"

    @property
    def admin(self) -> str:
        """Another database of the same server."""
        return f"postgresql://kasparro:{self.password}@/postgres?host={self.sockets}"

    def open_database(self) -> None:
        """Let everybody into the database again."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute("ALTER DATABASE kasparro ALLOW_CONNECTIONS true")

    def close_database(self) -> None:
        """Throw everybody out of the database, and let nobody in."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute("ALTER DATABASE kasparro ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'kasparro'")

    def start(self, service: str, *command: str, **environment: str) -> Container:
        """Start a service; with another command, and variables more or other, where they are given."""
        name = f"{service}-{os.getpid()}-{len(self.started)}"
        made = bundle(self, service, name, command or None, environment)
        container = launched(self.folder, name, made)
        self.started.append(container)
        there = [*container.runc, "state", name]
        while container.process.poll() is None and subprocess.run(there, capture_output=True, check=False).returncode:
            time.sleep(0.02)
        return container

    def healthy(self, container: Container, test: list[str]) -> None:
        """Wait until its health check says so."""
        wait(lambda: container.run(*test[1:]).code == 0, container)

    def sound(self, statement: str) -> bool:
        """Tell whether a query gives true; it does not where the tables are not there yet."""
        try:
            return self.ask(statement) == (True,)
        except psycopg.errors.UndefinedTable:
            return False

    def ask(self, statement: str) -> tuple[Any, ...]:
        """Return the first row of a query."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(statement).fetchone()  # type: ignore[call-overload,unused-ignore]
        assert row is not None
        return tuple(row)


def wait(sound: Callable[[], bool], container: Container, patience: float = PATIENCE) -> None:
    """Wait until something holds, while a container runs."""
    until = time.monotonic() + patience
    while not sound():
        assert container.process.poll() is None, container.text()
        assert time.monotonic() < until, container.text()
        time.sleep(0.1)


def bundle(
    pod: Pod, service: str, name: str, command: tuple[str, ...] | None, more: Mapping[str, str]
) -> dict[str, Any]:
    """Return what runc is to do: the image's settings, and over them the service's, as Docker puts them together."""
    said_so, config = pod.services[service], pod.image.config
    user, _, group = config["User"].partition(":")
    home = {"HOME": home_of(pod.image, user)}
    variables = home | dict(line.split("=", 1) for line in config["Env"]) | said_so["environment"] | more
    spec = drafted(pod.folder)
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": int(user), "gid": int(group)},
        "args": list(command or said_so.get("command") or config["Cmd"]),
        "env": [f"{key}={value}" for key, value in variables.items()],
        "cwd": config["WorkingDir"],
        "noNewPrivileges": "no-new-privileges:true" in said_so["security_opt"],
        "capabilities": {kind: capabilities(said_so) for kind in spec["process"]["capabilities"]},
    }
    spec["root"] = {"path": str(pod.image.roots[service]), "readonly": said_so.get("read_only", False)}
    spec["hostname"] = name
    spec["mounts"] += list(mounts(pod, said_so, name))
    spec["linux"]["namespaces"] = [
        {"type": "network", "path": str(pod.network)} if one["type"] == "network" else one
        for one in spec["linux"]["namespaces"]
    ]
    return spec


def home_of(image: Image, user: str) -> str:
    """Return the home of a user of the image, which Docker names to the process."""
    accounts = (line.split(":") for line in (image.root / "etc" / "passwd").read_text(encoding="utf-8").splitlines())
    return next(account[5] for account in accounts if account[2] == user)


def capabilities(service: Mapping[str, Any]) -> list[str]:
    assert service["cap_drop"] == ["ALL"], "what is left otherwise is Docker's to say"
    return [f"CAP_{name}" for name in service.get("cap_add", [])]


def drafted(folder: Path) -> dict[str, Any]:
    """Return the specification that runc itself proposes."""
    draft = folder / "draft"
    draft.mkdir(exist_ok=True)
    (draft / "config.json").unlink(missing_ok=True)
    said("runc", "spec", "--bundle", draft)
    spec: dict[str, Any] = json.loads((draft / "config.json").read_text(encoding="utf-8"))
    return spec


def mounts(pod: Pod, service: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Give the mounts of a service as runc names them."""
    hosts = pod.folder / "hosts"
    hosts.write_text(HOSTS, encoding="utf-8")
    yield bound(hosts, "/etc/hosts", ["ro"])
    for target in service.get("tmpfs", []):
        options = ["nosuid", "nodev", "noexec", "mode=1777"]  # Docker's own
        yield {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}
    for volume in service.get("volumes", []):
        match volume["type"]:
            case "bind":
                yield bound(Path(volume["source"]), volume["target"], ["ro"] if volume["read_only"] else [])
            case "volume":  # without a name: it begins as what the image has there
                place = pod.folder / f"{name}{volume['target'].replace('/', '-')}"
                place.mkdir()
                place.chmod((pod.image.root / volume["target"].lstrip("/")).stat().st_mode & 0o7777)
                yield bound(place, volume["target"], [])


def bound(source: Path, target: str, options: list[str]) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["rbind", "rprivate", *options]}


def launched(folder: Path, name: str, spec: Mapping[str, Any]) -> Container:
    """Start a container in the background."""
    place = folder / name
    place.mkdir()
    (place / "config.json").write_text(json.dumps(spec), encoding="utf-8")
    runc = ("runc", "--root", str(folder / "state"))
    log = place / "log"
    with log.open("wb") as out:
        command = [*runc, "run", "--bundle", str(place), name]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    return Container(name=name, process=process, log=log, runc=runc)


@contextmanager
def pod_of(image: Image, folder: Path, services: Mapping[str, Mapping[str, Any]], password: str) -> Iterator[Pod]:
    """Give a pod, and end all that runs in it afterwards."""
    with ExitStack() as ended:
        network = ended.enter_context(loopback_alone())
        sockets = ended.enter_context(database(folder, network, password))
        pod = Pod(image=image, folder=folder, services=services, network=network, sockets=sockets, password=password)
        ended.callback(end_all, pod)
        yield pod


def end_all(pod: Pod) -> None:
    for container in pod.started:
        subprocess.run([*container.runc, "delete", "--force", container.name], capture_output=True, check=False)
        container.process.wait(PATIENCE)


@contextmanager
def loopback_alone() -> Iterator[Path]:
    """Give a network with nothing but loopback, as a file; it is there as long as the process that holds it."""
    command = ["unshare", "--net", sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        yield Path(f"/proc/{holder.pid}/ns/net")
        assert holder.stdin is not None
        holder.stdin.close()


@contextmanager
def database(folder: Path, network: Path, password: str) -> Iterator[Path]:
    """Run a PostgreSQL on loopback of a network, with a password; give the folder of its socket."""
    owner = pwd.getpwnam("nobody")
    place = folder / "postgres"
    place.mkdir()
    place.chmod(0o755)
    os.chown(place, owner.pw_uid, owner.pw_gid)
    secret = place / "password"
    secret.write_text(password, encoding="utf-8")
    os.chown(secret, owner.pw_uid, owner.pw_gid)
    data = place / "data"
    options = ["--auth=scram-sha-256", f"--pwfile={secret}", "--username=kasparro", "--encoding=UTF8", "--no-sync"]
    said(binaries() / "initdb", *options, "--pgdata", data, user="nobody", group="nogroup", extra_groups=[])
    inside = ["nsenter", f"--net={network}", f"--setuid={owner.pw_uid}", f"--setgid={owner.pw_gid}"]
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", str(place)]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [*inside, str(binaries() / "postgres"), "-D", str(data), *settings], stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + PATIENCE
        admin = f"postgresql://kasparro:{password}@/postgres?host={place}"
        while not answers(admin):
            assert process.poll() is None, (place / "log").read_text()
            assert time.monotonic() < until, (place / "log").read_text()
            time.sleep(0.05)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE DATABASE kasparro")
        yield place
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
