"""The image, built once, and the services of the compose file in a network of their own."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.image.building import ROOT, TOOLS, Image, built, said
from tests.integration.image.containers import Pod, end_all, pod_of

PREFIX = "kasparro-image-"


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give a folder that other users may look into, which pytest's own may not be; remove those of dead processes."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX).split("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Whether this machine can do it: where programs are missing, only a build server is at fault."""
    if os.geteuid() != 0:
        pytest.skip("images are built by root here")
    missing = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    if missing:
        needed = f"programs are missing: apt-get install --no-install-recommends {' '.join(sorted(missing))}"
        if os.environ.get("CI"):
            pytest.fail(needed)
        pytest.skip(needed)


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image as it is shipped, on a base of Debian's Python."""
    with open_folder() as folder, built(folder / "build") as made:
        yield made


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as far as `make up` needs it, after that has made what it makes."""
    folder = tmp_path_factory.mktemp("project")
    template = Path("src/kasparro/cli/kasparro.example.yaml")
    (folder / template).parent.mkdir(parents=True)
    for name in ("Makefile", "docker-compose.yml", "data/sample.csv", template):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    said("make", "--silent", ".env", "kasparro.yaml", cwd=folder)
    return folder


def composed(image: Image, project: Path) -> dict[str, Any]:
    """The compose file as Compose itself reads it."""
    words = ["--profile", "*", "config", "--format", "json"]
    read: dict[str, Any] = json.loads(
        said(image.compose, *words, cwd=project, env={"PATH": os.environ["PATH"], "HOME": "/root"})
    )
    return read


@pytest.fixture(scope="session")
def services(image: Image, project: Path) -> Mapping[str, Mapping[str, Any]]:
    """The services of the compose file, with what `.env` gives them."""
    found: dict[str, dict[str, Any]] = composed(image, project)["services"]
    return found


@pytest.fixture(scope="session")
def network(image: Image, services: Mapping[str, Mapping[str, Any]]) -> Iterator[Pod]:
    password = services["db"]["environment"]["POSTGRES_PASSWORD"]
    with open_folder() as folder, pod_of(image, folder, services, password) as pod:
        yield pod


@pytest.fixture
def pod(network: Pod) -> Iterator[Pod]:
    """The network with an empty database; containers of the test are ended with it."""
    with psycopg.connect(network.admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS kasparro WITH (FORCE)")
        connection.execute("CREATE DATABASE kasparro")
    yield network
    end_all(network)
